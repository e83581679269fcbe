package relayclient

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/relay/session"
)

const ms = time.Millisecond

// hole is a network that swallows UDP.
type hole struct {
	net.PacketConn
	closed context.Context
	close  context.CancelFunc
}

func dig(context.Context, string, string) (net.PacketConn, error) {
	h := hole{}
	h.closed, h.close = context.WithCancel(context.Background())
	return h, nil
}

func (h hole) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), h.closed.Err() }
func (h hole) LocalAddr() net.Addr                       { return &net.UDPAddr{IP: net.IPv4zero, Port: 9} }
func (h hole) SetReadDeadline(time.Time) error           { return nil }
func (h hole) SetReadBuffer(int) error                   { return nil }
func (h hole) SetWriteBuffer(int) error                  { return nil }

func (h hole) ReadFrom([]byte) (int, net.Addr, error) {
	<-h.closed.Done()
	return 0, nil, net.ErrClosed
}

func (h hole) Close() error {
	h.close()
	return nil
}

// swallow is a gate that never answers what is asked over one of ts.
func swallow(ts ...Transport) func(Transport, http.ResponseWriter, *http.Request) bool {
	return turn(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ts)
}

// refuse is a gate as of a proxy that lets one of ts not through.
func refuse(ts ...Transport) func(Transport, http.ResponseWriter, *http.Request) bool {
	return turn(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }, ts)
}

func turn(away http.HandlerFunc, ts []Transport) func(Transport, http.ResponseWriter, *http.Request) bool {
	return func(t Transport, w http.ResponseWriter, r *http.Request) bool {
		if slices.Contains(ts, t) {
			away(w, r)
			return true
		}
		return false
	}
}

// The race on a fake clock, over a network without latency: who wins, and when. A network that
// swallows what it does not know costs well under a second.
func TestRace(t *testing.T) {
	for name, c := range map[string]struct {
		udp    bool
		gate   func(Transport, http.ResponseWriter, *http.Request) bool
		winner Transport
		at     time.Duration
	}{
		"everything works":                      {true, nil, WebTransport, 0},
		"UDP is swallowed":                      {false, nil, WebSocket, 200 * ms},
		"UDP is swallowed and upgrades refused": {false, refuse(WebSocket), LongPolling, 600 * ms},
		"UDP and upgrades are swallowed":        {false, swallow(WebSocket), LongPolling, 600 * ms},
		"WebTransport is refused":               {true, refuse(WebTransport), WebSocket, 0},
		"WebTransport is swallowed behind QUIC": {true, swallow(WebTransport), WebSocket, 200 * ms},
		"all but plain requests are refused":    {true, refuse(WebTransport, WebSocket), LongPolling, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubbleOf(t, nil, func(t *testing.T, p *peer) {
				p.gate = c.gate
				if !c.udp {
					p.opt.ListenPacket = dig
				}
				start := time.Now()
				conn, err := Dial(t.Context(), p.addr, p.opt)
				if err != nil {
					t.Fatal(err)
				}
				// QUIC counts in milliseconds, and delays its acknowledgements.
				if at := time.Since(start); conn.Transport() != c.winner || at < c.at || at > c.at+60*ms {
					t.Errorf("%v won after %v, want %v after %v", conn.Transport(), at, c.winner, c.at)
				}
				if _, err := conn.Append(queue, id(1), key("writer"), envelope(0)).Result(); err != nil {
					t.Errorf("the winner: %v", err)
				}
				conn.Close()
			}, honest)
		})
	}
}

// When all fail the error tells each, and an impostor is not hidden by whoever is only silent.
func TestRaceLost(t *testing.T) {
	bubbleOf(t, nil, func(t *testing.T, p *peer) {
		p.opt.ListenPacket = dig
		p.gate = refuse(WebSocket)
		start := time.Now()
		_, err := Dial(t.Context(), p.addr, p.opt)
		status, ok := errors.AsType[*UpgradeError](err)
		if !ok || status.Status != http.StatusForbidden || time.Since(start) > dialTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		for _, t2 := range all {
			if !strings.Contains(err.Error(), t2.String()+": ") {
				t.Errorf("nothing of %v in %q", t2, err)
			}
		}
	})
	bubbleOf(t, nil, func(t *testing.T, p *peer) {
		p.addr.Key = otherKey(t)
		p.gate = swallow(WebTransport, LongPolling)
		start := time.Now()
		_, err := Dial(t.Context(), p.addr, p.opt)
		if !errors.Is(err, ErrTimeout) || time.Since(start) != dialTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if !strings.Contains(err.Error(), "WebSocket: ") || strings.Contains(err.Error(), "WebSocket: relayclient: the relay does not respond") {
			t.Errorf("what WebSocket met is hidden: %v", err)
		}
	}, (*link).untilClosed)
	if _, err := Dial(t.Context(), (&peer{}).addr, Options{}); err == nil {
		t.Error("an empty address was dialled")
	}
}

