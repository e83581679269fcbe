package queue

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// TestQ01_WrongNextWriterKey: a commit that names a key nobody has costs one slot; any other
// member commits on top of it and the group writes again.
func TestQ01_WrongNextWriterKey(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "one"))
	bad := r.must(r.commit(q, "alice", relay.Position{}, "nobody has this"))
	stale := r.refused(relay.ErrStale, r.append(q, "w0", "two"))
	if stale.Position == nil || *stale.Position != bad {
		t.Error("STALE does not carry the head")
	}
	r.must(r.commit(q, "bob", bad, "w2"))
	r.must(r.append(q, "w2", "two again"))
	r.refused(relay.ErrStale, r.append(q, "nobody has this", "x"))
	f := r.follow(q, "bob", nil)
	f.want("one", "commit by alice", "commit by bob", "two again")
}

// TestCommitConflict: the second of two commits on the same base hears the last commit, and
// nothing of it takes effect.
func TestCommitConflict(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	first := r.must(r.commit(q, "alice", relay.Position{}, "w1"))
	conflict := r.refused(relay.ErrConflict, r.commit(q, "bob", relay.Position{}, "w2", "ticket"))
	if conflict.Position == nil || *conflict.Position != first {
		t.Error("CONFLICT does not carry the last commit")
	}
	other := first
	other.Chain[0] ^= 1
	r.refused(relay.ErrConflict, r.commit(q, "bob", other, "w2"))
	r.must(r.append(q, "w1", "m"))
	r.refused(relay.ErrUnknown, &relay.Rekey{ID: r.id(), Queue: q, Ticket: key("ticket"), Reader: key("carol")})
	r.must(r.commit(q, "bob", first, "w2"))
}

// TestQ02_NobodyEvictsAnother: only an admin's key removes a reader, and a COMMIT cannot
// carry anything that does.
func TestQ02_NobodyEvictsAnother(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "for bob"))
	for _, c := range []relay.Change{
		relay.RemoveReader{Key: key("bob")}, relay.AddReader{Key: key("eve")}, relay.AddWriter{Key: key("eve")},
		relay.RemoveWriter{Key: key("x")}, relay.SetRequestWriter{}, relay.SetAdmins{Keys: keys("alice")},
		relay.SetNamedWriting{On: true}, relay.SetRetention{Days: 1}, relay.SetLimits{MaxEntries: 1, MaxBytes: 1},
	} {
		r.refused(relay.ErrForbidden, r.configure(q, "alice", relay.SetWakeHandle{Handle: []byte("h")}, c))
		r.refused(relay.ErrUnknown, r.configure(q, "w0", c))
		r.refused(relay.ErrUnknown, r.configure(q, "stranger", c))
	}
	r.refused(relay.ErrForbidden, r.configure(q, "admin", relay.SetWakeHandle{Handle: []byte("h")}))
	r.must(r.configure(q, "alice", relay.SetWakeHandle{Handle: []byte("h")}))
	// A commit that passes off another's key as a ticket would take its place over.
	r.refused(relay.ErrForbidden, r.commit(q, "alice", relay.Position{}, "w1", "bob"))
	change := r.commit(q, "alice", relay.Position{}, "w1")
	change.Admins = &relay.AdminChange{Admins: keys("alice"), Key: key("alice")}
	r.refused(relay.ErrForbidden, change)
	r.follow(q, "alice", nil).ack()
	f := r.follow(q, "bob", nil)
	f.want("for bob")
	f.wantGaps()
	change.Admins.Key = key("admin")
	change.ID = r.id()
	r.must(change)
	r.must(r.configure(q, "alice", relay.RemoveReader{Key: key("bob")}))
}

