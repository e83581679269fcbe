package relayserver

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/relay"
)

// QUICConfig returns the settings of QUIC connections that carry WebTransport sessions, for
// the listener in front of [Server.ServeWebTransport]. What it does not say is for whoever
// listens: admission by address, and Retry while many handshakes are half open.
//
// A connection that is not read from holds at most quicReceive bytes of what its client sent.
// The client's streams are few, and those that nobody asked for are never accepted, so they
// stay within that bound however they are opened and reset (ATTACKS R13).
func QUICConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:             handshakeTime / 2, // QUIC gives a handshake twice that
		MaxIdleTimeout:                   relay.IdleTimeout,
		InitialStreamReceiveWindow:       quicReceive / 4,
		MaxStreamReceiveWindow:           quicReceive / 2,
		InitialConnectionReceiveWindow:   quicReceive / 2,
		MaxConnectionReceiveWindow:       quicReceive,
		MaxIncomingStreams:               quicStreams,
		MaxIncomingUniStreams:            quicUniStreams,
		EnableDatagrams:                  true, // WebTransport wants it; none is read
		EnableStreamResetPartialDelivery: true, // the same
		Allow0RTT:                        false,
	}
}

// ServeWebTransport returns a handler for an HTTP/3 server: it takes WebTransport sessions
// for relay.Path with up, and gives every other request to [Server.ServeHTTP]. It decides on
// origins itself and asks connections for their round trips, so it replaces up.CheckOrigin and
// up.H3.ConnContext, and is called before up serves. A session returns from the handler at
// once and runs as one of a WebSocket does.
//
// The client's first bidirectional stream is the session's. No other one is ever accepted,
// so QUIC's limits on streams stop whoever opens more; datagrams are dropped.
func (s *Server) ServeWebTransport(up *webtransport.Server) http.Handler {
	up.CheckOrigin, up.H3.ConnContext = s.allowedOrigin, withConn
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			s.ServeHTTP(w, r)
			return
		}
		s.connect(up, w, r)
	})
}

// connect makes a WebTransport session of an extended CONNECT (RFC 9220).
func (s *Server) connect(up *webtransport.Server, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != relay.Path {
		http.NotFound(w, r)
		return
	}
	if !s.allowedOrigin(r) {
		http.Error(w, "origin not allowed", http.StatusForbidden)
		return
	}
	prefix := prefixOf(r.RemoteAddr)
	if !s.admitted(w, prefix) {
		return
	}
	session, err := up.Upgrade(w, r)
	if err != nil {
		s.log.Debug("upgrade failed", "err", err)
		http.Error(w, "WebTransport is required", http.StatusBadRequest)
		s.release(prefix)
		return
	}
	sent := newFlight(r.Context())
	s.sessions.Go(func() { s.serveSession(session, sent, prefix) })
}

// serveSession waits for the session's stream and serves it.
func (s *Server) serveSession(session *webtransport.Session, sent *flight, prefix netip.Prefix) {
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTime)
	defer cancel()
	stream, err := session.AcceptStream(ctx)
	if err != nil {
		_ = session.CloseWithError(0, "")
		s.release(prefix)
		return
	}
	s.serve(ctx, &wtStream{Stream: stream, session: session, flight: sent}, prefix, nil)
}

// wtStream is the session's stream and all that goes with it. One goroutine reads; any number
// write, one at a time, and close.
type wtStream struct {
	*webtransport.Stream
	session *webtransport.Session
	flight  *flight // of the session's stream and its branches

	writing sync.Mutex // held by a write; QUIC wants no end of a stream while one is under way
	ended   bool       // guarded by writing
}

// Write sends p.
func (s *wtStream) Write(p []byte) (int, error) {
	s.flight.enter(len(p), s.session.Context().Done())
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.Stream.Write(p)
}

// Close ends the WebTransport session. That drops what is still on its way, so unless a write
// is stuck the client, who hears the stream end behind the last frame, has heardWithin to
// take that and end the session itself. Safe to call twice.
func (s *wtStream) Close() error {
	if s.writing.TryLock() {
		first := !s.ended
		s.ended = true
		if first {
			_ = s.Stream.Close()
		}
		s.writing.Unlock()
		if first {
			late := time.NewTimer(heardWithin)
			defer late.Stop()
			select {
			case <-s.session.Context().Done():
			case <-late.C:
			}
		}
	}
	return s.session.CloseWithError(0, "")
}

// branch implements brancher.
func (s *wtStream) branch() (io.ReadWriteCloser, error) {
	stream, err := s.session.OpenUniStream()
	if err != nil {
		return nil, err
	}
	return wtBranch{stream, s}, nil
}

// wtBranch is a stream to the client, who has nothing to say on it.
type wtBranch struct {
	*webtransport.SendStream
	of *wtStream
}

// Write sends p.
func (b wtBranch) Write(p []byte) (int, error) {
	b.of.flight.enter(len(p), b.of.session.Context().Done())
	return b.SendStream.Write(p)
}

// Read returns io.EOF.
func (wtBranch) Read([]byte) (int, error) { return 0, io.EOF }

// SetReadDeadline does nothing.
func (wtBranch) SetReadDeadline(time.Time) error { return nil }
