package queue

import (
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// work is one operation on one queue. Its methods that return a *relay.Refusal come first
// in every operation and write nothing; what writes comes after the last check. Errors of
// the store, and records that do not decode, need no handling: the shard undoes the operation
// and answers with them.
type work struct {
	*books
	m   *machine
	tx  *shard.Tx
	now time.Time
	day uint32

	period uint32
	walked int // bytes of envelopes that were read to be erased, or not
}

// clock returns the store's time. Its day follows the wall clock, but never steps back, and
// only a sweep moves it, by one: so a clock that jumps a year ahead expires nothing before
// its operator can notice (ATTACKS R24). Answers are remembered by periods instead, which
// move by one whenever a sweep finds another date, so that catching up with the calendar
// after a long halt forgets none too early.
func (m *machine) clock(tx *shard.Tx, env shard.Env) meta {
	if m.timeBatch == env.Batch {
		return m.time
	}
	v, ok, _ := tx.Get([]byte{kindMeta})
	if ok {
		if wire.Unmarshal(v, &m.time) != nil {
			_ = tx.Fail(shard.ErrCorrupt) // a day that is not known may expire everything
			return meta{}
		}
		m.timeBatch = env.Batch
		m.today.Store(m.time.Day)
		return m.time
	}
	today := dayOf(env.Now)
	return m.setClock(tx, meta{Day: today, Wall: today, Period: today})
}

// setClock stores the time. The batch's later operations read it again.
func (m *machine) setClock(tx *shard.Tx, t meta) meta {
	v, _ := wire.Marshal(&t) // cannot fail: fixed size
	_ = tx.Set([]byte{kindMeta}, v)
	m.timeBatch = 0
	return t
}

func dayOf(t time.Time) uint32 {
	if t.Unix() < 0 {
		return 0
	}
	return uint32(t.Unix() / (24 * 60 * 60))
}

func (w *work) set(key []byte, rec wire.Marshaler) {
	v, err := wire.Marshal(rec)
	if err != nil {
		_ = w.tx.Fail(err) // only a vector above 1 GiB
		return
	}
	_ = w.tx.Set(key, v)
}

// save writes the header, and with it the move to a new incarnation if there was one.
func (w *work) save() {
	if w.lost != nil {
		if _, err := w.authority(); err == nil {
			w.saveAuthority()
		}
		w.setGap(w.lost)
		w.lost, w.old = nil, nil
	}
	w.set(w.key(kindHeader), &w.header)
	w.countBacklog()
	w.tx.RaiseMark(w.header.Seq)
	w.m.touch(w.name)
}

func (w *work) saveAuthority() { w.set(w.key(kindAuthority), w.auth) }

func (w *work) setGap(g *gap) { w.set(seqKey(w.key(kindGap), g.last), g) }

func (w *work) setReader(key relay.PublicKey, p reader) {
	w.set(w.member(kindReader, key), &p)
	w.readersChanged()
}

// dropReader deletes a reader's record.
func (w *work) dropReader(name []byte) {
	_ = w.tx.Delete(name)
	w.readersChanged()
}

// add appends an entry. The caller has made room, and saves. Only the request writer's are
// not counted: they have room of their own. Whoever names blobs has pinned them.
func (w *work) add(kind relay.Kind, by *relay.PublicKey, envelope []byte, counted bool, blobs ...relay.Hash) relay.Position {
	h := &w.header
	h.Seq++
	w.m.touches(w.name, true)
	before := h.Chain
	h.Chain = relay.ChainNext(h.Chain, h.Seq, kind, envelope, blobs...)
	if counted {
		h.Entries++
		h.Bytes += uint64(len(envelope))
	}
	e := &stored{seq: h.Seq, entry: entry{Kind: kind, Day: w.day, Chain: h.Chain, Reader: by, Blobs: blobs, Envelope: envelope}}
	w.set(seqKey(w.key(kindEntry), h.Seq), &e.entry)
	w.m.gain(w.name, before, e)
	return h.head()
}

// glance is authority for whoever changes nothing in it: a busy queue's is decoded once.
func (w *work) glance() (*authority, error) {
	if w.auth != nil || w.old != nil {
		return w.authority()
	}
	v, ok, err := w.tx.Get(w.key(kindAuthority))
	if err != nil || !ok || len(v) == 0 {
		return w.authority() // which fails
	}
	// The store's values never change, so one is known by where it is.
	if a := w.m.glances[&v[0]]; a != nil {
		return a, nil
	}
	a := new(authority)
	if wire.Unmarshal(v, a) != nil {
		return nil, w.corrupt()
	}
	if len(w.m.glances) >= maxGlances || w.m.glances == nil {
		w.m.glances = make(map[*byte]*authority)
	}
	w.m.glances[&v[0]] = a
	return a, nil
}

// active returns reader's record if it is a full reader now.
func (w *work) active(key relay.PublicKey) (p reader, ok bool) {
	p, ok, _ = w.reader(key)
	return p, ok && p.State == readerActive
}

// within spends a token of a limit that key has in this queue.
func (w *work) within(limit relay.Limit, rate Rate, key relay.PublicKey) *relay.Refusal {
	wait, ok := w.m.rates.take(limit, w.name, key, rate, w.now)
	if ok {
		return nil
	}
	return &relay.Refusal{Code: relay.CodeLimit, Limit: limit, RetryAfter: wait}
}

func refuse(code relay.RefusalCode) *relay.Refusal { return &relay.Refusal{Code: code} }

// quota refuses for want of room: whose, and when it is worth asking again.
func quota(limit relay.Limit, retry time.Duration) *relay.Refusal {
	return &relay.Refusal{Code: relay.CodeQuota, Limit: limit, RetryAfter: retry}
}

// tooMany refuses members beyond what a queue may have, until some have left.
func tooMany(limit relay.Limit) *relay.Refusal {
	return &relay.Refusal{Code: relay.CodeLimit, Limit: limit, RetryAfter: retryMembers}
}
