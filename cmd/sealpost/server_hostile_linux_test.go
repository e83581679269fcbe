package main

import (
	"errors"
	"net/http"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// The clients here do what advisories on quic-go and webtransport-go describe. The versions that
// are pinned withstand it; these tests say so of the whole server, and of later versions.

// mostGrown is how much resident memory such a client may cost, in MiB (ATTACKS R13).
const mostGrown = 32

// withstands runs an attack on a server of its own, whose memory must not grow by much and
// which serves others afterwards.
func withstands(t *testing.T, attack func(g greeting)) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	if err := dialWebTransport(t, g); err != nil { // the first one has code and tables read in
		t.Fatal(err)
	}
	before := p.resident(t)
	attack(g)
	if after := p.resident(t); after-before > mostGrown {
		t.Errorf("the server has %d MiB, and had %d", after, before)
	}
	dialBoth(t, g)
	if err := dialWebTransport(t, g); err != nil {
		t.Errorf("somebody else is not served: %v", err)
	}
}

// manyFields are fields of four bytes with names of their own, which take a hundred each when
// they stand in a map.
func manyFields(n int) (b []byte) {
	for i := range n {
		b = append(b, field(string([]byte{'a' + byte(i/676%26), 'a' + byte(i/26%26), 'a' + byte(i%26)}), "")...)
	}
	return b
}

// TestR13_StreamChurn: streams that are opened and reset again and again, as requests and as
// sessions on one connection, leave nothing behind (CVE-2026-21438; of HTTP/2, CVE-2023-44487).
func TestR13_StreamChurn(t *testing.T) {
	withstands(t, func(g greeting) {
		c := bareQUIC(t, g)
		ask := frame3(1, request(methodGet, "/v1/relay/poll", nil))
		for range 3_000 {
			s := opened(t, c)
			if s == nil {
				t.Fatal("the connection has ended")
			}
			if _, err := s.Write(ask); err != nil {
				t.Fatal(err)
			}
			_, _ = s.Read(make([]byte, 1)) // one that is reset before a byte of it is there counts among its client's sixteen for ever
			s.CancelRead(0)
			s.CancelWrite(0)
		}
	})
	withstands(t, func(g greeting) {
		web := (&http3.Transport{EnableDatagrams: true}).NewClientConn(bareQUIC(t, g))
		for range 300 {
			s, err := web.OpenRequestStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://"+g.relay.Host+relay.Path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Proto = "webtransport"
			if err := s.SendRequestHeader(r); err != nil {
				t.Fatal(err)
			}
			_, _ = s.ReadResponse() // a session, or that the one before is not quite over
			s.CancelRead(0)
			s.CancelWrite(0)
		}
	})
}

// TestR13_LongCapsules: a session's close that says it is of 10 GB (CVE-2026-21434), and a
// capsule that nobody knows (CVE-2026-57497), sent for as long as the server reads them.
func TestR13_LongCapsules(t *testing.T) {
	for name, typ := range map[string]uint64{"close": 0x2843, "unknown": 0x1234} {
		t.Run(name, func(t *testing.T) {
			withstands(t, func(g greeting) {
				web := (&http3.Transport{EnableDatagrams: true}).NewClientConn(bareQUIC(t, g))
				s, err := web.OpenRequestStream(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://"+g.relay.Host+relay.Path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Proto = "webtransport"
				if err := s.SendRequestHeader(r); err != nil {
					t.Fatal(err)
				}
				if answer, err := s.ReadResponse(); err != nil || answer.StatusCode != http.StatusOK {
					t.Fatal(answer, err)
				}
				if _, err := s.Write(quicvarint.Append(quicvarint.Append(nil, typ), 10<<30)); err != nil {
					t.Fatal(err)
				}
				chunk := make([]byte, 64<<10)
				for range (2 * mostGrown << 20) / len(chunk) {
					if _, err := s.Write(chunk); err != nil {
						return // it has heard enough
					}
				}
			})
		})
	}
}

// TestR13_HeadersThatGrow: header sections, and trailers behind a body, of 16 KiB that decode to
// many times as much (CVE-2025-64702, CVE-2026-40898), on as many streams as there can be.
func TestR13_HeadersThatGrow(t *testing.T) {
	bomb := manyFields(4_000)
	for name, begin := range map[string][]byte{
		"headers": frame3(1, request(methodGet, "/v1/relay/poll", bomb)),
		"trailers": append(append(frame3(1, request(methodPost, keyserver.EndpointPutChunk.Path,
			append([]byte{0x5f, 0x1d, byte(len(keyserver.MediaType))}, keyserver.MediaType...))), // content-type, of the static table
			frame3(0, []byte("a body"))...), frame3(1, append([]byte{0, 0}, bomb...))...),
	} {
		t.Run(name, func(t *testing.T) {
			withstands(t, func(g greeting) {
				for range 20 {
					c := bareQUIC(t, g)
					for range 16 {
						s := opened(t, c)
						if _, err := s.Write(begin); err != nil {
							if _, ok := errors.AsType[*quic.StreamError](err); !ok {
								t.Fatal(err)
							}
						}
						_, _ = s.Read(make([]byte, 1)) // what it thinks of that
					}
				}
			})
		})
	}
}
