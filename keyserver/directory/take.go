package directory

import (
	"context"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/calendar"
)

// takenDays is for how many days a request id gets the same packages, at least.
const takenDays = 8

// Take hands out one package of a suite of each device of an account; lastResortOnly spares the
// one-time packages of an account that is asked for too often. The record of it is on disk
// when Take returns, and the same request gets the same packages, whatever lastResortOnly
// says then. keyserver.ErrExhausted records nothing.
func (d *Directory) Take(ctx context.Context, q *keyserver.TakeRequest, lastResortOnly bool) (*keyserver.TakeReply, error) {
	answer, err := d.do(ctx, &takeOp{request: *q, lastResortOnly: lastResortOnly})
	if err != nil {
		return nil, err
	}
	return answer.(*keyserver.TakeReply), nil
}

// Taken returns what the same request was given before, nil if nothing: it spares the
// storing goroutine a retry. keyserver.ErrNotFound means that there is no such account.
func (d *Directory) Taken(q *keyserver.TakeRequest) (*keyserver.TakeReply, error) {
	var before *keyserver.TakeReply
	known := true
	err := d.store.View(func(snap *shard.Snapshot) (err error) {
		n := names(d.store.Name)
		if before, err = n.before(snap, q); before != nil || err != nil {
			return err
		}
		_, known, err = snap.Get(n.account(q.Account))
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	if !known {
		return nil, keyserver.ErrNotFound
	}
	if before != nil && len(before.Packages) == 0 {
		return nil, keyserver.ErrExhausted // all that it was given has expired and is gone
	}
	return before, nil
}

type takeOp struct {
	request        keyserver.TakeRequest
	lastResortOnly bool
}

// Size implements shard.Op. It is what a common account's answer takes, not the most: the
// store notices by itself when a batch is full.
func (o *takeOp) Size() int { return 2 * keyserver.MaxPackage }

func (s *step) take(o *takeOp) (any, error) {
	before, err := s.before(s.tx, &o.request)
	if err != nil {
		return nil, err
	}
	if before != nil {
		if len(before.Packages) == 0 {
			return keyserver.ErrExhausted, nil
		}
		return before, nil
	}
	rec, err := load[accountRecord](s.tx, s.account(o.request.Account))
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return keyserver.ErrNotFound, nil
	}
	reply, taken := new(keyserver.TakeReply), new(takenRecord)
	for _, device := range rec.devices {
		p, err := s.takeOne(owner{o.request.Account, device.id, o.request.Suite}, o.lastResortOnly)
		if err != nil {
			return nil, err
		}
		if p != nil {
			reply.Packages = append(reply.Packages, p.Package)
			taken.packages = append(taken.packages, *p)
		}
	}
	if len(reply.Packages) == 0 {
		return keyserver.ErrExhausted, nil
	}
	// One atomic step: the packages are used, and this request has them. A crash before the
	// batch is synced leaves neither, one after it leaves both for the retry to find.
	name := s.taken(&o.request)
	if err := s.set(name, taken); err != nil {
		return nil, err
	}
	today, err := calendar.Stamp(s.tx, dayKey, s.now)
	if err != nil {
		return nil, err
	}
	return reply, s.tx.Set(due(today+takenDays+1, name), nil)
}

// takeOne takes the oldest one-time package of a pool, else its last resort, else none.
func (s *step) takeOne(o owner, lastResortOnly bool) (*takenPackage, error) {
	pool, err := s.openPool(o)
	if err != nil {
		return nil, err
	}
	for !lastResortOnly && len(pool.oneTime) > 0 {
		name := s.pack(o, pool.oneTime[0].seq)
		pool.oneTime = pool.oneTime[1:]
		p, err := load[packageRecord](s.tx, name)
		if err != nil {
			return nil, err
		}
		if p == nil || p.used {
			continue // the package's own record has the last word, whatever the pool says
		}
		b := p.bytes
		p.used, p.bytes = true, nil
		if err := s.set(name, p); err != nil {
			return nil, err
		}
		return &takenPackage{Package: keyserver.Package{Device: o.device, KeyPackage: b}}, s.set(s.pool(o), pool)
	}
	if pool.last == nil {
		return nil, nil
	}
	p, err := load[packageRecord](s.tx, s.pack(o, pool.last.seq))
	if err != nil || p == nil || p.used {
		return nil, err
	}
	given := keyserver.Package{Device: o.device, KeyPackage: p.bytes, LastResort: true}
	return &takenPackage{Package: given, seq: pool.last.seq}, nil
}

// before returns what the same request was given, nil if nothing. A last resort that has
// expired and was swept is missing; it is of no use to anybody.
func (n names) before(r shard.Reader, q *keyserver.TakeRequest) (*keyserver.TakeReply, error) {
	rec, err := load[takenRecord](r, n.taken(q))
	if rec == nil || err != nil {
		return nil, err
	}
	reply := new(keyserver.TakeReply)
	for _, p := range rec.packages {
		if p.LastResort {
			kept, err := load[packageRecord](r, n.pack(owner{q.Account, p.Device, q.Suite}, p.seq))
			if err != nil {
				return nil, err
			}
			if kept == nil {
				continue
			}
			p.KeyPackage = kept.bytes
		}
		reply.Packages = append(reply.Packages, p.Package)
	}
	return reply, nil
}