func otherKey(t *testing.T) (k [32]byte) {
	other, err := session.NewPrivateKey([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return other.Public()
}

// Who answers one transport without the relay's certificate is told of in the log, though
// another transport reached the relay.
func TestImpostorOnOneTransport(t *testing.T) {
	bubbleOf(t, nil, func(t *testing.T, p *peer) {
		var logged bytes.Buffer
		p.opt.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		ended, stop := context.WithCancel(t.Context())
		impostor, down := newPeer(t, &pipeListener{ended: ended}, nil)
		air := &air{}
		p.opt.ListenPacket = air.listen
		quicDown := impostor.serveQUIC(air.endpoint(netip.MustParseAddrPort(p.addr.Host)))
		conn, err := Dial(t.Context(), p.addr, p.opt)
		if err != nil || conn.Transport() != WebSocket {
			t.Fatalf("%v", err)
		}
		conn.Close()
		if !strings.Contains(logged.String(), "not the relay") || strings.Contains(logged.String(), "192.0.2") {
			t.Errorf("logged %q", logged.String())
		}
		quicDown()
		stop()
		down()
	}, (*link).untilClosed)
}

// What won is tried first; after some time, and for another relay, the race is open again.
func TestRemember(t *testing.T) {
	bubbleOf(t, nil, func(t *testing.T, p *peer) {
		p.opt.ListenPacket, p.opt.Remember = dig, new(Memory)
		took := func() time.Duration {
			start := time.Now()
			conn, err := Dial(t.Context(), p.addr, p.opt)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Since(start)
			conn.Close()
			return at
		}
		if at := took(); at != 200*ms {
			t.Errorf("the first dial took %v", at)
		}
		for range 3 {
			if at := took(); at != 0 {
				t.Errorf("what won was not tried first: %v", at)
			}
		}
		<-time.After(memoryLasts)
		if at := took(); at != 200*ms {
			t.Errorf("after %v a dial took %v", memoryLasts, at)
		}
		p.gate = refuse(WebSocket) // what is remembered does not work any more
		if at := took(); at < 200*ms || at > 600*ms {
			t.Errorf("a memory that is wrong cost %v", at)
		}
	}, untilClosed(6)...)
	m := new(Memory)
	for i := range 2 * maxMemory {
		m.note([32]byte{byte(i), byte(i >> 8)}, WebSocket, false)
	}
	if len(m.won) != maxMemory {
		t.Errorf("it remembers %d relays", len(m.won))
	}
}

func untilClosed(n int) (scripts []func(*link)) {
	for range n {
		scripts = append(scripts, (*link).untilClosed)
	}
	return scripts
}

// The losers' sessions are ended: the relay has one when the race is over, also if all three
// were ready at the same moment.
func TestLosersAreEnded(t *testing.T) {
	bubbleOf(t, nil, func(t *testing.T, p *peer) {
		var begun, ended atomic.Int32
		p.gate = func(Transport, http.ResponseWriter, *http.Request) bool {
			<-time.After(700 * ms)
			return false
		}
		script := func(l *link) {
			begun.Add(1)
			l.untilClosed()
			ended.Add(1)
		}
		p.opt.Remember = new(Memory)
		for _, favourite := range all { // the later ones are ahead by being remembered
			p.scripts = []func(*link){script, script, script}
			p.opt.Remember.note(p.addr.Key, favourite, false)
			conn, err := Dial(t.Context(), p.addr, p.opt)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(pollFirstGet + time.Second) // for a session whose opening was cut off half-way
			if open := begun.Load() - ended.Load(); open != 1 {
				t.Errorf("%d sessions are open", open)
			}
			conn.Close()
			synctest.Wait()
			begun.Store(0)
			ended.Store(0)
		}
	})
}

// What cannot be dialled with is not tried; a proxy for TCP alone is not gone past.
func TestOrder(t *testing.T) {
	tcp := func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	for _, c := range []struct {
		opt  Options
		want string
	}{
		{Options{}, "WebTransport WebSocket long polling"},
		{Options{DialNet: tcp}, "WebSocket long polling"},
		{Options{DialNet: tcp, ListenPacket: dig}, "WebTransport WebSocket long polling"},
		{Options{Transports: []Transport{LongPolling, WebSocket, LongPolling, 7}}, "long polling WebSocket"},
		{Options{Transports: []Transport{WebTransport}, DialNet: tcp}, ""},
		{Options{Transports: []Transport{}}, ""},
	} {
		var got []string
		for _, t := range c.opt.order([32]byte{}) {
			got = append(got, t.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v races %q, want %q", c.opt.Transports, got, c.want)
		}
	}
	addr := (&peer{}).addr
	addr.Host = "localhost:1"
	if _, err := Dial(t.Context(), addr, Options{Transports: []Transport{}}); !errors.Is(err, ErrNoTransport) {
		t.Errorf("no transport: %v", err)
	}
}
