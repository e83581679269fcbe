package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// world is everything of one run: servers, members, the network between them, and what happened.
type world struct {
	dir    string
	random *rand.Rand // of the plan
	net    *network
	trace  *trace

	cert      *certpin.Development
	relayAddr relay.Address
	keysAddr  keyserver.Address
	relay     *host
	keys      *host

	members []*member
	rooms   []*room
	said    int             // messages so far
	unsure  map[string]bool // whose sender died while it was asked to send it

	keyWatch *Keys // nil: nobody tells of keys
	exact    bool  // nothing interrupts a goroutine (package oneorder)

	aged     bool // days went by
	restored bool // the relay's disk was an old one once
}

// room is a group.
type room struct {
	name    string
	id      clientlib.ConversationID
	founder *member
	sent    map[string]*member // text to who was asked to send it
}

func newWorld(seed uint64, dir string, o Options) (*world, error) {
	w := &world{dir: dir, exact: o.Exact, keyWatch: o.Keys, unsure: map[string]bool{}, random: stream(seed, "plan"), net: newNetwork(seed), trace: newTrace()}
	w.net.watch = func(direction, name string, n int) { w.trace.carried(o.Wire, name, direction, n) }
	if err := w.servers(); err != nil {
		return nil, err
	}
	if o.Watch != nil {
		o.Watch(w.relay.passes)
	}
	for _, h := range []*host{w.relay, w.keys} {
		if err := h.start(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// people registers so many members, who know each other.
func (w *world) people(count int) error {
	for n := range count {
		m := w.newMember(n)
		w.members = append(w.members, m)
		if err := m.open(); err != nil {
			return err
		}
		err := m.call(func(ctx context.Context, c *clientlib.Client) (err error) {
			if err = c.Register(ctx, m.name); err == nil {
				m.account, _, err = c.Account(ctx)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s does not register: %w", m.name, err)
		}
	}
	for _, m := range w.members {
		for _, other := range w.members {
			if m == other {
				continue
			}
			err := m.call(func(ctx context.Context, c *clientlib.Client) error {
				_, err := c.Find(ctx, other.name)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s does not find %s: %w", m.name, other.name, err)
			}
		}
	}
	return nil
}

// found has a member found a room with others.
func (w *world) found(founder *member, others ...*member) error {
	r := &room{name: fmt.Sprintf("room%d", len(w.rooms)), founder: founder, sent: map[string]*member{}}
	var accounts []keyserver.AccountID
	for _, m := range others {
		accounts = append(accounts, m.account)
	}
	err := founder.call(func(ctx context.Context, c *clientlib.Client) (err error) {
		r.id, err = c.CreateGroup(ctx, r.name, accounts...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s does not found %s: %w", founder.name, r.name, err)
	}
	w.rooms = append(w.rooms, r)
	w.trace.add("%s founds %s with %s", founder.name, r.name, names(others))
	return nil
}

func names(members []*member) (out string) {
	for _, m := range members {
		out += m.name[len("member"):]
	}
	return out
}

// who names an account.
func (w *world) who(a keyserver.AccountID) string {
	for _, m := range w.members {
		if m.account == a {
			return m.name
		}
	}
	return "-"
}

func (w *world) roomOf(id clientlib.ConversationID) string {
	for _, r := range w.rooms {
		if r.id == id {
			return r.name
		}
	}
	return "-"
}

// describe is an event without anything that chance decides.
func (w *world) describe(ev clientlib.Event) string {
	out := fmt.Sprintf("%s, %s, of %s", ev.Kind, w.roomOf(ev.Conversation), w.who(ev.Account))
	if m, err := ev.Content(); ev.Kind == clientlib.EventMessage && err == nil {
		out += ": " + m.PlainText()
	}
	if ev.From != 0 || ev.To != 0 {
		out += fmt.Sprintf(" [%d,%d]", ev.From, ev.To)
	}
	return out + " " + ev.Detail
}

// end stops everything.
func (w *world) end() error {
	errs := []error{w.bury()}
	for _, m := range w.members {
		errs = append(errs, m.close())
	}
	for _, h := range []*host{w.relay, w.keys} {
		if h.up() {
			errs = append(errs, h.stop(w.net.those(func(c *connection) bool { return c.host == h.name })))
		}
	}
	return errors.Join(errs...)
}

// pass lets time pass.
func (w *world) pass(d time.Duration) { time.Sleep(d) }
