//go:build !js

package relayclient

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/quicdial"
	"github.com/sealpost/sealpost/relay"
)

const (
	// quicHandshake is how long QUIC waits for a packet while it shakes hands: a relay that is
	// switched off is known to be so when TCP has heard that and QUIC has heard nothing.
	quicHandshake = 3 * time.Second
	// quicIdle is when QUIC gives up a silent path, after deadAfter has given up the session.
	// What keeps the path alive is PING.
	quicIdle = 90 * time.Second
	// The windows bound what a relay can make us hold of streams that are not read yet. They
	// are read without waiting, so more would only serve lines of over a megabyte in flight.
	quicStreamWindow = 1 << 20 // bytes
	quicConnWindow   = 2 << 20 // bytes
	// quicUniStreams is what the relay may open: HTTP/3's control stream and two for QPACK
	// (RFC 9114 section 6.2), and the branches.
	quicUniStreams = 3 + openBranches
)

func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:             quicHandshake,
		MaxIdleTimeout:                   quicIdle,
		MaxStreamReceiveWindow:           quicStreamWindow,
		MaxConnectionReceiveWindow:       quicConnWindow,
		MaxIncomingStreams:               -1,
		MaxIncomingUniStreams:            quicUniStreams,
		EnableDatagrams:                  true, // WebTransport asks for both; neither is used
		EnableStreamResetPartialDelivery: true,
	}
}

// webTransport is the first stream of a WebTransport session, and the session's and its
// connection's only owner (PROTOCOL.md section 3.2).
type webTransport struct {
	*webtransport.Stream
	session *webtransport.Session
	conn    *quicdial.Conn
}

// openWebTransport makes a QUIC connection, the extended CONNECT, and opens the stream.
func openWebTransport(ctx context.Context, addr relay.Address, opt Options) (_ io.ReadWriteCloser, err error) {
	host, _, _ := net.SplitHostPort(addr.Host) // Dial has checked it
	conf := certpin.ClientConfig(host, (*certpin.Pin)(addr.Pin))
	conf.NextProtos = []string{http3.NextProtoH3}
	conn, err := quicdial.Dial(ctx, addr.Host, conf, quicConfig(), opt.ListenPacket)
	if err != nil {
		return nil, err
	}
	// Reading the answer knows no context; closing the connection ends it.
	stop := context.AfterFunc(ctx, conn.Close)
	defer func() {
		if !stop() {
			err = context.Cause(ctx)
		}
		if err != nil {
			conn.Close()
		}
	}()
	over, err := new(webtransport.Transport).NewClientConn(conn.Conn)
	if err != nil {
		return nil, err
	}
	// The library would name itself and its version.
	resp, session, err := over.Dial(ctx, "https://"+addr.Host+relay.Path, http.Header{"User-Agent": {""}})
	if err != nil {
		if resp != nil {
			err = upgradeError(resp)
		}
		return nil, err
	}
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	return &webTransport{Stream: stream, session: session, conn: conn}, nil
}

// acceptBranch returns the next stream that the relay opens.
func (w *webTransport) acceptBranch() (branchStream, error) {
	s, err := w.session.AcceptUniStream(context.Background())
	if err != nil {
		return nil, err
	}
	return receiveOnly{s, func() { s.CancelRead(0) }}, nil
}

// Close ends the connection at once, with what is still to be sent.
func (w *webTransport) Close() error {
	w.conn.Close()
	return nil
}

// finish ends the client's half of the stream: the relay has read everything when it ends the
// session for it.
func (w *webTransport) finish() {
	w.Stream.Close()
	<-w.session.Context().Done()
}
