package relayserver

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/sealpost/sealpost/relay"
)

// tightfisted opens a CONNECT whose client lets the server send as few bytes on each stream as QUIC
// allows, and takes more only where it reads.
func tightfisted(t *testing.T, s *Server) *http3.RequestStream {
	t.Helper()
	certificates, roots := certificate()
	router := &simnet.PerfectRouter{}
	server, client := simnet.NewSimConn(serverAddr, router), simnet.NewSimConn(clientAddr, router)
	e := &endpoint{t: t, server: s}
	e.serveUDP(server, certificates, e.server.ServeWebTransport)
	via := &quic.Transport{Conn: client}
	t.Cleanup(func() {
		_ = via.Close()
		_ = client.Close()
	})
	conn, err := via.Dial(t.Context(), server.LocalAddr(), &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{http3.NextProtoH3}},
		&quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true, MaxIdleTimeout: time.Hour, KeepAlivePeriod: 10 * time.Second,
			InitialStreamReceiveWindow: 1, MaxStreamReceiveWindow: 1})
	if err != nil {
		t.Fatal(err)
	}
	web := (&http3.Transport{EnableDatagrams: true}).NewClientConn(conn)
	stream, err := web.OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://example.com"+relay.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Proto = "webtransport"
	if err := stream.SendRequestHeader(r); err != nil {
		t.Fatal(err)
	}
	return stream
}

// places counts what sessions hold.
func (s *Server) places() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// TestR13_ClientWithoutCredit: a client that never lets the server send the answer to its CONNECT, or
// what ends the session behind that (CVE-2026-21435), loses its place in time, and holds up no
// shutdown.
func TestR13_ClientWithoutCredit(t *testing.T) {
	for name, answered := range map[string]bool{"no answer": false, "no end": true} {
		t.Run(name, func(t *testing.T) {
			certificate()
			synctest.Test(t, func(t *testing.T) {
				s := openHere(t)
				stream := tightfisted(t, s)
				if answered {
					if answer, err := stream.ReadResponse(); err != nil || answer.StatusCode != http.StatusOK {
						t.Fatal(answer, err)
					}
				}
				synctest.Wait()
				if n := s.places(); n != 1 {
					t.Fatalf("%d sessions", n)
				}
				begin := time.Now()
				for s.places() > 0 && time.Since(begin) < time.Hour {
					time.Sleep(time.Second)
				}
				within(t, time.Since(begin), handshakeTime-time.Second, 2*handshakeTime+closeWithin)
			})
		})
		t.Run(name+", at the end", func(t *testing.T) {
			certificate()
			synctest.Test(t, func(t *testing.T) {
				s := openHere(t)
				stream := tightfisted(t, s)
				if answered {
					if _, err := stream.ReadResponse(); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				begin := time.Now()
				if err := s.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				within(t, time.Since(begin), 0, handshakeTime+closeWithin)
			})
		})
	}
}
