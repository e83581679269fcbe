package clientlib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/httpserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayserver"
	"github.com/sealpost/sealpost/relay/session"
)

// servers are a relay and a key server on real sockets and disks, in this process.
type servers struct {
	t     *testing.T
	dir   string
	key   session.PrivateKey
	cert  *certpin.Development
	addr  string
	relay relay.Address
	keys  keyserver.Address

	rs   *relayserver.Server
	ks   *httpserver.Server
	http *http.Server
	wg   sync.WaitGroup

	wrap   func(http.Handler) http.Handler // stands before both, if set
	queues relayserver.QueueLimits
	rules  *mls.Application // of the users' groups, if set
	votes  time.Duration    // their votePatience, if set

	restored bool // the next start is from a backup of the relay's
}

// newServers names the servers without starting them.
func newServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{t: t, dir: t.TempDir()}
	var err error
	if s.key, err = session.NewPrivateKey([32]byte(newSecret())); err != nil {
		t.Fatal(err)
	}
	if s.cert, err = certpin.OpenDevelopment(s.dir); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	l.Close()
	host, port, _ := net.SplitHostPort(s.addr)
	n, _ := strconv.ParseUint(port, 10, 16)
	pin := s.cert.Pin()
	s.relay = relay.Address{Host: s.addr, Key: s.key.Public(), Pin: new(relay.Hash(pin))}
	s.keys = keyserver.Address{Host: host, Port: uint16(n), Pin: &pin}
	t.Cleanup(s.stop)
	return s
}

func startServers(t *testing.T) *servers {
	s := newServers(t)
	s.start()
	return s
}

func (s *servers) start() {
	s.t.Helper()
	var err error
	s.rs, err = relayserver.Open(relayserver.Config{
		Dir: filepath.Join(s.dir, "relay"), StorageKey: [32]byte{1}, Key: s.key,
		Limits: relayserver.Limits{CreateBurst: 10_000, SessionsPerPrefix: 10_000}, Queues: s.queues, Restored: s.restored,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.ks, err = httpserver.Open(httpserver.Config{
		Dir: filepath.Join(s.dir, "keys"), Key: [32]byte{2},
		Limits: httpserver.Limits{Register: plenty, Upload: plenty, Stock: plenty, Lookup: plenty, Take: plenty},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(relay.Path, s.rs)
	mux.Handle("/", s.ks.Handler())
	handler := http.Handler(mux)
	if s.wrap != nil {
		handler = s.wrap(mux)
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.http = &http.Server{Handler: handler, TLSConfig: s.cert.ServerConfig(), ReadHeaderTimeout: 10 * time.Second}
	s.wg.Go(func() { _ = s.http.ServeTLS(l, "", "") })
}

// plenty is a rate for tests in which one address is a thousand people.
var plenty = httpserver.Rate{Burst: 100_000, Every: time.Millisecond}

func (s *servers) stop() {
	if s.http == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.rs.Shutdown(ctx)
	_ = s.http.Close()
	s.wg.Wait()
	if err := s.ks.Close(); err != nil {
		s.t.Error(err)
	}
	s.http = nil
}

// inVain is how long a test waits for what does not come. Many tests run at once, some under the
// race detector, on few cores.
const inVain = 3 * time.Minute

// user is a device with an app that confirms every event.
type user struct {
	*Client
	t      *testing.T
	name   string
	cfg    Config
	id     keyserver.AccountID
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	events []Event
	news   chan struct{}
}

func (s *servers) newUser(name string) *user {
	u := &user{
		t: s.t, name: name, news: make(chan struct{}),
		cfg: Config{
			Path: filepath.Join(s.t.TempDir(), name+".db"), Relay: s.relay, KeyServer: s.keys, votes: s.votes,
			Transports: []Transport{WebSocket}, // the servers listen on TCP alone; the demo has all three
		},
	}
	if s.rules != nil {
		u.cfg.rules = new(*s.rules) // its own: some tests change one user's
	}
	copy(u.cfg.Key[:], name)
	u.open()
	s.t.Cleanup(u.close)
	return u
}

func (s *servers) register(name string) *user {
	s.t.Helper()
	u := s.newUser(name)
	u.must(u.Register(u.ctx(), name))
	u.know()
	return u
}

func (u *user) know() {
	u.t.Helper()
	var err error
	u.id, _, err = u.Account(u.ctx())
	u.must(err)
}

func (u *user) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), inVain)
	u.t.Cleanup(cancel)
	return ctx
}

func (u *user) must(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatalf("%s: %v", u.name, err)
	}
}

func (u *user) open() {
	u.t.Helper()
	c, err := Open(u.cfg)
	u.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	u.Client, u.cancel = c, cancel
	u.wg.Go(func() {
		for ev, err := range c.Events(ctx) {
			if err != nil {
				return
			}
			u.mu.Lock()
			if n := len(u.events); n > 0 && reflect.DeepEqual(ev, u.events[n-1]) { // closed before it was confirmed: told again
				u.events = u.events[:n-1]
			}
			u.events = append(u.events, ev)
			close(u.news)
			u.news = make(chan struct{})
			u.mu.Unlock()
			if c.Confirm(ctx, ev.ID) != nil {
				return
			}
		}
	})
}

func (u *user) close() {
	if u.Client == nil {
		return
	}
	u.cancel()
	u.wg.Wait()
	if err := u.Client.Close(); err != nil {
		u.t.Error(err)
	}
	u.Client = nil
}

// await waits until ok holds for the events so far.
func (u *user) await(what string, ok func([]Event) bool) {
	u.t.Helper()
	timeout := time.After(inVain)
	for {
		u.mu.Lock()
		news, done := u.news, ok(u.events)
		u.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-timeout:
			u.mu.Lock()
			defer u.mu.Unlock()
			u.t.Fatalf("%s waits for %s in vain; events: %s", u.name, what, describe(u.events))
		}
	}
}

