package shard

import (
	"bytes"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// A Tx is the state as one operation sees it: what was committed, plus what the batch wrote
// that is just being stored, plus what earlier operations of the same batch wrote, plus its own
// writes. It is used by the storing goroutine only and ends with Apply.
type Tx struct {
	number uint64   // of its batch
	snap   Snapshot // the state of the batch before, or of the one before that (see inherit)
	recent *recent
	read   map[string]found // what snap holds, as far as it was asked for
	writes map[string]write
	sorted []string // keys of writes in order, as of the last scan; replaced, never changed
	fresh  []string // keys written since, in no order, some of them perhaps twice
	own    int      // writes that are not inherited
	bytes  int      // what they cost Badger, about
	high   uint64   // the largest mark raised in this batch

	// The operation being applied.
	undo []undo
	err  error // the first error; the operation is undone because of it
}

type write struct {
	value     []byte
	delete    bool
	inherited bool // by the batch below, which stores it
}

// inherit makes what below writes part of the state, as long as the snapshot may not show it.
// What below itself inherited is on disk and shown: batches are stored one after the other.
func (tx *Tx) inherit(below *Tx) {
	for key, w := range below.writes {
		if !w.inherited {
			w.inherited = true
			tx.writes[key] = w
			tx.fresh = append(tx.fresh, key)
		}
	}
}

type undo struct {
	key   string
	prev  write
	known bool // there was a write before
	own   int
	bytes int
	high  uint64
}

var _ Reader = (*Tx)(nil)

// Incarnation implements [Reader].
func (tx *Tx) Incarnation() [16]byte { return tx.snap.Incarnation() }

// Floor implements [Reader].
func (tx *Tx) Floor() uint64 { return tx.snap.Floor() }

// Incarnations implements [Reader].
func (tx *Tx) Incarnations() []Incarnation { return tx.snap.Incarnations() }

// Fail undoes the operation, as an error of a read or write does: its submitter gets err in
// place of the answer. Of several errors the first counts. It returns err.
func (tx *Tx) Fail(err error) error { return tx.fail(err) }

func (tx *Tx) fail(err error) error {
	if tx.err == nil {
		tx.err = err
	}
	return err
}

// Get implements [Reader].
func (tx *Tx) Get(key []byte) ([]byte, bool, error) {
	if w, ok := tx.writes[string(key)]; ok {
		return w.value, !w.delete, nil
	}
	if f, ok := tx.known(key); ok {
		return f.value, f.ok, nil
	}
	value, ok, err := tx.snap.Get(key)
	if err != nil {
		return nil, false, tx.fail(err)
	}
	tx.read[string(key)] = found{value, ok}
	return value, ok, nil
}

// known returns what the state of the batch before has under key, if that is in memory.
func (tx *Tx) known(key []byte) (f found, ok bool) {
	if f, ok = tx.read[string(key)]; ok || tx.recent == nil {
		return f, ok
	}
	value, ok := tx.recent.get(key)
	return found{value, ok}, ok
}

// Set stores value under key. The store keeps value, so the caller does not change it.
// Errors (ErrReserved, ErrTooLarge) undo the whole operation.
func (tx *Tx) Set(key, value []byte) error {
	if len(value) > maxValue {
		return tx.fail(ErrTooLarge)
	}
	return tx.put(key, write{value: value})
}

// Delete removes key; that it is absent is no error.
func (tx *Tx) Delete(key []byte) error { return tx.put(key, write{delete: true}) }

// RaiseMark tells the store that numbers up to n are about to be answered: an incarnation
// that follows a loss counts above the largest of them.
func (tx *Tx) RaiseMark(n uint64) {
	if n > tx.high {
		tx.undo = append(tx.undo, undo{own: tx.own, bytes: tx.bytes, high: tx.high})
		tx.high = n
	}
}

func (tx *Tx) put(key []byte, w write) error {
	if len(key) == 0 || key[0] == 0 {
		return tx.fail(ErrReserved)
	}
	k := string(key)
	prev, known := tx.writes[k]
	tx.undo = append(tx.undo, undo{key: k, prev: prev, known: known, own: tx.own, bytes: tx.bytes, high: tx.high})
	if known && !prev.inherited {
		tx.bytes -= len(prev.value)
	} else {
		tx.own++
		tx.bytes += len(k) + writeOverhead
	}
	if !known {
		tx.fresh = append(tx.fresh, k)
	}
	tx.bytes += len(w.value)
	tx.writes[k] = w
	if tx.bytes > maxWriteBytes || tx.own > maxWrites {
		return tx.fail(ErrTooLarge)
	}
	return nil
}

// rollback takes back what the operation wrote, newest first.
func (tx *Tx) rollback() {
	for _, u := range slices.Backward(tx.undo) {
		switch {
		case u.key == "":
		case u.known:
			tx.writes[u.key] = u.prev
		default:
			delete(tx.writes, u.key) // its name may stay among the sorted ones: scans ask the map
		}
		tx.own, tx.bytes, tx.high = u.own, u.bytes, u.high
	}
	tx.undo = tx.undo[:0]
}

// pending returns the written keys that a scan has to mix in, in order.
func (tx *Tx) pending(prefix, from string) []string {
	if len(tx.fresh) > maxUnsorted {
		slices.Sort(tx.fresh)
		tx.sorted, tx.fresh = merge(tx.sorted, tx.fresh), nil
	}
	from = max(prefix, from)
	lo, _ := slices.BinarySearch(tx.sorted, from)
	hi := lo
	for hi < len(tx.sorted) && strings.HasPrefix(tx.sorted[hi], prefix) {
		hi++
	}
	var late []string
	for _, key := range tx.fresh {
		if key >= from && strings.HasPrefix(key, prefix) {
			late = append(late, key)
		}
	}
	if late == nil {
		return tx.sorted[lo:hi]
	}
	slices.Sort(late)
	return merge(tx.sorted[lo:hi], late)
}

// merge makes one list of two that are in order, and leaves out what stands there twice.
func merge(a, b []string) []string {
	out := make([]string, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] <= b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return slices.Compact(append(append(out, a...), b...))
}

// Scan implements [Reader]. fn may write: what it writes ahead of the scan may or may not
// be met.
func (tx *Tx) Scan(prefix, from []byte, fn func(key, value []byte) bool) error {
	return tx.scan(prefix, from, true, fn)
}

// Keys implements [Reader].
func (tx *Tx) Keys(prefix, from []byte, fn func(key []byte) bool) error {
	return tx.scan(prefix, from, false, func(key, _ []byte) bool { return fn(key) })
}

func (tx *Tx) scan(prefix, from []byte, values bool, fn func(key, value []byte) bool) error {
	own := tx.pending(string(prefix), string(from))
	more := true
	emitOwn := func() {
		if w, ok := tx.writes[own[0]]; ok && !w.delete {
			more = fn([]byte(own[0]), w.value)
		}
		own = own[1:]
	}
	err := tx.snap.scan(prefix, from, func(item *badger.Item) (bool, error) {
		for more && len(own) > 0 && own[0] < string(item.Key()) {
			emitOwn()
		}
		if !more {
			return false, nil
		}
		if _, written := tx.writes[string(item.Key())]; written {
			// A write made by fn during this scan is not among own; it counts as met.
			if len(own) > 0 && own[0] == string(item.Key()) {
				emitOwn()
			}
			return more, nil
		}
		var value []byte
		if values {
			var err error
			if value, err = tx.snap.value(item); err != nil {
				return false, err
			}
		}
		more = fn(bytes.Clone(item.Key()), value)
		return more, nil
	})
	if err != nil {
		return tx.fail(err)
	}
	for more && len(own) > 0 {
		emitOwn()
	}
	return nil
}
