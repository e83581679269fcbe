package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// vandal overwrites a record with bytes that open under the storage key and do not decode.
type vandal struct {
	prefix []byte
}

func (vandal) Size() int { return 1 }

// Apply implements [shard.Machine].
func (v *vandal) Apply(tx *shard.Tx, _ shard.Env, _ shard.Op) any {
	var keys [][]byte
	_ = tx.Keys(v.prefix, nil, func(key []byte) bool {
		keys = append(keys, key)
		return true
	})
	for _, key := range keys {
		_ = tx.Set(key, []byte{9, 9})
	}
	return len(keys)
}

// spoil makes all records of a kind unreadable.
func (r *rig) spoil(q relay.QueueID, kind byte) {
	r.Helper()
	r.spoilAll(append([]byte{kind}, queueName(r.shard, q)...))
}

// spoilAll makes all records of a prefix unreadable.
func (r *rig) spoilAll(prefix []byte) {
	r.Helper()
	r.spoilt = true
	if err := r.Store.Close(); err != nil {
		r.Fatal(err)
	}
	v := &vandal{prefix: prefix}
	s, err := shard.Open(shard.Config{Dir: r.dir, Key: r.cfg.StorageKey, Machine: v, MinFree: 1, Clock: r.cfg.Clock})
	if err != nil {
		r.Fatal(err)
	}
	n, err := s.Do(r.Context(), v)
	if err != nil || n.(int) == 0 {
		r.Fatal("nothing to spoil: ", err)
	}
	if err := s.Close(); err != nil {
		r.Fatal(err)
	}
	r.open()
}

// TestUnreadableRecordIsNoAnswer: what does not decode fails the operation that needs it,
// whichever record it is; nothing is accepted, and other queues go on.
func TestUnreadableRecordIsNoAnswer(t *testing.T) {
	for _, kind := range []byte{kindHeader, kindAuthority, kindReader} {
		r := newRig(t)
		q, other := r.group("g", "alice", "bob"), r.group("other", "alice")
		r.must(r.append(q, "w0", "m"))
		r.must(r.append(other, "w0", "m"))
		r.spoil(q, kind)
		for _, m := range []relay.Mutation{
			r.append(q, "w0", "x"),
			r.configure(q, "admin", relay.SetRetention{Days: 1}),
			&relay.Leave{ID: r.id(), Queue: q, Reader: key("alice")},
			&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")},
		} {
			if _, needs := m.(*relay.Leave); kind == kindReader && !needs {
				continue // it needs no reader's record
			}
			r.refused(relay.ErrBusy, m)
		}
		// One unreadable queue holds up neither acks nor sweeps of another.
		r.Ack(q, key("alice"), 1)
		r.Ack(other, key("alice"), 1)
		r.flushAcks()
		r.must(r.append(other, "w0", "n"))
		if f := r.follow(other, "alice", nil); len(f.gaps) != 1 || f.gaps[0].To != 1 {
			t.Errorf("an ack is lost beside an unreadable %c record: %q", kind, f.texts)
		}
		for range 32 {
			r.pass(24 * time.Hour)
			if err := r.Sweep(r.Context()); !errors.Is(err, shard.ErrCorrupt) {
				t.Errorf("a sweep that left out a queue with an unreadable %c record: %v", kind, err)
			}
		}
		if f := r.follow(other, "alice", nil); len(f.texts) != 0 {
			t.Errorf("nothing expires beside an unreadable %c record: %q", kind, f.texts)
		}
	}
}
