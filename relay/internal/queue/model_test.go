package queue

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealpost/sealpost/relay"
)

// drawn lets the rig fail the drawn case, so that rapid can shrink it.
type drawn struct {
	testing.TB
	rt *rapid.T
}

func (d drawn) Fatalf(f string, a ...any) { d.rt.Fatalf(f, a...) }
func (d drawn) Fatal(a ...any)            { d.rt.Fatal(a...) }
func (d drawn) Errorf(f string, a ...any) { d.rt.Errorf(f, a...) }
func (d drawn) Error(a ...any)            { d.rt.Error(a...) }

// model is what a queue should hold, kept as simply as can be: a list.
type model struct {
	*rig
	rt      *rapid.T
	q       relay.QueueID
	day     int
	writers []string // the last is in force
	commits int
	last    relay.Position
	head    relay.Position
	log     map[uint64]modelEntry
	acked   map[string]uint64 // of each active reader
	seen    []relay.Position  // places that were answered
	sent    []sentOp          // accepted mutations, for retries
}

type modelEntry struct {
	text   string
	commit bool
	day    int
}

type sentOp struct {
	m   relay.Mutation
	p   relay.Position
	day int
}

// TestModel: random operations, restarts, losses and days; every reader from every place
// sees contiguous numbers and an unbroken chain, or gaps that explain exactly what is
// missing, and nothing is missing that had to be kept.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.TB = drawn{t, rt}
		m := &model{rig: r, rt: rt, writers: []string{"w0"}, log: map[uint64]modelEntry{}, acked: map[string]uint64{"alice": 0, "bob": 0, "carol": 0}}
		m.q = r.group("g", "alice", "bob", "carol")
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.append1, "append2": m.append1, "append3": m.append1, "stale": m.stale, "commit": m.commit1, "conflict": m.conflict,
			"retry": m.retry, "ack": m.ack1, "read": m.read1, "remove": m.remove, "day": m.nextDay,
			"reopen": func(*rapid.T) { m.reopen() }, "life": m.newLife,
		})
		m.readAll("alice", nil)
		if err := r.Store.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func (m *model) accepted(op relay.Mutation, p relay.Position, e *modelEntry) {
	if e != nil {
		if p.Seq != m.head.Seq+1 && m.head.Incarnation == p.Incarnation {
			m.rt.Fatalf("entry %d follows %d", p.Seq, m.head.Seq)
		}
		if m.log[p.Seq] != (modelEntry{}) {
			m.rt.Fatalf("number %d is given twice", p.Seq)
		}
		m.log[p.Seq] = *e
		m.head = p
		m.seen = append(m.seen, p)
	}
	m.sent = append(m.sent, sentOp{op, p, m.day})
}

func (m *model) append1(*rapid.T) {
	text := fmt.Sprint("m", len(m.sent))
	op := m.append(m.q, m.writers[len(m.writers)-1], text)
	m.accepted(op, m.must(op), &modelEntry{text: text, day: m.day})
}

func (m *model) stale(*rapid.T) {
	if n := len(m.writers); n > 1 {
		m.refused(relay.ErrStale, m.append(m.q, m.writers[rapid.IntRange(max(0, n-10), n-2).Draw(m.rt, "old writer")], "x"))
	}
	m.refused(relay.ErrUnknown, m.append(m.q, "never", "x"))
}

func (m *model) reader1() string {
	return rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(m.rt, "reader")
}

func (m *model) commit1(*rapid.T) {
	m.commits++
	by, next := m.reader1(), fmt.Sprint("w", m.commits)
	op := m.commit(m.q, by, m.last, next)
	p, err := m.try(op)
	if _, active := m.acked[by]; !active {
		if !errors.Is(err, relay.ErrUnknown) {
			m.rt.Fatalf("commit by a removed reader: %v", err)
		}
		return
	}
	if errors.Is(err, relay.ErrLimit) {
		return
	}
	if err != nil {
		m.rt.Fatal(err)
	}
	m.writers, m.last = append(m.writers, next), p
	m.accepted(op, p, &modelEntry{text: "commit by " + by, commit: true, day: m.day})
}

