package shard

import (
	"bytes"
	"runtime"
	"sync"
)

// A Foreseer is an Op that knows, before it is applied, keys that Apply will get. They are
// read on all processors at once while nothing else can happen, which frees the storing
// goroutine of most of its work; it changes no result. Foresee is called on that goroutine, and
// calls get for each key, which it may change afterwards.
type Foreseer interface {
	Op
	Foresee(get func(key []byte))
}

// minForeseen is how many keys make another goroutine worth its start.
const minForeseen = 32

// found is what the batch before left under a key.
type found struct {
	value []byte
	ok    bool
}

// foresee reads what the batch's operations will ask for. What cannot be read is left to the
// operation that asks, which gets the error.
func (s *Store) foresee(tx *Tx, batch []item) {
	var keys [][]byte
	seen := make(map[string]bool)
	get := func(key []byte) {
		if _, ok := tx.writes[string(key)]; ok {
			return // by the batch below; what the snapshot has may be older
		}
		if _, ok := tx.known(key); !ok && !seen[string(key)] {
			seen[string(key)] = true
			keys = append(keys, bytes.Clone(key))
		}
	}
	for _, it := range batch {
		if f, ok := it.op.(Foreseer); ok {
			f.Foresee(get)
		}
	}
	if len(keys) == 0 {
		return
	}
	results := make([]*found, len(keys))
	workers := min(runtime.GOMAXPROCS(0), len(keys)/minForeseen+1)
	read := func(snap *Snapshot, first int) {
		for i := first; i < len(keys); i += workers {
			if value, ok, err := snap.Get(keys[i]); err == nil {
				results[i] = &found{value, ok}
			}
		}
	}
	var all sync.WaitGroup
	for first := 1; first < workers; first++ {
		all.Go(func() {
			_ = s.view(func(snap *Snapshot) error { read(snap, first); return nil })
		})
	}
	read(&tx.snap, 0)
	all.Wait()
	for i, f := range results {
		if f != nil {
			tx.read[string(keys[i])] = *f
		}
	}
}