// TestQ04_AppendInTheBatchOfItsRemoval: the order in the log decides, also inside a batch.
func TestQ04_AppendInTheBatchOfItsRemoval(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	ops := []relay.Mutation{
		r.append(q, "w0", "before"), r.commit(q, "alice", relay.Position{}, "w1"),
		r.append(q, "w0", "after"), r.append(q, "w1", "new"),
	}
	answers := make([]Answer, len(ops))
	var wg sync.WaitGroup
	for i, m := range ops {
		wg.Add(1)
		r.Submit(m, Authority{}, func(a Answer) { answers[i] = a; wg.Done() })
	}
	wg.Wait()
	var got strings.Builder
	for _, a := range answers {
		if a.Err != nil {
			got.WriteString(fmt.Sprint(a.Err.Code, " "))
			continue
		}
		got.WriteString(fmt.Sprint(a.Position.Seq, " "))
	}
	if got.String() != "1 2 stale writer key 3 " {
		t.Errorf("answers: %s", got.String())
	}
	r.follow(q, "bob", nil).want("before", "commit by alice", "new")
}

// TestQ05_RetryGetsTheFirstAnswer: retries of every mutation after the writer key changed
// and after a restart get the first answer, and the log holds each once.
func TestQ05_RetryGetsTheFirstAnswer(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	create := &relay.Create{ID: r.id(), Queue: queueID("h"), Key: key("a"), Admins: keys("a"), Readers: keys("x")}
	app := r.append(q, "w0", "once")
	commit := r.commit(q, "alice", relay.Position{}, "w1", "t1")
	rekey := &relay.Rekey{ID: r.id(), Queue: q, Ticket: key("t1"), Reader: key("carol")}
	knock := &relay.Knock{ID: r.id(), Queue: q, Reader: key("bob"), Envelope: envelope("knock", 512)}
	conf := r.configure(q, "admin", relay.AddWriter{Key: key("c")})
	leave := &relay.Leave{ID: r.id(), Queue: q, Reader: key("alice")}
	del := &relay.Delete{ID: r.id(), Queue: q, Key: key("admin")}
	ops := []relay.Mutation{create, app, commit, rekey, knock, conf, leave, del}
	var first []relay.Position
	for _, m := range ops {
		first = append(first, r.must(m))
	}
	for range 2 {
		for i, m := range ops {
			if again := r.must(m); again != first[i] {
				t.Errorf("%T: the retry is at %d, the first at %d", m, again.Seq, first[i].Seq)
			}
		}
		r.reopen()
	}
	other := *app
	other.Envelope = envelope("other bytes", 512)
	r.refused(relay.ErrReused, &other)
	r.refused(relay.ErrReused, &relay.Configure{ID: knock.ID, Queue: q, Key: key("bob"), Changes: conf.Changes})
	r.follow(q, "bob", nil).want("once", "commit by alice", "knock", "closed")
}

// TestQ05_MemoryEnds: an APPEND's answer is kept 48 hours at least and a COMMIT's a week,
// also when the store catches up with the calendar.
func TestQ05_MemoryEnds(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	app := r.append(q, "w0", "m")
	commit := r.commit(q, "alice", relay.Position{}, "w1")
	at, ct := r.must(app), r.must(commit)
	r.pass(1000 * time.Hour)
	for range 40 {
		r.sweep() // the day moves with each, the period once
	}
	r.days(1)
	if p := r.must(app); p != at {
		t.Error("an APPEND's answer changed within 48 hours")
	}
	r.days(2)
	r.refused(relay.ErrStale, app)
	r.days(3)
	if p := r.must(commit); p != ct {
		t.Error("a COMMIT's answer changed within 7 days")
	}
	r.days(2)
	r.refused(relay.ErrConflict, commit)
}

// strangers are all commands on queue q by keys that have no place in it.
func strangers(r *rig, q relay.QueueID, who string) []relay.Mutation {
	commit := r.commit(q, who, relay.Position{}, "w9")
	return []relay.Mutation{
		r.append(q, who, "x"), commit,
		r.configure(q, who, relay.SetWakeHandle{Handle: []byte{1}}), r.configure(q, who, relay.RemoveReader{Key: key("bob")}),
		&relay.Leave{ID: r.id(), Queue: q, Reader: key(who)},
		&relay.Rekey{ID: r.id(), Queue: q, Ticket: key(who), Reader: key("mine")},
		&relay.Knock{ID: r.id(), Queue: q, Reader: key(who), Envelope: envelope("k", 512)},
		&relay.Delete{ID: r.id(), Queue: q, Key: key(who)},
	}
}

