package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/keyserver"
)

// member is a person with one device and an app that confirms every event.
type member struct {
	w       *world
	name    string
	account keyserver.AccountID
	cfg     clientlib.Config
	lives   int
	client  *clientlib.Client // nil while the app does not run
	stop    context.CancelFunc
	ended   chan struct{}
	copy    *copied // nil: there is none
	old     bool    // its store was an old copy once
	outside bool    // removed from a room before it could read there: its messages wait for ever

	mu       sync.Mutex
	fuse     int                        // so many writes to the network until the app dies in the middle of something; 0: it does not
	grave    string                     // what its disk was when it died; "": it lives
	events   map[uint64]clientlib.Event // by id: an app is told again what it has not confirmed
	newest   uint64
	problems []string
}

// patience bounds a call of the client's API, which waits for the network only where it says so.
const patience = 2 * time.Minute

func (w *world) newMember(number int) *member {
	m := &member{w: w, name: fmt.Sprintf("member%d", number), events: map[uint64]clientlib.Event{}}
	w.net.attach(m.name, number, m.writing)
	m.cfg = clientlib.Config{
		Path: filepath.Join(w.dir, m.name+"-0", "store.db"), Relay: w.relayAddr, KeyServer: w.keysAddr,
		Transports: []clientlib.Transport{clientlib.WebSocket}, DialContext: w.net.dialer(m.name),
	}
	copy(m.cfg.Key[:], m.name)
	if w.keyWatch != nil {
		m.cfg.Tap = w.keyWatch.tap(m.name)
	}
	return m
}

// open starts the app.
func (m *member) open() error {
	if err := os.MkdirAll(filepath.Dir(m.cfg.Path), 0o700); err != nil {
		return err
	}
	c, err := clientlib.Open(m.cfg)
	if err != nil {
		return fmt.Errorf("%s does not open: %w", m.name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.client, m.stop, m.ended = c, cancel, make(chan struct{})
	go func() {
		defer close(m.ended)
		for ev, err := range c.Events(ctx) {
			if err != nil {
				if !errors.Is(err, context.Canceled) && !errors.Is(err, clientlib.ErrClosed) {
					m.problem("the client ended: %v", err)
				}
				return
			}
			m.told(ev)
			if err := c.Confirm(ctx, ev.ID); err != nil {
				return
			}
		}
	}()
	return nil
}

// told takes an event. One that comes again must be the same.
func (m *member) told(ev clientlib.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grave != "" {
		return // its store does not know that it was told
	}
	if old, again := m.events[ev.ID]; again {
		if old.Kind != ev.Kind || old.Message != ev.Message || !bytes.Equal(old.Body, ev.Body) {
			m.problems = append(m.problems, fmt.Sprintf("event %d came again as another one", ev.ID))
		}
		return
	}
	if ev.ID <= m.newest {
		m.problems = append(m.problems, fmt.Sprintf("event %d comes after %d", ev.ID, m.newest))
	}
	m.newest = ev.ID
	m.events[ev.ID] = ev
	m.w.trace.add("%s is told: %s", m.name, m.w.describe(ev))
}

func (m *member) problem(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.problems = append(m.problems, fmt.Sprintf(format, args...))
}

// close ends the app in order.
func (m *member) close() error {
	if m.client == nil {
		return nil
	}
	m.stop()
	<-m.ended
	err := m.client.Close()
	m.client = nil
	return err
}

// crash ends the app as kill -9 does: its store is what the last transaction left. What was on
// the network, to it or from it, is gone.
func (m *member) crash() error {
	if err := m.bury(); err != nil || m.client == nil {
		return err
	}
	for _, c := range m.w.net.those(func(c *connection) bool { return c.device == m.name }) {
		c.up.swallow()
		c.down.swallow()
		defer c.cut()
	}
	synctest.Wait()
	old, dir := filepath.Dir(m.cfg.Path), m.nextDir()
	if err := copyTree(old, dir); err != nil {
		return err
	}
	m.cfg.Path = filepath.Join(dir, "store.db")
	if err := m.close(); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// writing counts what the app writes to the network, and kills it when it is time: at any line of
// its own, with other goroutines in the middle of theirs. The store is then as it is at that moment.
func (m *member) writing() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fuse == 0 {
		return
	}
	if m.fuse--; m.fuse > 0 {
		return
	}
	grave := m.nextDir()
	if err := copyTree(filepath.Dir(m.cfg.Path), grave); err != nil {
		m.problems = append(m.problems, fmt.Sprintf("its disk is not copied: %v", err))
		return
	}
	m.grave = grave
	m.w.net.kill(m.name)
	m.w.trace.add("%s: the app dies", m.name)
}

// alive reports whether what the app does has any effect.
func (m *member) alive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client != nil && m.grave == ""
}

func (m *member) nextDir() string {
	m.lives++
	return filepath.Join(m.w.dir, fmt.Sprintf("%s-%d", m.name, m.lives))
}

// bury ends an app that has died, and leaves its disk as it was then.
func (m *member) bury() error {
	m.mu.Lock()
	grave := m.grave
	m.fuse = 0
	m.mu.Unlock()
	if grave == "" {
		return nil
	}
	for _, c := range m.w.net.those(func(c *connection) bool { return c.device == m.name }) {
		defer c.cut()
	}
	old := filepath.Dir(m.cfg.Path)
	err := m.close()
	m.cfg.Path = filepath.Join(grave, filepath.Base(m.cfg.Path))
	m.w.net.change(m.name, func(l *link) { l.dead = false })
	m.mu.Lock()
	m.grave = ""
	m.mu.Unlock()
	return errors.Join(err, os.RemoveAll(old))
}

// call runs one call of the client's API.
func (m *member) call(fn func(ctx context.Context, c *clientlib.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return fn(ctx, m.client)
}

// all returns the events in order.
func (m *member) all() []clientlib.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]clientlib.Event, 0, len(m.events))
	for id := uint64(0); id <= m.newest; id++ {
		if ev, ok := m.events[id]; ok {
			out = append(out, ev)
		}
	}
	return out
}
