package queue

import (
	"encoding/binary"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// mutation is a client's operation in the log.
type mutation struct {
	m         relay.Mutation
	authority Authority
	queue     relay.QueueID
	key       relay.PublicKey
	id        relay.IdempotencyID
	size      int

	// Computed by the submitter, to keep the storing goroutine free.
	digest relay.Hash
	name   []byte // of the queue
	memory []byte // of the answer that is remembered
	clock  *meta  // the machine's, as Foresee finds it
	past   *past  // likewise
	noted  *noted // likewise
}

func (s *Store) newMutation(m relay.Mutation, a Authority) *mutation {
	op := &mutation{m: m, authority: a, digest: m.Digest(), size: 512, clock: &s.machine.time, past: &s.machine.past, noted: &s.machine.noted}
	_, op.queue, op.key, op.id = m.Header()
	op.name = queueName(s.shard, op.queue)
	op.memory = s.shard.Name('I', op.queue[:], op.key[:], op.id[:])[1:]
	switch m := m.(type) {
	case *relay.Append:
		op.size += len(m.Envelope)
	case *relay.Commit:
		op.size += len(m.Envelope) + 100*len(m.Tickets)
	case *relay.Knock:
		op.size += len(m.Envelope)
	case *relay.Delete:
		op.size += relay.MinEnvelope
	}
	return op
}

// Size implements [shard.Op].
func (op *mutation) Size() int { return op.size }

// Releases implements [shard.Releaser]: a disk that is nearly full keeps nobody from leaving,
// until next to nothing is left.
func (op *mutation) Releases() bool {
	switch op.m.(type) {
	case *relay.Delete, *relay.Leave:
		return true
	}
	return false
}

// Foresee implements [shard.Foreseer]: header and authority, and the places where the answer
// would be if this is a retry. The period may be that of another day, which costs time only.
func (op *mutation) Foresee(get func(key []byte)) {
	key := append(append(make([]byte, 0, 1+len(op.name)), kindHeader), op.name...)
	get(key)
	key[0] = kindAuthority
	get(key)
	kind, periods := memoryKind(op.m)
	for back := range min(periods, op.clock.Period) + 1 {
		period := op.clock.Period - back
		if op.noted.absent(kind, period, op.memory) || op.past.empty(kind, op.clock.Period, back) {
			continue
		}
		get(memoryKey(kind, period, op.memory))
	}
}

// mutate applies a client's operation: a retry is answered first, before authority.
func (m *machine) mutate(tx *shard.Tx, env shard.Env, t meta, op *mutation) Answer {
	b, exists, err := openNamed(tx, m.namer, m.relayKey, op.queue, op.name)
	if err != nil {
		return Answer{}
	}
	w := &work{books: b, m: m, tx: tx, now: env.Now, day: t.Day, period: t.Period}
	if answer, known := w.recall(op); known {
		return answer
	}
	position, refusal := w.perform(op, exists)
	if refusal != nil {
		return Answer{Err: refusal}
	}
	w.remember(op, position)
	return Answer{Position: position}
}

func (w *work) perform(op *mutation, exists bool) (relay.Position, *relay.Refusal) {
	if c, ok := op.m.(*relay.Create); ok {
		if exists {
			return relay.Position{}, refuse(relay.CodeUnknown)
		}
		return w.create(c)
	}
	if !exists || w.header.State == stateGone {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	switch m := op.m.(type) {
	case *relay.Append:
		return w.append(m, op.authority)
	case *relay.Commit:
		return w.commit(m)
	case *relay.Configure:
		return w.configure(m)
	case *relay.Leave:
		return w.leave(m)
	case *relay.Rekey:
		return w.rekey(m)
	case *relay.Knock:
		return w.knock(m)
	case *relay.Delete:
		return w.close(m)
	}
	return relay.Position{}, refuse(relay.CodeMalformed)
}

// memoryKind says how long an operation's answer is kept: the frequent ones shorter.
func memoryKind(m relay.Mutation) (kind byte, periods uint32) {
	switch m.(type) {
	case *relay.Append, *relay.Knock:
		return kindShort, shortMemory
	}
	return kindLong, longMemory
}

func memoryKey(kind byte, period uint32, name []byte) []byte {
	key := append(make([]byte, 0, 1+4+len(name)), kind)
	return append(binary.BigEndian.AppendUint32(key, period), name...)
}

// recall looks for the first answer to the same id under the same key. The table is cut by
// periods, so that old answers go by range and not one by one. Writer keys only APPEND, so an
// APPEND looks in its own table alone; other keys may have used the id elsewhere.
func (w *work) recall(op *mutation) (Answer, bool) {
	name := op.memory
	own, periods := memoryKind(op.m)
	if answer, ok := w.recallFrom(own, periods, name, op.digest); ok {
		return answer, true
	}
	if _, isAppend := op.m.(*relay.Append); isAppend {
		return Answer{}, false
	}
	if own == kindShort {
		return w.recallFrom(kindLong, longMemory, name, op.digest)
	}
	return w.recallFrom(kindShort, shortMemory, name, op.digest)
}

func (w *work) recallFrom(kind byte, periods uint32, name []byte, digest relay.Hash) (Answer, bool) {
	for back := range min(periods, w.period) + 1 {
		if back == 0 {
			w.m.noted.begin(w.tx, kind, w.period)
		}
		if w.m.noted.absent(kind, w.period-back, name) {
			continue
		}
		w.m.past.look(w.tx, kind, w.period, back)
		if w.m.past.empty(kind, w.period, back) {
			continue
		}
		var rec memory
		ok, err := w.get(memoryKey(kind, w.period-back, name), &rec)
		switch {
		case err != nil:
			return Answer{}, true // the shard answers with the error
		case ok && rec.Digest != digest:
			return Answer{Err: refuse(relay.CodeReused)}, true
		case ok:
			return Answer{Position: rec.Position}, true
		}
	}
	return Answer{}, false
}

// remember keeps the answer, in the same transaction as what it answers.
func (w *work) remember(op *mutation, p relay.Position) {
	kind, _ := memoryKind(op.m)
	w.m.noted.add(kind, w.period, op.memory)
	w.set(memoryKey(kind, w.period, op.memory), &memory{Digest: op.digest, Position: p})
}

// forget erases answers that are old enough, at most eraseRecords of them.
func (m *machine) forget(tx *shard.Tx, period uint32) (more bool) {
	n := 0
	for _, kind := range []byte{kindShort, kindLong} {
		keep := uint32(shortMemory)
		if kind == kindLong {
			keep = longMemory
		}
		end := string(memoryKey(kind, period-min(keep, period), nil))
		_ = tx.Keys([]byte{kind}, nil, func(key []byte) bool {
			if string(key) >= end || n >= eraseRecords {
				return false
			}
			_ = tx.Delete(key)
			n++
			return true
		})
	}
	return n >= eraseRecords
}