// TestR01_StrangersHearUnknown: every command with a wrong key gets the same refusal as on a
// queue that does not exist, whatever state the queue is in, and leaves no trace.
func TestR01_StrangersHearUnknown(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	none := queueID("none")
	p := r.must(r.append(q, "w0", "secret"))
	check := func(state string) {
		t.Helper()
		for _, who := range []string{"stranger", "old"} {
			there, missing := strangers(r, q, who), strangers(r, none, who)
			for i := range there {
				_, a := r.try(there[i])
				_, b := r.try(missing[i])
				if fmt.Sprintf("%#v", a) != fmt.Sprintf("%#v", b) || a == nil {
					t.Errorf("%s: %T by a stranger: %#v, on a missing queue: %#v", state, there[i], a, b)
				}
			}
			for _, pos := range []*relay.Position{nil, &p, {Seq: 99}} {
				_, a := r.attach(q, who, pos)
				_, b := r.attach(none, who, pos)
				if fmt.Sprintf("%#v", a) != fmt.Sprintf("%#v", b) || a == nil {
					t.Errorf("%s: ATTACH by a stranger: %#v, on a missing queue: %#v", state, a, b)
				}
			}
		}
	}
	check("open")
	r.Ack(q, key("stranger"), 1)
	r.flushAcks()
	r.refused(relay.ErrUnknown, &relay.Create{ID: r.id(), Queue: q, Key: key("e"), Admins: keys("e"), Readers: keys("e")})
	r.follow(q, "bob", nil).want("secret")
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	check("closed")
	r.days(9)
	check("erased")
	if _, err := r.attach(q, "bob", nil); err == nil {
		t.Error("an erased queue can be attached")
	}
	r.refused(relay.ErrUnknown, r.append(q, "w0", "x"))
}

// TestR01_PlacesAreNotInterchangeable: who has one place in a queue does not get another.
func TestR01_PlacesAreNotInterchangeable(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	last := r.must(r.commit(q, "alice", relay.Position{}, "w1", "ticket"))
	r.refused(relay.ErrUnknown, r.append(q, "alice", "reader key writes"))
	r.refused(relay.ErrUnknown, r.append(q, "admin", "admin key writes"))
	r.refused(relay.ErrUnknown, r.commit(q, "w1", last, "w2"))
	r.refused(relay.ErrUnknown, r.commit(q, "admin", last, "w2"))
	r.refused(relay.ErrUnknown, r.commit(q, "ticket", last, "w2"))
	r.refused(relay.ErrForbidden, &relay.Delete{ID: r.id(), Queue: q, Key: key("alice")})
	r.refused(relay.ErrForbidden, &relay.Rekey{ID: r.id(), Queue: q, Ticket: key("alice"), Reader: key("mine")})
	for _, who := range []string{"w1", "admin"} {
		if _, err := r.attach(q, who, nil); err == nil || err.Error() != relay.ErrUnknown.Error() {
			t.Errorf("ATTACH by %s: %v", who, err)
		}
	}
	if _, err := r.attach(q, "ticket", nil); err == nil || err.Error() != relay.ErrForbidden.Error() {
		t.Errorf("ATTACH by a ticket: %v", err)
	}
}

// TestR02_SecondSessionSupersedes: the stream goes to the newest attachment of a reader.
func TestR02_SecondSessionSupersedes(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	first := r.follow(q, "alice", nil)
	second := r.follow(q, "alice", nil)
	if reason, ended := first.a.Ended(); !ended || reason != relay.DetachSuperseded {
		t.Errorf("the first attachment: ended %v, reason %d", ended, reason)
	}
	first.a.Close() // must not take the second one's place away
	<-second.woken
	r.must(r.append(q, "w0", "m"))
	<-second.woken
	first.read().want()
	second.read().want("m")
}