func describe(events []Event) (out string) {
	for _, ev := range events {
		out += fmt.Sprintf("\n  %s %s %s", ev.Kind, ev.Conversation, ev.Detail)
		if m, err := ev.Content(); err == nil {
			out += " " + m.PlainText()
		}
	}
	return out
}

// awaitText waits for messages with these texts.
func (u *user) awaitText(texts ...string) {
	u.t.Helper()
	u.await(fmt.Sprintf("%q", texts), func(events []Event) bool {
		have := map[string]int{}
		for _, ev := range events {
			if m, err := ev.Content(); ev.Kind == EventMessage && err == nil {
				have[m.PlainText()]++
			}
		}
		for _, text := range texts {
			if have[text] == 0 {
				return false
			}
		}
		return true
	})
}

func (u *user) awaitKind(kind EventKind, count int) {
	u.t.Helper()
	u.await(fmt.Sprintf("%d times %s", count, kind), func(events []Event) bool { return u.count(events, kind) >= count })
}

func (u *user) count(events []Event, kind EventKind) (n int) {
	for _, ev := range events {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

func (u *user) say(id ConversationID, text string) MessageID {
	u.t.Helper()
	m, err := u.Send(u.ctx(), id, content.Text(text))
	u.must(err)
	return m
}

// texts is the conversation as this user has it.
func (u *user) texts(id ConversationID) (out []string) {
	u.t.Helper()
	for en, err := range u.History(u.ctx(), id) {
		u.must(err)
		out = append(out, en.Text)
	}
	return out
}

// group makes a group of the first user with the others, and waits until all are in it.
func group8(id *ConversationID, users ...*user) {
	founder := users[0]
	founder.t.Helper()
	var members []keyserver.AccountID
	for _, u := range users[1:] {
		a, err := founder.Find(founder.ctx(), u.name)
		founder.must(err)
		members = append(members, a)
	}
	var err error
	*id, err = founder.CreateGroup(founder.ctx(), "group", members...)
	founder.must(err)
	for _, u := range users[1:] {
		u.await("the group", func(events []Event) bool {
			return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventJoined && ev.Conversation == *id })
		})
	}
}

// epoch is what members of one group agree on.
func (u *user) epoch(id ConversationID) (epoch uint64, authenticator string) {
	u.t.Helper()
	epoch, value, err := u.EpochAuthenticator(u.ctx(), id)
	u.must(err)
	return epoch, string(value)
}

// logged returns how many entries the conversation's log has, and how many of them this
// user could make nothing of.
func (u *user) logged(id ConversationID) (entries, skipped uint64) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		g := u.eng.primary(id)
		if g == nil {
			return errors.New("no group")
		}
		entries, skipped = g.cursor.Seq, g.skipped
		return nil
	}))
	return entries, skipped
}

// quiet waits until nothing of the user waits for the network.
func (u *user) quiet() {
	u.t.Helper()
	u.until("everything to be sent", func() bool {
		messages, changes, err := u.Pending(u.ctx())
		u.must(err)
		return messages == 0 && changes == 0
	})
}

// until waits for what no event tells.
func (u *user) until(what string, ok func() bool) {
	u.t.Helper()
	for deadline := time.Now().Add(inVain); !ok(); {
		if time.Now().After(deadline) {
			u.t.Fatalf("%s waits for %s in vain", u.name, what)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-u.eng.done:
			u.t.Fatal(u.eng.reason())
		}
	}
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}
