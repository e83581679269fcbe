package sim

import (
	"context"
	"fmt"
	"runtime"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/keyserver"
)

// step is one thing that may happen next.
type step struct {
	weight int
	do     func(*world) error
}

// steps are all that may happen, the frequent ones first.
var steps = []step{
	{30, (*world).say},
	{5, (*world).burst},
	{5, (*world).renew},
	{3, (*world).add},
	{3, (*world).remove},
	{4, (*world).cuts},
	{4, (*world).outage},
	{4, (*world).appCrashes},
	{8, (*world).appDies},
	{4, (*world).appEnds},
	{4, (*world).appStarts},
	{4, (*world).serverCrashes},
	{4, (*world).relayDies},
	{6, (*world).serverStarts},
	{1, (*world).ages},
	{2, (*world).backup},
	{1, (*world).restore},
	{4, (*world).storeCopied},
	{3, (*world).storeCopiedBack},
}

// play has so many things happen, with some time between them: often too little for anything to
// get to its end.
func (w *world) play(count int) error {
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	for range count {
		n := w.random.IntN(total)
		for _, s := range steps {
			if n -= s.weight; n < 0 {
				if err := s.do(w); err != nil {
					return err
				}
				break
			}
		}
		w.pass(w.pause())
		synctest.Wait()
		if err := w.bury(); err != nil {
			return err
		}
		w.tidy()
	}
	return nil
}

// bury ends what has died meanwhile.
func (w *world) bury() error {
	for _, m := range w.members {
		if err := m.bury(); err != nil {
			return err
		}
	}
	return w.relay.bury()
}

// tidy keeps the memory of a run within bounds. The collector runs here alone, while everybody
// waits: at any other moment it would be chance.
func (w *world) tidy() {
	var now runtime.MemStats
	if runtime.ReadMemStats(&now); now.HeapAlloc > heapEnough {
		runtime.GC()
	}
}

// heapEnough is how much may be in use, garbage with it, before the collector runs.
const heapEnough = 256 << 20

// pause is drawn to the nanosecond, like every delay.
func (w *world) pause() time.Duration {
	longest := time.Second
	switch n := w.random.IntN(100); {
	case n < 60:
		longest = 60 * time.Millisecond
	case n >= 99:
		longest = time.Hour
	case n >= 93:
		longest = 2 * time.Minute
	}
	return time.Duration(1 + w.random.Int64N(int64(longest)))
}

func (w *world) anyone() *member { return w.members[w.random.IntN(len(w.members))] }
func (w *world) anywhere() *room { return w.rooms[w.random.IntN(len(w.rooms))] }

// say has somebody write a message. Who is not in the room, or not there at all, does not.
func (w *world) say() error {
	m, r := w.anyone(), w.anywhere()
	w.write(m, r)
	return nil
}

func (w *world) write(m *member, r *room) {
	if m.client == nil {
		return
	}
	text := fmt.Sprintf("%s-%d", r.name, w.said)
	w.said++
	err := m.call(func(ctx context.Context, c *clientlib.Client) error {
		_, err := c.Send(ctx, r.id, content.Text(text))
		return err
	})
	w.trace.add("%s says %s: %v", m.name, text, err)
	if err == nil {
		r.sent[text], w.unsure[text] = m, !m.alive() // it may have died before the message was in its store
	}
}

func (w *world) burst() error {
	m, r := w.anyone(), w.anywhere()
	for range 2 + w.random.IntN(10) {
		w.write(m, r)
		w.pass(time.Duration(1 + w.random.IntN(1000)))
	}
	return nil
}

// change has a member change a room.
func (w *world) change(what string, m *member, fn func(ctx context.Context, c *clientlib.Client) error) error {
	if m.client != nil {
		w.trace.add("%s %s: %v", m.name, what, m.call(fn))
	}
	return nil
}

func (w *world) renew() error {
	m, r := w.anyone(), w.anywhere()
	return w.change("renews its keys in "+r.name, m, func(ctx context.Context, c *clientlib.Client) error { return c.RenewKeys(ctx, r.id) })
}

func (w *world) add() error {
	m, other, r := w.anyone(), w.anyone(), w.anywhere()
	if m == other {
		return nil
	}
	return w.change("adds "+other.name+" to "+r.name, m, func(ctx context.Context, c *clientlib.Client) error {
		if active(ctx, c, r.id) == nil {
			return nil
		}
		return c.AddMembers(ctx, r.id, other.account)
	})
}

// remove has a room's founder, its admin, remove somebody.
func (w *world) remove() error {
	r := w.anywhere()
	m, other := r.founder, w.anyone()
	if m == other {
		return nil
	}
	return w.change("removes "+other.name+" from "+r.name, m, func(ctx context.Context, c *clientlib.Client) error {
		return c.RemoveMember(ctx, r.id, other.account)
	})
}