// TestWakeComesAfterTheBatch: an attached reader that was caught up is woken and finds the
// entry.
func TestWakeComesAfterTheBatch(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	f := r.follow(q, "alice", nil)
	<-f.woken // the token of attaching
	for i := range 20 {
		r.Submit(r.append(q, "w0", fmt.Sprint(i)), Authority{}, func(Answer) {})
		<-f.woken
		if f.read(); len(f.texts) != i+1 {
			t.Fatalf("woken for entry %d, read %d", i+1, len(f.texts))
		}
	}
}

func TestTickets(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	r.must(r.append(q, "w0", "before"))
	at := r.must(r.commit(q, "alice", relay.Position{}, "w1", "t1", "t2", "t3"))
	r.must(r.append(q, "w1", "after"))
	r.follow(q, "alice", nil).ack()
	r.must(&relay.Rekey{ID: r.id(), Queue: q, Ticket: key("t1"), Reader: key("bob")})
	r.refused(relay.ErrUnknown, &relay.Rekey{ID: r.id(), Queue: q, Ticket: key("t1"), Reader: key("eve")})
	r.refused(relay.ErrForbidden, &relay.Rekey{ID: r.id(), Queue: q, Ticket: key("t2"), Reader: key("alice")})
	f := r.follow(q, "bob", &at)
	f.want("after") // held for the tickets although alice acked it
	f.wantGaps()
	blind := r.follow(q, "bob", nil)
	blind.want("after")
	blind.wantGaps("1-2:4")
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("t2")}))
	r.refused(relay.ErrUnknown, &relay.Rekey{ID: r.id(), Queue: q, Ticket: key("t2"), Reader: key("x")})
	r.days(29)
	r.refused(relay.ErrUnknown, &relay.Rekey{ID: r.id(), Queue: q, Ticket: key("t3"), Reader: key("x")})
}

// TestRemovedReaderReadsToItsEnd: also when it is attached, and after it left by itself.
func TestRemovedReaderReadsToItsEnd(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob", "carol")
	live := r.follow(q, "bob", nil)
	<-live.woken
	r.must(r.append(q, "w0", "one"))
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	r.must(&relay.Leave{ID: r.id(), Queue: q, Reader: key("carol")})
	r.must(&relay.Leave{ID: r.id(), Queue: q, Reader: key("carol")}) // deposited twice
	r.must(r.append(q, "w0", "two"))
	<-live.woken
	live.read().want("one")
	if reason, ended := live.a.Ended(); live.end == nil || !ended || reason != relay.DetachRemoved {
		t.Error("the session of a removed reader is not told")
	}
	r.refused(relay.ErrUnknown, r.commit(q, "bob", relay.Position{}, "w1"))
	r.refused(relay.ErrUnknown, &relay.Knock{ID: r.id(), Queue: q, Reader: key("bob"), Envelope: envelope("k", 512)})
	r.reopen()
	late := r.follow(q, "carol", nil)
	late.want("one")
	if late.end == nil || late.end.Seq != 1 {
		t.Error("no END for who left")
	}
	r.follow(q, "alice", nil).ack() // nobody else is waited for
	gone := r.follow(q, "carol", nil)
	gone.want()
	if gone.end == nil {
		t.Error("no END after the entries went")
	}
	r.days(91)
	if _, err := r.attach(q, "carol", nil); err == nil {
		t.Error("a removed reader is known for ever")
	}
}

