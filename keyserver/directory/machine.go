package directory

import (
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
)

// machine is the state machine. Each operation first decides, then writes: a refusal is an
// answer and leaves nothing behind. name is set before the first operation is submitted.
type machine struct {
	name names
}

// Apply implements shard.Machine.
func (m *machine) Apply(tx *shard.Tx, env shard.Env, op shard.Op) any {
	s := &step{names: m.name, machine: m, tx: tx, now: env.Now}
	answer, err := s.apply(op)
	if err != nil {
		// A record that does not decode is no error of the store's, which would then keep what
		// the operation wrote before it. A reserved key makes it undo everything.
		_ = tx.Set(nil, nil)
		return nil
	}
	return answer
}

// step is one operation being applied.
type step struct {
	names
	machine *machine
	tx      *shard.Tx
	now     time.Time
}

func (s *step) apply(op shard.Op) (any, error) {
	switch op := op.(type) {
	case *registerOp:
		return s.register(op)
	case *appendOp:
		return s.append(op)
	case *uploadOp:
		return s.upload(op)
	case *takeOp:
		return s.take(op)
	case sweepOp:
		return s.sweep(op)
	}
	return keyserver.ErrInvalid, nil
}

// set writes a record.
func (s *step) set(key []byte, v wire.Marshaler) error {
	b, err := wire.Marshal(v)
	if err != nil {
		return err
	}
	return s.tx.Set(key, b)
}

type registerOp struct {
	account keyserver.AccountID
	handle  string
	root    []byte
	devices []deviceRecord
}

// Size implements shard.Op.
func (o *registerOp) Size() int { return 512 }

func (s *step) register(o *registerOp) (any, error) {
	holder, taken, err := s.tx.Get(s.handle(o.handle))
	if err != nil {
		return nil, err
	}
	if taken {
		if keyserver.AccountID(holder) != o.account {
			return keyserver.ErrHandleTaken, nil
		}
		return true, nil // the same registration again
	}
	known, err := load[accountRecord](s.tx, s.account(o.account))
	if err != nil {
		return nil, err
	}
	if known != nil {
		return &keyserver.Error{Code: keyserver.CodeConflict, Text: "the account has another handle"}, nil
	}
	if err := s.tx.Set(s.handle(o.handle), o.account[:]); err != nil {
		return nil, err
	}
	rec := &accountRecord{handle: o.handle, entries: [][]byte{o.root}, devices: o.devices}
	return true, s.set(s.account(o.account), rec)
}

type appendOp struct {
	account keyserver.AccountID
	after   [32]byte // hash of the entry that the new one was verified to follow
	entry   []byte
	devices []deviceRecord // what the chain says then
}

// Size implements shard.Op: the chain is written as a whole.
func (o *appendOp) Size() int { return keyserver.MaxEntries * keyserver.MaxEntry }

func (s *step) append(o *appendOp) (any, error) {
	rec, err := load[accountRecord](s.tx, s.account(o.account))
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return keyserver.ErrNotFound, nil
	}
	head := keyserver.EntryHash(rec.entries[len(rec.entries)-1])
	if holds(rec.entries, o.entry) {
		return head, nil
	}
	if head != o.after {
		return keyserver.ErrConflict, nil
	}
	now := accountRecord{devices: o.devices}
	for _, d := range rec.devices {
		for _, suite := range d.suites {
			if now.states(d.id, suite) {
				continue
			}
			if err := s.drop(owner{o.account, d.id, suite}, !now.has(d.id)); err != nil {
				return nil, err
			}
		}
	}
	rec.entries, rec.devices = append(rec.entries, o.entry), o.devices
	return keyserver.EntryHash(o.entry), s.set(s.account(o.account), rec)
}