func (m *model) conflict(*rapid.T) {
	wrong := m.last
	wrong.Chain[5] ^= 1
	m.refused(relay.ErrConflict, m.commit(m.q, "alice", wrong, "w"))
}

func (m *model) retry(*rapid.T) {
	if len(m.sent) == 0 {
		return
	}
	s := rapid.SampledFrom(m.sent).Draw(m.rt, "sent")
	if _, short := s.m.(*relay.Append); m.day-s.day > 6 || short && m.day-s.day > 2 {
		return
	}
	if p := m.must(s.m); p != s.p {
		m.rt.Fatalf("retry at %d, first at %d", p.Seq, s.p.Seq)
	}
}

func (m *model) ack1(*rapid.T) {
	by := m.reader1()
	if _, active := m.acked[by]; !active || m.head.Seq == 0 {
		return
	}
	seq := rapid.Uint64Range(m.acked[by], m.head.Seq).Draw(m.rt, "seq")
	m.acked[by] = seq
	m.Ack(m.q, key(by), seq)
	m.flushAcks()
}

func (m *model) remove(*rapid.T) {
	by := m.reader1()
	if by == "alice" || rapid.IntRange(0, 3).Draw(m.rt, "rarely") > 0 {
		return
	}
	m.must(m.configure(m.q, "admin", relay.RemoveReader{Key: key(by)}))
	delete(m.acked, by)
}

func (m *model) nextDay(*rapid.T) {
	for range rapid.SampledFrom([]int{1, 1, 3, 20}).Draw(m.rt, "days") {
		for by := range m.acked {
			m.Ack(m.q, key(by), 0) // seen
		}
		m.flushAcks()
		m.days(1)
		m.day++
	}
}

// newLife is a loss without anything lost: the numbers jump and all is explained.
func (m *model) newLife(*rapid.T) {
	if rapid.IntRange(0, 2).Draw(m.rt, "rarely") > 0 {
		return
	}
	m.cfg.Restored = true
	m.reopen()
	m.cfg.Restored = false
	f := m.follow(m.q, "alice", nil)
	m.head = f.at
	m.seen = append(m.seen, f.at)
}

func (m *model) read1(*rapid.T) {
	if len(m.seen) == 0 {
		return
	}
	m.readAll("alice", new(rapid.SampledFrom(m.seen).Draw(m.rt, "from")))
}

// readAll reads from a place to the head and compares with the list.
func (m *model) readAll(by string, from *relay.Position) {
	f := m.follow(m.q, by, from)
	if m.head.Seq > 0 && f.at != m.head {
		m.rt.Fatalf("read up to %d, head %d", f.at.Seq, m.head.Seq)
	}
	read := make(map[uint64]string)
	for i, seq := range f.seqs {
		read[seq] = f.texts[i]
	}
	slowest := m.head.Seq
	for _, a := range m.acked {
		slowest = min(slowest, a)
	}
	for seq, e := range m.log {
		text, ok := read[seq]
		age := m.day - e.day
		switch {
		case from != nil && seq <= from.Seq:
		case ok && text != e.text:
			m.rt.Errorf("entry %d reads %q, was %q", seq, text, e.text)
		case ok || from == nil && seq == 1 && len(f.gaps) > 0 && f.gaps[0].To == 1:
			// Read; or the first of an earlier life, given as a gap to who has no position.
		case age > 90, !e.commit && (age > 30 || seq <= slowest):
		default:
			m.rt.Errorf("entry %d (%q, %d days old, acked by all up to %d) is missing", seq, e.text, age, slowest)
		}
	}
	for seq, text := range read {
		if m.log[seq].text != text {
			m.rt.Errorf("entry %d reads %q, which nobody wrote", seq, text)
		}
	}
}
