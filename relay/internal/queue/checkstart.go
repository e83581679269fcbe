package queue

import (
	"errors"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// What the check at every start looks at, at most: a few milliseconds, a second on a slow disk.
// The queues that the last batches wrote are the ones that a crash can have left contradicting
// themselves; whatever else a disk does is for a whole check (see [Check]), which reads it all.
const (
	startBatches = 256     // of the newest
	startQueues  = 256     // that these wrote
	startEntries = 8       // of each, the newest
	startBytes   = 8 << 20 // of all these entries
)

// openShard opens the store. If one of its newest queues contradicts itself, something of it is
// older than the rest, and what comes next would take the place of what was answered. No order of
// writes leaves that, so it is the disk or the database, and the store begins a new life: numbers
// go on above everything, and clients are told.
func openShard(cfg shard.Config) (*shard.Store, error) {
	s, err := shard.Open(cfg)
	if err != nil || cfg.Restored {
		return s, err
	}
	contradict, unreadable := 0, 0
	err = s.View(func(snap *shard.Snapshot) (err error) {
		contradict, unreadable, err = newest(snap)
		return err
	})
	if unreadable > 0 {
		cfg.Logger.Error("queues cannot be read: check the store with sealpost admin check", "queues", unreadable)
	}
	if err == nil && contradict == 0 {
		return s, nil
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	cfg.Logger.Error("queues contradict themselves: check the store with sealpost admin check", "queues", contradict)
	cfg.Restored = true
	return shard.Open(cfg)
}

// newest looks at the queues that were written last.
func newest(snap *shard.Snapshot) (contradict, unreadable int, err error) {
	queues, left := 0, startBytes
	err = snap.Newest([]byte{kindHeader}, startBatches, func(key []byte) bool {
		b, ok, berr := openBooks(snap, nil, key[1:])
		switch {
		case berr != nil:
			unreadable++
		case ok && b.header.State != stateGone && b.header.Incarnation == relay.Incarnation(snap.Incarnation()):
			agree, lerr := b.endAgrees(&left)
			if lerr != nil {
				unreadable++
			} else if !agree {
				contradict++
			}
		}
		queues++
		return queues < startQueues && left > 0
	})
	return contradict, unreadable, err
}

// endAgrees tells whether the last entries follow each other up to the head, and nothing lies
// above it. Of an earlier life nothing is asked: that it ended is told already.
func (b *books) endAgrees(left *int) (agree bool, err error) {
	h, prefix := &b.header, b.key(kindEntry)
	agree = true
	err = b.rd.Keys(prefix, seqKey(prefix, h.Seq+1), func([]byte) bool { agree = false; return false })
	if err != nil || !agree {
		return agree, err
	}
	from := h.Base + 1
	if h.Seq > h.Base+startEntries {
		from = h.Seq - startEntries + 1
	}
	var chain *relay.Hash // of the entry before; what the first one follows is not looked up
	at := from - 1
	serr := b.rd.Scan(prefix, seqKey(prefix, from), func(key, value []byte) bool {
		var e entry
		if wire.Unmarshal(value, &e) != nil {
			err = shard.ErrCorrupt
			return false
		}
		*left -= len(value)
		if seq := seqOf(key); seq != at+1 {
			chain = nil // erased, or told as lost when somebody reads
			at = seq
		} else {
			at++
		}
		if chain != nil && relay.ChainNext(*chain, at, e.Kind, e.Envelope, e.Blobs...) != e.Chain {
			agree = false
		}
		chain = &e.Chain
		return agree && *left > 0
	})
	if err = errors.Join(err, serr); err != nil || !agree || *left <= 0 {
		return agree, err
	}
	if at == h.Seq {
		return chain == nil || *chain == h.Chain, nil
	}
	g, err := b.gapAt(h.Seq) // what is above the last entry was erased, or is lost
	if err != nil {
		return true, err
	}
	return g != nil && g.last == h.Seq && g.Chain == h.Chain, nil
}
