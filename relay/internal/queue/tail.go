package queue

import (
	"slices"
	"sync"

	"github.com/sealpost/sealpost/relay"
)

// tails keep the newest entries of queues that somebody is attached to: who is there reads what
// was just stored, and acks it a moment later, and neither has to open the records again. They
// are never believed without the store: a reader's header has to name the same head, or an
// entry's record the same chain, which covers all entries before it.
type tails struct {
	mu    sync.Mutex
	of    map[string]*tail // guarded by mu
	bytes int              // guarded by mu: of all
}

// tail is a run of entries without a break, which never change. Who got a part of it keeps that.
type tail struct {
	entries []*stored
	bytes   int
}

// gains are what one batch adds to a queue, and takes away.
type gains struct {
	before  relay.Hash // the chain that entries goes on
	entries []*stored
	erased  uint64 // nothing up to here is to be given any more
}

// weigh is what an entry counts for in memory.
func weigh(e *stored) int { return len(e.Envelope) + len(e.Blobs)*len(relay.Hash{}) + tailOverhead }

// publish brings a queue's tail up to a batch that is on disk and visible. Batches come in order.
func (t *tails) publish(name string, g *gains) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = make(map[string]*tail)
	}
	q := t.of[name]
	if q == nil {
		q = new(tail)
		t.of[name] = q
	}
	t.bytes -= q.bytes
	if len(g.entries) > 0 {
		q.goOn(g)
	}
	q.drop(g.erased)
	for q.bytes > maxTail {
		q.drop(q.entries[len(q.entries)/2].seq)
	}
	if len(q.entries) == 0 {
		delete(t.of, name)
		return
	}
	if t.bytes += q.bytes; t.bytes > maxTails {
		t.of, t.bytes = nil, 0
	}
}

// goOn appends what goes on the entries that are there, or begins anew. What an operation added
// that was undone later may stand at the end: another entry takes its place.
func (q *tail) goOn(g *gains) {
	first := g.entries[0].seq
	if n := len(q.entries); n > 0 && q.entries[n-1].seq >= first {
		keep := n - int(min(q.entries[n-1].seq-first+1, uint64(n)))
		for _, e := range q.entries[keep:] {
			q.bytes -= weigh(e)
		}
		q.entries = slices.Clone(q.entries[:keep]) // somebody may hold what stands there
	}
	if n := len(q.entries); n > 0 && (q.entries[n-1].seq+1 != first || q.entries[n-1].Chain != g.before) {
		*q = tail{}
	}
	for _, e := range g.entries {
		q.bytes += weigh(e)
	}
	q.entries = append(q.entries, g.entries...)
}

// drop lets go of all up to seq.
func (q *tail) drop(seq uint64) {
	n := 0
	for n < len(q.entries) && q.entries[n].seq <= seq {
		q.bytes -= weigh(q.entries[n])
		n++
	}
	q.entries = q.entries[n:]
}

// since returns what comes behind at up to the head, if all of that is there.
func (t *tails) since(name string, at, head relay.Position) []*stored {
	if at.Incarnation != head.Incarnation {
		return nil
	}
	entries := t.between(name, at.Seq+1, head.Seq)
	if len(entries) == 0 || entries[len(entries)-1].Chain != head.Chain {
		return nil
	}
	return entries
}

// between returns the entries from one seq to another, if all of them are there.
func (t *tails) between(name string, from, to uint64) []*stored {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.of[name]
	if q == nil || to < from || from < q.entries[0].seq || to > q.entries[len(q.entries)-1].seq {
		return nil
	}
	first := q.entries[0].seq
	return q.entries[from-first : to-first+1 : to-first+1]
}

// gain notes an entry that this batch adds behind a chain, for those who are attached.
func (m *machine) gain(name []byte, before relay.Hash, e *stored) {
	if !m.readers.any(name) {
		return
	}
	g := m.gainsOf(name)
	if n := len(g.entries); n == 0 {
		g.before = before
	} else if last := g.entries[n-1]; last.seq+1 != e.seq || last.Chain != before { // the one before was undone
		*g = gains{before: before, erased: g.erased}
	}
	g.entries = append(g.entries, e)
}

// lose notes that this batch erases entries up to seq.
func (m *machine) lose(name []byte, seq uint64) {
	g := m.gainsOf(name)
	g.erased = max(g.erased, seq)
}

func (m *machine) gainsOf(name []byte) *gains {
	g := m.gains[string(name)]
	if g == nil {
		if m.gains == nil {
			m.gains = make(map[string]*gains)
		}
		g = new(gains)
		m.gains[string(name)] = g
	}
	return g
}

// acked returns the entries from one seq to another without searching for them, or nil if they
// have to be searched. This batch, or the one that is being stored, may have erased some that
// are in the tail still.
func (w *work) acked(from, to uint64) []*stored {
	for _, batch := range []map[string]*gains{w.m.gains, w.m.below} {
		if g := batch[string(w.name)]; g != nil && g.erased >= from {
			return nil
		}
	}
	entries := w.m.tails.between(string(w.name), from, to)
	if len(entries) == 0 {
		return nil
	}
	var last entry
	if ok, err := w.get(seqKey(w.key(kindEntry), to), &last); err != nil || !ok || last.Chain != entries[len(entries)-1].Chain {
		return nil
	}
	return entries
}
