package relayclient

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// polling runs test over long polling, whose session has begun.
func polling(t *testing.T, test func(t *testing.T, p *peer, conn *Conn)) {
	t.Helper()
	bubbleOf(t, []Transport{LongPolling}, func(t *testing.T, p *peer) {
		conn := p.dial()
		test(t, p, conn)
		conn.Close()
	}, honest)
}

// Connections are cut all the time, within requests and within answers: the session goes on,
// every call gets its answer, and every entry comes once and in order.
func TestPollSurvivesCuts(t *testing.T) {
	bubbleOf(t, []Transport{LongPolling}, func(t *testing.T, p *peer) {
		dial, dials := p.opt.DialNet, 0
		var mu sync.Mutex
		seed := rand.New(rand.NewPCG(1, 2))
		p.opt.DialNet = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			c := &cutConn{Conn: conn}
			c.left.Store(1 << 20)
			mu.Lock()
			defer mu.Unlock()
			if dials++; dials > 1 { // the first carries the opening, which is not repeated
				c.left.Store(4000 + seed.Int64N(12000))
			}
			return c, err
		}
		conn := p.dial()
		s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		const n = 300
		var calls []*Call
		for i := range n {
			calls = append(calls, conn.Append(queue, id(uint64(i)), key("writer"), envelope(uint64(i))))
		}
		for seq := uint64(0); seq < n+3; {
			e, open := <-s.Events()
			if !open {
				t.Fatalf("the session ended: %v", s.Err())
			}
			for _, entry := range e.(Delivery).Entries {
				if seq++; entry.Position.Seq != seq {
					t.Errorf("seq %d after %d", entry.Position.Seq, seq-1)
				}
			}
			s.Ack(seq)
		}
		for i, call := range calls {
			if pos, err := call.Result(); err != nil || pos.Seq != uint64(i)+4 {
				t.Errorf("call %d: %v, %v", i, pos, err)
			}
		}
		conn.Close()
		mu.Lock()
		defer mu.Unlock()
		if dials < 5 {
			t.Errorf("%d connections: nothing was cut", dials)
		}
	}, honest)
}

// What a proxy or a relay answers in the middle of a session: what may pass passes, the rest
// ends it with a reason.
func TestPollAnswers(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	refused := func(err error) bool { _, ok := errors.AsType[*UpgradeError](err); return ok }
	for name, c := range map[string]struct {
		method string
		answer http.HandlerFunc
		times  int32
		ends   func(error) bool // nil: the session goes on
	}{
		"a GET is overtaken":         {http.MethodGet, status(409), 1, nil},
		"a POST is overtaken":        {http.MethodPost, status(409), 1, nil},
		"the proxy lost the relay":   {http.MethodGet, status(502), 4, nil},
		"and for a POST":             {http.MethodPost, status(504), 4, nil},
		"an empty answer":            {http.MethodGet, status(200), 3, nil},
		"nothing, early":             {http.MethodGet, status(204), 3, nil},
		"a success of another kind":  {http.MethodPost, status(200), 1, refused},
		"the session is unknown":     {http.MethodGet, status(404), 1, is(errPollOver)},
		"and for a POST, too":        {http.MethodPost, status(404), 1, is(errPollOver)},
		"a redirect":                 {http.MethodGet, status(307), 1, refused},
		"a login page":               {http.MethodPost, status(403), 1, refused},
		"the relay is lost for good": {http.MethodGet, status(502), 1 << 20, is(ErrTimeout)},
		"an endless body": {http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, pollMost+1))
		}, 1, is(ErrProtocol)},
		"noise": {http.MethodGet, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 100)) }, 1, is(ErrProtocol)},
	} {
		t.Run(name, func(t *testing.T) {
			polling(t, func(t *testing.T, p *peer, conn *Conn) {
				var met atomic.Int32
				p.polls.set(func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != c.method || met.Add(1) > c.times {
						return false
					}
					io.Copy(io.Discard, r.Body)
					c.answer(w, r)
					return true
				})
				_, first := conn.Append(queue, id(1), key("writer"), envelope(0)).Result() // before or behind the held GET
				_, err := conn.Append(queue, id(2), key("writer"), envelope(0)).Result()
				for i := range 2 {
					<-time.After(pollHeld + time.Second)
					_, err = conn.Append(queue, id(uint64(3+i)), key("writer"), envelope(0)).Result()
				}
				switch {
				case met.Load() == 0:
					t.Error("nothing was meddled with")
				case c.ends == nil && (first != nil || err != nil):
					t.Errorf("the session ended: %v, %v", first, err)
				case c.ends != nil && (!errors.Is(err, ErrDisconnected) || !c.ends(conn.Err())):
					t.Errorf("the session ended with %v, the call with %v", conn.Err(), err)
				}
				if n := met.Load(); n > 100 {
					t.Errorf("asked %d times in a minute", n)
				}
			})
		})
	}
}

// A relay that answers no POST holds a writer for 30 seconds, one that answers no GET a
// session for little more than a minute.
func TestPollStalls(t *testing.T) {
	for method, limit := range map[string]time.Duration{http.MethodPost: writeTimeout, http.MethodGet: deadAfter} {
		polling(t, func(t *testing.T, p *peer, conn *Conn) {
			p.polls.set(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == method {
					io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
				}
				return r.Method == method
			})
			start := time.Now()
			conn.Append(queue, id(1), key("writer"), envelope(0)).Result() // its answer comes by the GET that was held before
			conn.Append(queue, id(2), key("writer"), envelope(0)).Result()
			<-conn.Done()
			if d := time.Since(start); !errors.Is(conn.Err(), ErrTimeout) || d > limit || d < limit/2 {
				t.Errorf("%s: after %v: %v", method, d, conn.Err())
			}
		})
	}
}

// An opening that is no opening.
func TestPollOpening(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"no token": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) },
		"a path": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			io.WriteString(w, "../../../../v1/account")
		},
		"a long token":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.Write(make([]byte, 1<<20)) },
		"another status": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "0123456789012345678901") },
	} {
		bubbleOf(t, []Transport{LongPolling}, func(t *testing.T, p *peer) {
			p.gate = func(_ Transport, w http.ResponseWriter, r *http.Request) bool { answer(w, r); return true }
			_, err := Dial(t.Context(), p.addr, p.opt)
			_, refused := errors.AsType[*UpgradeError](err)
			if !errors.Is(err, ErrProtocol) && !refused {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}