// active returns a conversation's members, nil if the client is not in it.
func active(ctx context.Context, c *clientlib.Client, id clientlib.ConversationID) []keyserver.AccountID {
	all, err := c.Conversations(ctx)
	if err != nil {
		return nil
	}
	for _, conv := range all {
		if conv.ID == id && conv.Active {
			return conv.Members
		}
	}
	return nil
}

// cuts makes a member's network cut connections at random bytes, or no more.
func (w *world) cuts() error {
	m, share := w.anyone(), []int{0, 30, 100}[w.random.IntN(3)]
	w.trace.add("%s: of a hundred connections %d are cut", m.name, share)
	w.net.change(m.name, func(l *link) { l.cuts = share })
	return nil
}

// outage takes a member's network away, or gives it back.
func (w *world) outage() error {
	m := w.anyone()
	w.net.change(m.name, func(l *link) {
		l.down = !l.down
		w.trace.add("%s: network down is %v", m.name, l.down)
	})
	return nil
}

func (w *world) appCrashes() error {
	return w.crashApp(w.anyone())
}

func (w *world) crashApp(m *member) error {
	if err := m.bury(); err != nil || m.client == nil {
		return err
	}
	w.trace.add("%s: the app crashes", m.name)
	return m.crash()
}

// appDies has an app die at one of the next things that it writes to the network, whatever it does
// then; without a runtime that nothing interrupts only where all of it waits, since nobody could
// copy a disk that is being written to.
func (w *world) appDies() error {
	m, after := w.anyone(), 1+w.random.IntN(12)
	if !w.exact {
		return w.crashApp(m)
	}
	m.mu.Lock()
	m.fuse = after
	m.mu.Unlock()
	w.trace.add("%s: the app will die at the %d. write", m.name, after)
	return nil
}

func (w *world) appEnds() error {
	m := w.anyone()
	if err := m.bury(); err != nil || m.client == nil {
		return err
	}
	w.trace.add("%s: the app ends", m.name)
	return m.close()
}

func (w *world) appStarts() error {
	for _, m := range w.members {
		if err := m.bury(); err != nil {
			return err
		}
		if m.client == nil {
			w.trace.add("%s: the app starts", m.name)
			if err := m.open(); err != nil {
				return err
			}
			w.pass(w.pause())
		}
	}
	return nil
}

func (w *world) serverCrashes() error {
	h := w.relay
	if w.random.IntN(4) == 0 {
		h = w.keys
	}
	if !h.up() {
		return nil
	}
	w.trace.add("%s crashes", h.name)
	return h.crash()
}

// relayDies has the relay end at one of the next crash points, where a state of its own is left on
// its disk; without a runtime that nothing interrupts only where it waits.
func (w *world) relayDies() error {
	after, e := 1+w.random.IntN(60), end(w.random.IntN(3))
	if !w.relay.up() {
		return nil
	}
	if !w.exact {
		w.trace.add("%s crashes", w.relay.name)
		return w.relay.crash()
	}
	if err := w.relay.bury(); err != nil || !w.relay.up() {
		return err
	}
	w.trace.add("%s will die at the %d. crash point: %s", w.relay.name, after, e)
	return w.relay.dies(after, e)
}

func (w *world) serverStarts() error {
	if err := w.relay.bury(); err != nil {
		return err
	}
	for _, h := range []*host{w.relay, w.keys} {
		if !h.up() {
			w.trace.add("%s starts", h.name)
			if err := h.start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// ages lets days go by while nobody is there, and no server: Badger looks twenty times a second
// whether there is something to compact, which makes a month of made-up time cost hours.
func (w *world) ages() error {
	if w.aged {
		return nil // once is enough: what somebody was invited with lasts 27 days, and nothing replaces it
	}
	w.aged = true
	if err := w.bury(); err != nil {
		return err
	}
	for _, m := range w.members {
		if err := m.close(); err != nil {
			return err
		}
	}
	for _, h := range []*host{w.relay, w.keys} {
		if h.up() {
			if err := h.crash(); err != nil {
				return err
			}
		}
	}
	days := 1 + w.random.IntN(20)
	w.trace.add("nobody is there for %d days", days)
	w.pass(time.Duration(days)*24*time.Hour + time.Duration(w.random.Int64N(int64(time.Hour))))
	return w.serverStarts()
}

// backup keeps a copy of the relay's disk.
func (w *world) backup() error {
	if !w.relay.up() {
		return nil
	}
	w.trace.add("the relay's disk is backed up")
	return w.relay.backup()
}

// restore puts the relay's disk back as it was at the last backup.
func (w *world) restore() error {
	if w.relay.saved == "" {
		return nil
	}
	w.trace.add("the relay's disk is put back")
	w.restored = true
	return w.relay.restore()
}
