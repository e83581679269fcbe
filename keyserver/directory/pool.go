package directory

import (
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/calendar"
)

// openPool reads a pool as it is to be used now: without expired slots, and without one-time
// packages that were there before the store's last loss, since some of them may have been
// handed out in the time that is lost. An unused pool is empty.
func (s *step) openPool(o owner) (*poolRecord, error) {
	pool, err := load[poolRecord](s.tx, s.pool(o))
	if err != nil {
		return nil, err
	}
	if pool == nil {
		pool = &poolRecord{incarnation: s.tx.Incarnation()}
	}
	if pool.incarnation != s.tx.Incarnation() {
		for _, p := range pool.oneTime {
			if err := s.use(s.pack(o, p.seq)); err != nil {
				return nil, err
			}
		}
		pool.oneTime, pool.incarnation = nil, s.tx.Incarnation()
		// Written here and now, also when the operation ends in a refusal: the packages
		// above are used up already.
		if err := s.set(s.pool(o), pool); err != nil {
			return nil, err
		}
	}
	pool.oneTime = pool.live(s.now)
	if pool.last != nil && pool.last.expired(s.now) {
		pool.last = nil
	}
	return pool, nil
}

// stock is what a pool's owner is told of it.
func (p *poolRecord) stock(now time.Time, incarnation [16]byte) *keyserver.StockReply {
	reply := &keyserver.StockReply{Incarnation: incarnation}
	if p.incarnation == incarnation {
		reply.OneTime = uint16(len(p.live(now)))
	}
	reply.LastResort = p.last != nil && !p.last.expired(now)
	return reply
}

// put stores a new package and what the pool remembers of it, and returns its slot. The
// caller adds that to the pool and writes the pool.
func (s *step) put(o owner, pool *poolRecord, p newPackage, lastResort bool) (slot, error) {
	at := slot{seq: pool.next, expires: uint64(p.expires.Unix())}
	pool.next++
	name := s.pack(o, at.seq)
	rec := &packageRecord{owner: o, ref: p.ref, init: p.init, bytes: p.bytes}
	if err := s.set(name, rec); err != nil {
		return at, err
	}
	if err := s.set(s.ref(o, p.ref), &refRecord{seq: at.seq, lastResort: lastResort}); err != nil {
		return at, err
	}
	if err := s.tx.Set(s.init(o, p.init), nil); err != nil {
		return at, err
	}
	// Two days after its end, when no clock in use still takes the package for good, nothing
	// needs to be known of it.
	return at, s.tx.Set(due(calendar.Of(p.expires)+2, name), nil)
}

// use marks a package as used and forgets its bytes. One that is used, or gone, stays so.
func (s *step) use(name []byte) error {
	rec, err := load[packageRecord](s.tx, name)
	if err != nil || rec == nil {
		return err
	}
	rec.used, rec.bytes = true, nil
	return s.set(name, rec)
}

// retire marks a last resort as used. Its bytes stay until it has expired, for requests that
// were given it and are repeated.
func (s *step) retire(name []byte) error {
	rec, err := load[packageRecord](s.tx, name)
	if err != nil || rec == nil {
		return err
	}
	rec.used = true
	return s.set(name, rec)
}

// drop empties a pool whose device was removed, for good, or no longer states its suite: it
// may do so again, and no number of a package is used twice.
func (s *step) drop(o owner, forGood bool) error {
	pool, err := load[poolRecord](s.tx, s.pool(o))
	if err != nil || pool == nil {
		return err
	}
	if pool.last != nil {
		if err := s.retire(s.pack(o, pool.last.seq)); err != nil {
			return err
		}
	}
	for _, p := range pool.oneTime {
		if err := s.use(s.pack(o, p.seq)); err != nil {
			return err
		}
	}
	if forGood {
		return s.tx.Delete(s.pool(o))
	}
	pool.oneTime, pool.last = nil, nil
	return s.set(s.pool(o), pool)
}

// Stock returns what is in a device's pool.
func (d *Directory) Stock(q *keyserver.StockRequest) (*keyserver.StockReply, error) {
	if err := q.Verify(d.clock()); err != nil {
		return nil, err
	}
	var reply *keyserver.StockReply
	err := d.store.View(func(snap *shard.Snapshot) error {
		n := names(d.store.Name)
		rec, err := load[accountRecord](snap, n.account(q.Account))
		if err != nil || rec == nil || !rec.has(q.Device) {
			return err
		}
		pool, err := load[poolRecord](snap, n.pool(owner{q.Account, q.Device, q.Suite}))
		if pool == nil {
			pool = new(poolRecord)
		}
		reply = pool.stock(d.clock(), snap.Incarnation())
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	if reply == nil {
		return nil, keyserver.ErrDenied
	}
	return reply, nil
}
