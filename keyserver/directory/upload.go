package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/keyserver"
)

// Upload puts packages into a device's pool of a suite, all or none, and returns the stock after it.
func (d *Directory) Upload(ctx context.Context, q *keyserver.UploadRequest) (*keyserver.StockReply, error) {
	now := d.clock()
	if err := q.Verify(now); err != nil {
		return nil, err
	}
	if q.Incarnation != d.Incarnation() {
		return nil, keyserver.ErrIncarnation
	}
	a, err := d.ownersAccount(q.Account, q.Device)
	if err != nil {
		return nil, err
	}
	op := &uploadOp{owner: owner{q.Account, q.Device, q.Suite}}
	for i, b := range q.Packages {
		p, err := checkPackage(b, a, q, now)
		if err != nil {
			return nil, fmt.Errorf("package %d: %w", i, err)
		}
		op.oneTime = append(op.oneTime, p)
		op.size += len(b)
	}
	if q.LastResort != nil {
		p, err := checkPackage(q.LastResort, a, q, now)
		if err != nil {
			return nil, fmt.Errorf("last resort: %w", err)
		}
		op.last = &p
		op.size += len(q.LastResort)
	}
	answer, err := d.do(ctx, op)
	if err != nil {
		return nil, err
	}
	return answer.(*keyserver.StockReply), nil
}

// ownersAccount returns the account if it has the device. Whether it is the account or the
// device that does not exist is nobody else's business.
func (d *Directory) ownersAccount(id keyserver.AccountID, device keyserver.DeviceID) (*keyserver.Account, error) {
	found, err := d.Lookup(&keyserver.LookupRequest{Account: id})
	if errors.Is(err, keyserver.ErrNotFound) {
		return nil, keyserver.ErrDenied
	}
	if err != nil {
		return nil, err
	}
	a, err := found.Verify()
	if err != nil {
		return nil, fmt.Errorf("%w: stored chain: %w", keyserver.ErrUnavailable, err)
	}
	if !a.Has(device) {
		return nil, keyserver.ErrDenied
	}
	return a, nil
}

// newPackage is a package that was found good.
type newPackage struct {
	bytes     []byte
	ref, init []byte
	expires   time.Time
}

func checkPackage(b []byte, a *keyserver.Account, q *keyserver.UploadRequest, now time.Time) (newPackage, error) {
	p, err := keyserver.CheckPackage(b, a, q.Device, now)
	if err != nil {
		return newPackage{}, err
	}
	if p.Suite() != q.Suite {
		return newPackage{}, fmt.Errorf("%w: of %v, uploaded as of %v", keyserver.ErrPackage, p.Suite(), q.Suite)
	}
	return newPackage{bytes: b, ref: p.Ref(), init: p.InitKey(), expires: p.Expires}, nil
}

type uploadOp struct {
	owner   owner
	oneTime []newPackage
	last    *newPackage
	size    int
}

// Size implements shard.Op.
func (o *uploadOp) Size() int { return o.size + 512*(len(o.oneTime)+1) }

func (s *step) upload(o *uploadOp) (any, error) {
	rec, err := load[accountRecord](s.tx, s.account(o.owner.account))
	if err != nil {
		return nil, err
	}
	if rec == nil || !rec.states(o.owner.device, o.owner.suite) {
		return keyserver.ErrDenied, nil // removed, or stated otherwise, since it was verified
	}
	pool, err := s.openPool(o.owner)
	if err != nil {
		return nil, err
	}
	fresh, last, refusal, err := s.news(o, pool)
	if refusal != nil || err != nil {
		return refusal, err
	}
	if len(pool.oneTime)+len(fresh) > keyserver.MaxPool {
		return keyserver.ErrQuota, nil
	}
	for _, p := range fresh {
		added, err := s.put(o.owner, pool, p, false)
		if err != nil {
			return nil, err
		}
		pool.oneTime = append(pool.oneTime, added)
	}
	if last != nil {
		if pool.last != nil {
			if err := s.retire(s.pack(o.owner, pool.last.seq)); err != nil {
				return nil, err
			}
		}
		added, err := s.put(o.owner, pool, *last, true)
		if err != nil {
			return nil, err
		}
		pool.last = &added
	}
	if err := s.set(s.pool(o.owner), pool); err != nil {
		return nil, err
	}
	return pool.stock(s.now, s.tx.Incarnation()), nil
}

// news sorts out what the pool has not seen: it refuses packages that may not come (again)
// and passes over those that were stored by an earlier try of the same upload.
func (s *step) news(o *uploadOp, pool *poolRecord) (fresh []newPackage, last *newPackage, refusal any, err error) {
	inits := make(map[string]bool) // of this upload
	admit := func(p newPackage, lastResort bool) (bool, error) {
		seen, err := load[refRecord](s.tx, s.ref(o.owner, p.ref))
		if err != nil {
			return false, err
		}
		_, used, err := s.tx.Get(s.init(o.owner, p.init))
		switch {
		case err != nil:
			return false, err
		case inits[string(p.init)], seen == nil && used:
			refusal = invalid("two packages have the same init key")
		case seen != nil && seen.lastResort != lastResort:
			refusal = invalid("a package is one-time or a last resort, not both")
		case seen != nil && lastResort && (pool.last == nil || pool.last.seq != seen.seq):
			refusal = invalid("a last resort that was replaced cannot come back")
		}
		inits[string(p.init)] = true
		return seen == nil, nil
	}
	for _, p := range o.oneTime {
		isNew, err := admit(p, false)
		if err != nil || refusal != nil {
			return nil, nil, refusal, err
		}
		if isNew {
			fresh = append(fresh, p)
		}
	}
	if o.last != nil {
		isNew, err := admit(*o.last, true)
		if err != nil || refusal != nil {
			return nil, nil, refusal, err
		}
		if isNew {
			last = o.last
		}
	}
	return fresh, last, nil, nil
}

func invalid(text string) *keyserver.Error {
	return &keyserver.Error{Code: keyserver.CodeInvalid, Text: text}
}
