package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/history"
)

// gather registers the three and puts them into one group.
func (r *run) gather(ctx context.Context) error {
	for _, name := range []string{"alice", "bob", "carol"} {
		p, err := r.newPerson(name)
		if err != nil {
			return err
		}
		r.people = append(r.people, p)
		if err := p.come(); err != nil {
			return err
		}
		if err := p.client.Register(ctx, p.handle); err != nil {
			return fmt.Errorf("registering %s: %w", name, err)
		}
		if p.account, _, err = p.client.Account(ctx); err != nil {
			return err
		}
	}
	alice, bob, carol := r.people[0], r.people[1], r.people[2]
	for _, p := range []*person{bob, carol} {
		if _, err := alice.client.Find(ctx, p.handle); err != nil {
			return fmt.Errorf("finding %s: %w", p.handle, err)
		}
	}
	id, err := alice.client.CreateGroup(ctx, "demo group "+r.mark, bob.account)
	if err != nil {
		return err
	}
	if err := alice.client.AddMembers(ctx, id, carol.account); err != nil {
		return err
	}
	r.group = id
	for _, p := range r.people {
		if err := p.inGroup(ctx, id); err != nil {
			return err
		}
	}
	r.say("alice, bob and carol are in a group")
	return r.sayTransports(ctx)
}

// round is one burst: everybody who can writes at once, a server dies in the middle, and
// members come and go. Carol is offline in every second round, with what she wrote before
// in her outbox.
func (r *run) round(ctx context.Context, n int) error {
	carol := r.people[2]
	if err := carol.come(); err != nil {
		return err
	}
	name, victim := "relay", r.relay
	if n == 1 || n == 4 {
		name, victim = "key server", r.keys
	}
	// The moment is a random message of the burst, and a random while behind it: the ones
	// before it are in every state between the outbox and the last member's history.
	count := r.share(n+1) - r.share(n)
	at, pause := r.random.IntN(max(1, count)), time.Duration(r.random.IntN(20))*time.Millisecond
	died := make(chan error, 1)
	err := r.burst(ctx, count, func(i int) error {
		if i == count/2 {
			if n%2 == 1 {
				carol.leave()
			}
			if err := r.change(ctx, n); err != nil {
				return err
			}
			if n == 0 {
				if err := r.sendFile(ctx); err != nil {
					return err
				}
			}
		}
		if i == at {
			r.say("kill the %s after message %d of %d and %v", name, i+1, count, pause)
			go func() { died <- r.killAndRestart(ctx, victim, pause) }()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := <-died; err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.kills++
	for _, p := range r.people[:2] {
		if err := p.sentAll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// change is what happens to the group in a round: carol is removed, added again while she
// is offline, and bob renews his keys.
func (r *run) change(ctx context.Context, n int) error {
	alice, bob, carol := r.people[0], r.people[1], r.people[2]
	switch n {
	case 1, 4:
		return bob.client.RenewKeys(ctx, r.group)
	case 2:
		return alice.client.RemoveMember(ctx, r.group, carol.account)
	case 3:
		return alice.client.AddMembers(ctx, r.group, carol.account)
	}
	return nil
}

// burst queues count messages, in turn, as fast as the stores take them, and calls between
// after each.
func (r *run) burst(ctx context.Context, count int, between func(i int) error) error {
	for i := range count {
		p := r.people[i%len(r.people)]
		if p.client == nil {
			p = r.people[0]
		}
		r.written++
		text := fmt.Sprintf("%s number %d from %s", r.mark, r.written, p.handle)
		id, err := p.send(ctx, r.group, text)
		if errors.Is(err, errNotIn) {
			p = r.people[i%2]
			id, err = p.send(ctx, r.group, text)
		}
		if err != nil {
			return fmt.Errorf("%s sends: %w", p.handle, err)
		}
		r.texts[id] = text
		if err := between(i); err != nil {
			return err
		}
	}
	return nil
}

// sentAll waits until the member was told of all that it wrote that the relay has it, or
// that it was given up.
func (p *person) sentAll(ctx context.Context) error {
	return p.until(ctx, "its messages to be accepted", func() (bool, error) {
		_, changes, err := p.client.Pending(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, id := range p.wrote {
			if !p.accepted[id] && !p.failed[id] {
				return false, err
			}
		}
		return changes == 0, err
	})
}

// settle brings everybody online and waits until all have everything.
func (r *run) settle(ctx context.Context) error {
	for _, p := range r.people {
		if err := p.come(); err != nil {
			return err
		}
		if err := p.inGroup(ctx, r.group); err != nil {
			return err
		}
	}
	for _, p := range r.people {
		if err := p.sentAll(ctx); err != nil {
			return err
		}
	}
	// What carol could not send while she was removed makes up the number now.
	if missing := r.share(rounds) - r.acceptedCount(); missing > 0 {
		if err := r.burst(ctx, missing, func(int) error { return nil }); err != nil {
			return err
		}
		for _, p := range r.people {
			if err := p.sentAll(ctx); err != nil {
				return err
			}
		}
	}
	// One last message from each, which everybody waits for: the log is in order, so who has
	// them all has everything before them too.
	return r.lastWords(ctx)
}

func (r *run) acceptedCount() int {
	n := 0
	for _, p := range r.people {
		p.mu.Lock()
		n += len(p.accepted)
		p.mu.Unlock()
	}
	return n
}

func (r *run) lastWords(ctx context.Context) error {
	var last []clientlib.MessageID
	for _, p := range r.people {
		r.written++
		text := fmt.Sprintf("%s last word of %s", r.mark, p.handle)
		id, err := p.send(ctx, r.group, text)
		if err != nil {
			return err
		}
		r.texts[id] = text
		last = append(last, id)
	}
	for _, p := range r.people {
		err := p.until(ctx, "everybody's last word", func() (bool, error) {
			have, err := p.histories(ctx, r.group)
			if err != nil {
				return false, err
			}
			for _, id := range last {
				if len(have[id]) == 0 || have[id][0].Position == 0 {
					return false, nil
				}
			}
			return p.toldOf(have), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// toldOf reports whether the app has heard of everything in the history. Events come behind
// it, one confirmed after the other.
func (p *person) toldOf(have map[clientlib.MessageID][]history.Entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range have {
		if p.shown[id] == 0 && !p.accepted[id] && !p.failed[id] {
			return false
		}
	}
	return true
}

// share is how many messages are written by the end of round n. The last three are the
// last words.
func (r *run) share(n int) int { return (r.Messages - 3) * n / rounds }
