package directory

import "github.com/sealpost/sealpost/keyserver/internal/calendar"

// sweepBatch bounds the records that one sweep erases: it shares the storing goroutine with
// people who wait.
const sweepBatch = 256

// sweepOp erases what is due. It is served on a nearly full disk.
type sweepOp struct {
	first bool   // of a sweep: moves the day
	from  []byte // the record to look on from
}

// sweepAnswer is how many records were due, and the last of them; fewer than sweepBatch means
// that all are gone.
type sweepAnswer struct {
	count int
	last  []byte
}

// Size implements shard.Op.
func (sweepOp) Size() int { return sweepBatch * 256 }

// Releases implements shard.Releaser.
func (sweepOp) Releases() bool { return true }

func (s *step) sweep(op sweepOp) (any, error) {
	if op.first {
		if err := calendar.Move(s.tx, dayKey, s.now); err != nil {
			return nil, err
		}
	}
	today, err := calendar.Today(s.tx, dayKey, s.now)
	if err != nil {
		return nil, err
	}
	var found [][]byte
	err = s.tx.Keys([]byte{kindDue}, op.from, func(key []byte) bool {
		day, _ := dueParts(key)
		if day > today {
			return false
		}
		found = append(found, key)
		return len(found) < sweepBatch
	})
	if err != nil {
		return nil, err
	}
	for _, key := range found {
		_, name := dueParts(key)
		if err := s.erase(name); err != nil {
			return nil, err
		}
		if err := s.tx.Delete(key); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return sweepAnswer{}, nil
	}
	return sweepAnswer{len(found), found[len(found)-1]}, nil
}

// erase deletes a record and all that was kept because of it.
func (s *step) erase(name []byte) error {
	if name[0] == kindPackage {
		p, err := load[packageRecord](s.tx, name)
		if err != nil {
			return err
		}
		if p != nil {
			if err := s.tx.Delete(s.ref(p.owner, p.ref)); err != nil {
				return err
			}
			if err := s.tx.Delete(s.init(p.owner, p.init)); err != nil {
				return err
			}
		}
	}
	return s.tx.Delete(name)
}
