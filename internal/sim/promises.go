package sim

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/history"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
)

// After the faults everything must come to rest within this time, with nobody doing anything.
const settleWithin = 6 * time.Hour

// settleEvery is after how long it is looked for the first time whether it has; each further look
// comes a fifth later than the one before.
const settleEvery = 20 * time.Second

// recover ends all faults.
func (w *world) recover() error {
	w.trace.add("all faults end")
	if err := w.bury(); err != nil {
		return err
	}
	w.relay.doom = doom{} // of the apps burying has put the fuses out
	for _, m := range w.members {
		w.net.change(m.name, func(l *link) { l.down, l.cuts = false, 0 })
	}
	if err := w.serverStarts(); err != nil {
		return err
	}
	if err := w.appStarts(); err != nil {
		return err
	}
	return nil
}

// accompany has who is alone in a room add somebody: what it wrote waits for a reader.
func (w *world) accompany() {
	for _, r := range w.rooms {
		_ = r.founder.call(func(ctx context.Context, c *clientlib.Client) error {
			for _, m := range w.members {
				if m != r.founder && len(active(ctx, c, r.id)) == 1 {
					w.trace.add("%s is alone in %s and adds %s", r.founder.name, r.name, m.name)
					return c.AddMembers(ctx, r.id, m.account)
				}
			}
			return nil
		})
	}
}

// settle waits until nothing waits any more and all members of each room agree. It returns what
// is still open at the end of its time.
func (w *world) settle() (open []string) {
	every := settleEvery
	for deadline := time.Now().Add(settleWithin); time.Now().Before(deadline); every += every / 5 {
		w.pass(every + time.Duration(w.random.IntN(1000)))
		w.tidy()
		w.accompany()
		if open = w.unsettled(); len(open) == 0 {
			w.trace.add("everything is at rest")
			return nil
		}
	}
	return open
}

// view is a room as one member has it.
type view struct {
	active        bool
	members       []keyserver.AccountID
	epoch         uint64
	authenticator []byte
	history       []history.Entry
}

func (m *member) view(r *room) (v view, err error) {
	err = m.call(func(ctx context.Context, c *clientlib.Client) error {
		v.members = active(ctx, c, r.id)
		if v.active = v.members != nil; v.active {
			if v.epoch, v.authenticator, err = c.EpochAuthenticator(ctx, r.id); err != nil {
				return err
			}
		}
		for en, err := range c.History(ctx, r.id) {
			if err != nil {
				return err
			}
			v.history = append(v.history, en)
		}
		return nil
	})
	slices.SortFunc(v.members, func(a, b keyserver.AccountID) int { return bytes.Compare(a[:], b[:]) })
	return v, err
}

// unsettled says what still waits, and who is not with the others.
func (w *world) unsettled() (open []string) {
	for _, m := range w.members {
		if m.outside || m.old && w.restored {
			continue
		}
		err := m.call(func(ctx context.Context, c *clientlib.Client) error {
			messages, changes, err := c.Pending(ctx)
			if err == nil && messages+changes > 0 {
				open = append(open, fmt.Sprintf("%s: %d messages and %d changes wait", m.name, messages, changes))
			}
			return err
		})
		if err != nil {
			open = append(open, fmt.Sprintf("%s: %v", m.name, err))
		}
	}
	for _, r := range w.rooms {
		open = append(open, w.apart(r)...)
	}
	return open
}

// apart compares the members of a room with its founder, who is never removed.
func (w *world) apart(r *room) (open []string) {
	first, err := r.founder.view(r)
	if err != nil || !first.active {
		return []string{fmt.Sprintf("%s: its founder is not in it: %v", r.name, err)}
	}
	for _, m := range w.members {
		v, err := m.view(r)
		if err != nil {
			return []string{fmt.Sprintf("%s: %s: %v", r.name, m.name, err)}
		}
		if m.old && (w.restored || m.unheard(r)) {
			continue // its copy knows of no way back
		}
		switch should := slices.Contains(first.members, m.account); {
		case v.active && !should && m.unheard(r):
			m.outside = true
		case should != v.active:
			open = append(open, fmt.Sprintf("%s: %s is a member %v, and takes itself for one %v", r.name, m.name, should, v.active))
		case should && (v.epoch != first.epoch || !bytes.Equal(v.authenticator, first.authenticator)):
			open = append(open, fmt.Sprintf("%s: %s is in epoch %d, %s in %d, or they are apart", r.name, m.name, v.epoch, r.founder.name, first.epoch))
		case should && !slices.Equal(v.members, first.members):
			open = append(open, fmt.Sprintf("%s: %s and %s have different members", r.name, m.name, r.founder.name))
		}
	}
	return open
}

// unheard reports whether a member was told that the relay does not know it. Who is removed
// before it has read anything hears no more than that.
func (m *member) unheard(r *room) bool {
	return slices.ContainsFunc(m.all(), func(ev clientlib.Event) bool {
		return ev.Kind == clientlib.EventFailed && ev.Conversation == r.id && strings.HasPrefix(ev.Detail, "the relay does not know this device")
	})
}

// check compares what everybody has at the end with what was promised.
func (w *world) check() (broken []string) {
	for _, m := range w.members {
		for _, p := range m.problems {
			broken = append(broken, m.name+": "+p)
		}
	}
	err := w.relay.run.check(context.Background(), func(f shard.Finding) {
		broken = append(broken, fmt.Sprintf("the relay's store: %s: %s", f.Where, f.What))
	})
	if err != nil {
		broken = append(broken, fmt.Sprintf("the relay's store is not checked: %v", err))
	}
	for _, r := range w.rooms {
		l := newLedger(w, r)
		l.collect()
		l.compare()
		broken = append(broken, l.broken...)
	}
	return broken
}
