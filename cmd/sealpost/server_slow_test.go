package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/turns"
)

// pipes is a listener whose connections are pipes, for a bubble of testing/synctest.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

// drip writes b, a byte a second, until it is refused.
func drip(c io.Writer, b []byte) {
	for i := range b {
		if _, err := c.Write(b[i : i+1]); err != nil {
			return
		}
		<-time.After(time.Second)
	}
}

// TestR10_SlowClientsOverTCP: whoever is silent, or gives a byte a second, loses the connection,
// whatever it is at: the TLS handshake, a request's header or body, an answer, or nothing.
func TestR10_SlowClientsOverTCP(t *testing.T) {
	dev, err := certpin.OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	trust := certpin.ClientConfig("localhost", new(dev.Pin()))
	const get, post = "GET / HTTP/1.1\r\nHost: localhost\r\n", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
	for name, c := range map[string]struct {
		say   string // over TLS, at once
		drip  string // behind it
		bare  bool   // without TLS
		takes bool   // what the server says
		ends  time.Duration
	}{
		"silence":          {bare: true, takes: true, ends: headerWithin},
		"TLS by dribs":     {bare: true, takes: true, drip: "\x16\x03\x01\x04\x00\x01" + strings.Repeat("a", 1000), ends: headerWithin},
		"no request":       {takes: true, ends: headerWithin},
		"header by dribs":  {say: get, drip: "X-A: " + strings.Repeat("a", 500), takes: true, ends: headerWithin},
		"body by dribs":    {say: post, drip: strings.Repeat("a", 500), takes: true, ends: requestWithin},
		"answer not taken": {say: get + "\r\n", ends: answerWithin},
		"nothing more":     {say: get + "\r\n", takes: true, ends: idleFor},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{conns: make(chan net.Conn), over: make(chan struct{})}
				paced := turns.New(1)
				web := bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = w.Write(make([]byte, 1<<20))
				}))
				web.TLSConfig = dev.ServerConfig()
				go web.ServeTLS(paced.Listen(l), "", "")
				defer web.Close()
				near, far := net.Pipe()
				var talk sync.WaitGroup
				defer talk.Wait()
				defer near.Close()
				l.conns <- far
				begin := time.Now()
				conn := net.Conn(near)
				if !c.bare {
					over := tls.Client(near, trust.Clone())
					if err := over.Handshake(); err != nil {
						t.Fatal(err)
					}
					conn = over
				}
				talk.Go(func() {
					_, _ = io.WriteString(conn, c.say)
					drip(conn, []byte(c.drip))
				})
				if c.takes {
					_, _ = io.Copy(io.Discard, conn)
				} else {
					for ; ; time.Sleep(time.Second) {
						if _, err := near.Write(nil); err != nil {
							break
						}
					}
				}
				if took := time.Since(begin); took < c.ends || took > c.ends+6*time.Second { // net/http lingers for up to five
					t.Errorf("it ended after %v, want %v", took, c.ends)
				}
			})
		})
	}
}