func TestDelete(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "m"))
	live := r.follow(q, "bob", nil)
	<-live.woken
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	for _, m := range []relay.Mutation{
		r.append(q, "w0", "x"), r.commit(q, "alice", relay.Position{}, "w1"), r.configure(q, "admin", relay.SetRetention{Days: 1}),
		&relay.Knock{ID: r.id(), Queue: q, Reader: key("bob"), Envelope: envelope("k", 512)}, &relay.Delete{ID: r.id(), Queue: q, Key: key("admin")},
	} {
		r.refused(relay.ErrClosed, m)
	}
	r.days(7)
	r.follow(q, "alice", nil).want("m", "closed")
	r.days(1)
	<-live.woken
	live.read()
	if reason, ended := live.a.Ended(); !ended || reason != relay.DetachDeleted {
		t.Error("the session of an erased queue is not told")
	}
	alone := r.group("alone", "alice")
	r.must(r.append(alone, "w0", "m"))
	r.follow(alone, "alice", nil).ack()
	r.must(&relay.Delete{ID: r.id(), Queue: alone, Key: key("admin")})
	if _, err := r.attach(alone, "alice", nil); err == nil {
		t.Error("a queue of one reader that has read all outlives its DELETE")
	}
	r.refused(relay.ErrUnknown, &relay.Create{ID: r.id(), Queue: q, Key: key("e"), Admins: keys("e"), Readers: keys("e")})
	r.days(100)
	if left := records(t, r); len(left) != 1 || left[0].key[0] != kindMeta {
		t.Errorf("%d records are left of two erased queues", len(left))
	}
}

// TestQ10_NamedWriting: an admin makes APPEND need a proven reader, and DELIVER names it.
func TestQ10_NamedWriting(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	proven := Authority{Reader: true}
	m := r.append(q, "w0", "unnamed")
	m.Reader = new(key("alice"))
	r.must(m, proven)
	r.must(r.configure(q, "admin", relay.SetNamedWriting{On: true}))
	r.refused(relay.ErrForbidden, r.append(q, "w0", "x"))
	m = r.append(q, "w0", "x")
	m.Reader = new(key("alice"))
	r.refused(relay.ErrForbidden, m)
	m.Reader = new(key("stranger"))
	r.refused(relay.ErrForbidden, m, proven)
	m.Reader = new(key("alice"))
	r.must(m, proven)
	a, _, err := r.Attach(q, key("bob"), nil, func() {})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := a.Next(1 << 20)
	if len(b.Entries) != 2 || b.Entries[0].Reader != nil || b.Entries[1].Reader == nil || *b.Entries[1].Reader != key("alice") {
		t.Error("named writing does not name exactly the entries made under it")
	}
}

func TestRates(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	knock := func(class relay.KnockClass) *relay.Knock {
		return &relay.Knock{ID: r.id(), Queue: q, Reader: key("bob"), Class: class, Envelope: envelope("k", 512)}
	}
	r.must(knock(relay.ClassKnock))
	l := r.refused(relay.ErrLimit, knock(relay.ClassKnock))
	if l.Limit != relay.LimitKnocks || l.RetryAfter <= 59*time.Minute || l.RetryAfter > time.Hour {
		t.Errorf("second knock: limit %d, again in %v", l.Limit, l.RetryAfter)
	}
	for range 30 {
		r.must(knock(relay.ClassVote))
	}
	r.refused(relay.ErrLimit, knock(relay.ClassVote))
	r.pass(time.Hour)
	r.must(knock(relay.ClassKnock))
	var last relay.Position
	for i := range 20 {
		last = r.must(r.commit(q, "alice", last, fmt.Sprint("w", i+1)))
	}
	if l := r.refused(relay.ErrLimit, r.commit(q, "alice", last, "w30")); l.Limit != relay.LimitCommits {
		t.Errorf("21st commit: limit %d", l.Limit)
	}
	last = r.must(r.commit(q, "bob", last, "w31")) // another reader's rate is its own
	r.pass(time.Minute)
	r.must(r.commit(q, "alice", last, "w32"))
	for range 60 {
		r.refused(relay.ErrConflict, r.commit(q, "alice", relay.Position{}, "w"))
	}
	if l := r.refused(relay.ErrLimit, r.commit(q, "alice", relay.Position{}, "w")); l.Limit != relay.LimitConflicts {
		t.Errorf("61st conflict: limit %d", l.Limit)
	}
}

func TestMalformedBeforeAnything(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	m := r.append(q, "w0", "x")
	m.Envelope = m.Envelope[:511]
	r.refused(relay.ErrMalformed, m)
	m.Envelope = make([]byte, 1<<20)
	r.refused(relay.ErrTooLarge, m)
}
