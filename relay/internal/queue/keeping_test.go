package queue

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

type record struct{ key, value []byte }

// records opens every record of the machine.
func records(t testing.TB, r *rig) (all []record) {
	t.Helper()
	err := r.shard.View(func(v *shard.Snapshot) error {
		for kind := 1; kind < 256; kind++ {
			err := v.Scan([]byte{byte(kind)}, nil, func(k, v []byte) bool {
				all = append(all, record{k, v})
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAckedEntriesGo: what all readers acked is erased but for COMMITs, and whoever comes
// with an old position is told.
func TestAckedEntriesGo(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "a"))
	r.must(r.append(q, "w0", "b"))
	r.must(r.commit(q, "alice", relay.Position{}, "w1"))
	r.must(r.append(q, "w1", "c"))
	alice, bob := r.follow(q, "alice", nil), r.follow(q, "bob", nil)
	alice.ack()
	r.follow(q, "bob", nil).want("a", "b", "commit by alice", "c")
	bob.ack()
	again := r.follow(q, "bob", nil)
	again.want("commit by alice")
	again.wantGaps("1-2:4", "4-4:4")
	r.must(r.append(q, "w1", "d"))
	again.read().want("commit by alice", "d")
	alice.read()
	alice.ack()
	again.ack()
	last := r.follow(q, "alice", nil)
	last.wantGaps("1-2:4", "4-5:4")
	r.days(91) // the COMMIT is old enough as well, and nobody was seen: all have left
	count := 0
	for _, rec := range records(t, r) {
		if rec.key[0] == kindEntry {
			count++
		}
	}
	if count != 0 {
		t.Errorf("%d entries are kept after their time", count)
	}
}

// TestRemovalLetsEntriesGo: what only a removed reader had not acked goes with it.
func TestRemovalLetsEntriesGo(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "m"))
	r.follow(q, "alice", nil).ack()
	r.follow(q, "alice", nil).want("m")
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	r.follow(q, "alice", nil).wantGaps("1-1:4")
	f := r.follow(q, "bob", nil)
	if f.wantGaps("1-1:2"); f.end == nil { // not acked: bob never had it
		t.Error("no END after the gap")
	}
}

// TestAckBeyondTheHead: an ack of what was never written counts as one of the head.
func TestAckBeyondTheHead(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	r.Ack(q, key("alice"), 1<<60)
	r.flushAcks()
	r.must(r.append(q, "w0", "m"))
	r.sweep()
	r.follow(q, "alice", nil).want("m")
}

func TestExpiry(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.configure(q, "admin", relay.SetRetention{Days: 10}))
	r.must(r.append(q, "w0", "old"))
	r.must(r.commit(q, "alice", relay.Position{}, "w1"))
	r.days(5)
	r.must(r.append(q, "w1", "young"))
	r.days(6)
	f := r.follow(q, "bob", nil)
	f.want("commit by alice", "young")
	f.wantGaps("1-1:1")
	r.days(70)
	f = r.follow(q, "bob", nil)
	f.want("commit by alice")
	f.wantGaps("1-1:1", "3-3:1")
	r.days(20)
	f = r.follow(q, "bob", nil)
	f.want()
	f.wantGaps("1-3:1")
}

// TestR24_ClockJump: a clock that jumps a year ahead and back expires nothing.
func TestR24_ClockJump(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	app := r.append(q, "w0", "m")
	r.must(app)
	r.pass(365 * 24 * 3600 * 1e9)
	for range 20 {
		r.sweep()
	}
	r.must(app)
	r.pass(-365 * 24 * 3600 * 1e9)
	for range 20 {
		r.sweep()
	}
	r.must(app)
	f := r.follow(q, "bob", nil)
	f.want("m")
	f.wantGaps()
}

// TestUnseenReaderLeaves: after 90 days a reader that nobody saw holds nothing back, and is
// told so when it comes.
func TestUnseenReaderLeaves(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "m"))
	for range 10 {
		r.days(10)
		r.follow(q, "alice", nil).ack()
	}
	r.refused(relay.ErrUnknown, &relay.Knock{ID: r.id(), Queue: q, Reader: key("bob"), Envelope: envelope("k", 512)})
	if f := r.follow(q, "bob", nil); f.end == nil {
		t.Error("a reader that left after 90 days gets no END")
	}
}

// TestQuota: a live reader that has not acked makes an append QUOTA and changes nothing; an
// absent one gets GAP quota.
func TestQuota(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.MaxEntries = 4 })
	q := r.group("g", "alice", "bob")
	for i := range 4 {
		r.must(r.append(q, "w0", fmt.Sprint("m", i)))
	}
	alice := r.follow(q, "alice", nil)
	alice.ack()
	before := records(t, r)
	r.refused(relay.ErrQuota, r.append(q, "w0", "x"))
	if after := records(t, r); len(after) != len(before) {
		t.Errorf("a refused append left %d records, had %d", len(after), len(before))
	}
	r.days(8) // bob is absent now
	r.follow(q, "alice", &alice.at)
	r.flushAcks()
	r.must(r.append(q, "w0", "m4"))
	r.must(r.append(q, "w0", "m5"))
	f := r.follow(q, "bob", nil)
	f.want("m2", "m3", "m4", "m5")
	f.wantGaps("1-2:5")
	r.flushAcks() // bob is back: nothing more goes without his ack
	r.refused(relay.ErrQuota, r.append(q, "w0", "x"))
	f.ack()
	r.must(r.append(q, "w0", "m6"))
	r.must(r.configure(q, "admin", relay.SetLimits{MaxEntries: 1 << 20, MaxBytes: 512}))
	r.refused(relay.ErrQuota, r.append(q, "w0", "x"))
}

// TestQuotaLargeAfterSmall: one large envelope takes the room of many small ones.
func TestQuotaLargeAfterSmall(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.MaxBytes = 512 << 10 })
	q := r.group("g", "alice", "bob")
	var wg sync.WaitGroup
	for range 1000 {
		wg.Add(1)
		r.Submit(r.append(q, "w0", "m"), Authority{}, func(Answer) { wg.Done() })
	}
	wg.Wait()
	r.days(8)
	r.follow(q, "alice", nil).ack()
	m := r.append(q, "w0", "large")
	m.Envelope = envelope("large", 512<<10)
	r.must(m)
	f := r.follow(q, "bob", nil)
	f.want("large")
	f.wantGaps("1-1000:5")
}

// TestR07_StrangersAndContacts: a flood of requests drops requests only, and a contact that
// fills its share leaves the others theirs.
func TestR07_StrangersAndContacts(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Limits.ContactEntries, c.Limits.RequestAppends = 3, Rate{1000, 1}
	})
	q := r.inbox("inbox")
	r.refused(relay.ErrUnknown, r.append(q, "carl", "not yet a contact"))
	r.must(r.configure(q, "admin", relay.AddWriter{Key: key("carl")}, relay.AddWriter{Key: key("dora")}))
	r.must(r.append(q, "carl", "hello"))
	for i := range 100 {
		r.must(r.append(q, "request", fmt.Sprint("spam ", i)))
		if i == 50 {
			r.must(r.append(q, "carl", "amid"))
		}
	}
	big := r.append(q, "request", "big")
	big.Envelope = envelope("big", 32<<10)
	r.refused(relay.ErrTooLarge, big)
	f := r.follow(q, "owner", nil)
	if f.texts[0] != "hello" || !slices.Contains(f.texts, "amid") || len(f.texts) != 66 || f.texts[65] != "spam 99" {
		t.Errorf("%d texts survive, last %q", len(f.texts), f.texts[len(f.texts)-1])
	}
	f.wantGaps("2-37:5")
	r.must(r.append(q, "carl", "third"))
	r.refused(relay.ErrQuota, r.append(q, "carl", "fourth"))
	r.must(r.append(q, "dora", "first of dora"))
	f.read()
	f.ack()
	for range 3 {
		r.must(r.append(q, "carl", "there is room again"))
	}
	r.refused(relay.ErrQuota, r.append(q, "carl", "no more"))
	r.must(r.configure(q, "admin", relay.RemoveWriter{Key: key("carl")}))
	r.refused(relay.ErrUnknown, r.append(q, "carl", "blocked"))
	// Acked entries have left the strangers' ring too.
	for i := range 64 {
		r.must(r.append(q, "request", fmt.Sprint("again ", i)))
	}
	f.read()
	if f.wantGaps("2-37:5"); f.texts[len(f.texts)-1] != "again 63" {
		t.Error("the ring dropped what had room")
	}
}

// lossy makes a store that answered more than its data shows: Badger as it was at the
// snapshot, under the newest mark.
func (r *rig) lossy(snapshot string) {
	r.Helper()
	if err := r.Store.Close(); err != nil {
		r.Fatal(err)
	}
	mark, err := os.ReadFile(filepath.Join(r.dir, "mark"))
	if err == nil {
		r.dir = snapshot
		err = os.WriteFile(filepath.Join(r.dir, "mark"), mark, 0o600)
	}
	if err != nil {
		r.Fatal(err)
	}
	r.open()
}

func (r *rig) snapshot() string {
	r.Helper()
	if err := r.Store.Close(); err != nil {
		r.Fatal(err)
	}
	dir := r.TempDir()
	copyDir(r.TB, r.dir, dir)
	r.open()
	return dir
}

// TestQ06_LossBeginsAnIncarnation: after a loss every reader is told GAP lost, numbers that
// were answered never come back, and members give the relay the lost commit again.
func TestQ06_LossBeginsAnIncarnation(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob", "carol")
	r.must(r.append(q, "w0", "one"))
	first := r.must(r.commit(q, "alice", relay.Position{}, "w1"))
	behind := r.follow(q, "carol", nil)
	r.must(r.append(q, "w1", "kept"))
	backup := r.snapshot()
	lost := r.commit(q, "alice", first, "w2")
	r.must(lost)
	high := r.must(r.append(q, "w2", "lost"))
	alice := r.follow(q, "alice", nil)
	r.lossy(backup)

	ahead := r.follow(q, "alice", &alice.at)
	ahead.want()
	if len(ahead.gaps) != 1 || ahead.gaps[0].Reason != relay.GapLost || ahead.gaps[0].From != high.Seq+1 {
		t.Errorf("who was ahead is told %+v", ahead.gaps)
	}
	carol := r.follow(q, "carol", &behind.at)
	carol.want("kept")
	if len(carol.gaps) != 1 || carol.gaps[0].From != 4 || carol.at != ahead.at {
		t.Errorf("who was behind is told %+v", carol.gaps)
	}
	blind := r.follow(q, "bob", nil)
	blind.want("commit by alice", "kept") // the first entry is what tells it the incarnation
	if blind.at != ahead.at {
		t.Error("a reader without a position ends elsewhere")
	}
	_, att, err := r.Attach(q, key("bob"), nil, func() {})
	if err != nil || att.LastCommit != first {
		t.Fatal("the last commit that survived is not told", err)
	}
	again := *lost
	again.ID, again.Expect, again.Reader = r.id(), att.LastCommit, key("bob")
	p := r.must(&again)
	if p.Seq <= high.Seq || p.Incarnation == high.Incarnation {
		t.Errorf("the new entry has number %d, %d was answered before", p.Seq, high.Seq)
	}
	r.must(r.append(q, "w2", "lost"))
	ahead.read().want("commit by alice", "lost")
	carol.read().want("kept", "commit by alice", "lost")
	r.follow(q, "carol", &behind.at).want("kept", "commit by alice", "lost")
	r.follow(q, "alice", &high).want("commit by alice", "lost")
	r.must(&relay.Create{ID: r.id(), Queue: queueID("new"), Key: key("a"), Admins: keys("a"), Readers: keys("x"), RequestWriter: new(key("rq"))})
	r.must(r.append(queueID("new"), "rq", "born later"))
	r.follow(queueID("new"), "x", nil).want("born later")
}

// TestQ06_TheSameBackupTwice: a disk dies, a backup is restored, and before there is another the
// disk dies again. What was answered in between is lost and told as lost, and no number of it is
// given again.
func TestQ06_TheSameBackupTwice(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	bob := r.follow(q, "bob", nil).at // before the first entry
	r.must(r.append(q, "w0", "kept"))
	backup := r.snapshot()
	alice := r.follow(q, "alice", nil)
	for life := range 3 {
		if err := r.Store.Close(); err != nil {
			t.Fatal(err)
		}
		r.dir = t.TempDir()
		copyDir(t, backup, r.dir)
		r.cfg.Restored = true
		r.open()
		r.cfg.Restored = false
		if alice = r.follow(q, "alice", &alice.at); len(alice.gaps) != 1 || alice.gaps[0].Reason != relay.GapLost {
			t.Fatalf("restored %d times: alice is told %+v", life+1, alice.gaps)
		}
		r.follow(q, "bob", &bob).want("kept")
		p := r.must(r.append(q, "w0", "lost"))
		if p.Incarnation != r.Incarnation() || p.Seq != alice.at.Seq+1 {
			t.Errorf("restored %d times: number %d after %d", life+1, p.Seq, alice.at.Seq)
		}
		alice.read().want("lost")
		r.pass(time.Hour)
	}
	never := alice.at // beyond the numbers of the present life
	never.Incarnation[0] ^= 1
	never.Seq++
	if _, err := r.attach(q, "alice", &never); !errors.Is(err, relay.ErrRollback) {
		t.Errorf("a life that never was, beyond the head: %v", err)
	}
}

// TestIncarnationsWithoutWrites: a queue that nobody writes in a life of the store still has
// places in it, which the next life explains.
func TestIncarnationsWithoutWrites(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	r.must(r.append(q, "w0", "m"))
	f := r.follow(q, "alice", nil)
	for range 3 {
		r.cfg.Restored = true
		r.reopen()
		r.cfg.Restored = false
		f = r.follow(q, "alice", &f.at)
		if len(f.gaps) != 1 || f.gaps[0].Reason != relay.GapLost || f.at.Incarnation != r.Incarnation() {
			t.Fatalf("after another life: %+v", f.gaps)
		}
		r.reopen()
		if f = r.follow(q, "alice", &f.at); len(f.gaps) != 0 {
			t.Error("the gap comes again in the same life")
		}
	}
	f.ack()
	p := r.must(r.append(q, "w0", "later"))
	if f.read().want("later"); p != f.at {
		t.Error("the entry is not where the readers are")
	}
}

// TestRollback: a position that this log never had is refused with the head.
func TestRollback(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	var at []relay.Position
	for i := range 4 {
		at = append(at, r.must(r.append(q, "w0", fmt.Sprint(i))))
	}
	head := at[3]
	beyond, forked, foreign, early := head, at[1], at[1], relay.Position{Incarnation: head.Incarnation}
	beyond.Seq++
	forked.Chain[0] ^= 1
	foreign.Incarnation[0] ^= 1
	check := func(p relay.Position) {
		t.Helper()
		_, err := r.attach(q, "alice", &p)
		refusal, ok := errors.AsType[*relay.Refusal](err)
		if !ok || refusal.Code != relay.CodeRollback || refusal.Position == nil || *refusal.Position != head {
			t.Errorf("position %d: %v", p.Seq, err)
		}
	}
	for _, p := range []relay.Position{beyond, forked, foreign, early} {
		check(p)
	}
	for i, p := range at {
		if f := r.follow(q, "alice", &p); len(f.seqs) != 3-i {
			t.Errorf("from %d on: %v", p.Seq, f.seqs)
		}
	}
	r.follow(q, "alice", nil).ack()
	r.follow(q, "bob", nil).ack()
	r.follow(q, "alice", &at[1]).wantGaps("3-4:4")
	head = r.must(r.append(q, "w0", "after the gap"))
	wrongEnd := at[3] // where the gap ends
	wrongEnd.Chain[3] ^= 4
	check(wrongEnd)
}

// TestQ07_NothingTiesTwoQueues: no record holds an id or key in clear, and none but the
// store's clock is equal or shares a name between two queues of the same person, except what
// the person itself made equal (nothing here).
func TestQ07_NothingTiesTwoQueues(t *testing.T) {
	r := newRig(t)
	group, inbox := r.group("group", "joiner@group"), r.inbox("inbox")
	last := r.must(r.commit(group, "joiner@group", relay.Position{}, "w1", "ticket"))
	r.must(&relay.Rekey{ID: r.id(), Queue: group, Ticket: key("ticket"), Reader: key("joiner2@group")})
	r.must(r.configure(group, "joiner@group", relay.SetWakeHandle{Handle: bytes.Repeat([]byte{0x77}, 64)}))
	r.must(r.append(inbox, "request", "invitation to group"))
	r.must(r.commit(group, "joiner2@group", last, "w2"))
	r.must(r.append(group, "w2", "m"))
	all := records(t, r)
	if len(all) < 15 {
		t.Fatalf("only %d records: the scan misses some", len(all))
	}
	ids := map[string][]byte{"group id": group[:], "inbox id": inbox[:]}
	for _, who := range []string{"joiner2@group", "ticket", "owner", "request"} {
		k := key(who)
		ids[who] = k[:]
	}
	names := map[string]string{}
	for n, q := range map[string]relay.QueueID{"group": group, "inbox": inbox} {
		names[n] = string(queueName(r.shard, q))
	}
	for _, rec := range all {
		inGroup, inInbox := bytes.Contains(rec.key, []byte(names["group"])), bytes.Contains(rec.key, []byte(names["inbox"]))
		for name, id := range ids {
			if bytes.Contains(rec.key, id) {
				t.Errorf("key of kind %c holds %s", rec.key[0], name)
			}
			if bytes.Contains(rec.value, id) && (name == "group id" || name == "inbox id" || name == "owner" && !inInbox) {
				t.Errorf("a record of kind %c holds %s", rec.key[0], name)
			}
		}
		for n, name := range names {
			if bytes.Contains(rec.value, []byte(name)) || (n == "group" && inGroup && inInbox) {
				t.Errorf("a record of kind %c names another record's queue", rec.key[0])
			}
		}
		if rec.key[0] == kindEntry && inGroup && bytes.Contains(rec.value, ids["joiner2@group"]) && rec.value[0] != byte(relay.KindCommit) {
			t.Error("a message names its sender")
		}
	}
	joinable(r, t, all, names)
	raw(t, r, ids)
}

// joinable looks for any run of 16 bytes that a record of one queue shares with a record of
// the other, beyond the store's own incarnation: what a join over a seized disk would find.
func joinable(r *rig, t *testing.T, all []record, names map[string]string) {
	t.Helper()
	of := func(name string) map[string]byte {
		grams := make(map[string]byte)
		for _, rec := range all {
			if !bytes.Contains(rec.key, []byte(name)) {
				continue
			}
			whole := append(bytes.Clone(rec.key[1:]), rec.value...)
			for i := 0; i+16 <= len(whole); i++ {
				grams[string(whole[i:i+16])] = rec.key[0]
			}
		}
		return grams
	}
	group, inbox := of(names["group"]), of(names["inbox"])
	// Both were founded with one admin key by this test; a client has one for each queue. The
	// incarnation is the store's.
	admin, life := key("admin"), r.Incarnation()
	for gram, kind := range inbox {
		if k, shared := group[gram]; shared && !within(gram, admin[:]) && !within(gram, life[:]) {
			t.Errorf("records of kinds %c and %c share %x", k, kind, gram)
		}
	}
}

// within reports whether gram is made of zeros and counters, or overlaps known by half.
func within(gram string, known []byte) bool {
	if bytes.Count([]byte(gram), []byte{0}) >= 4 {
		return true
	}
	for i := range len(gram) - 7 {
		if bytes.Contains(known, []byte(gram[i:i+8])) {
			return true
		}
	}
	return false
}

// raw scans the files themselves: sealed, they show no id, key or text in any spelling.
func raw(t *testing.T, r *rig, ids map[string][]byte) {
	t.Helper()
	if err := r.Store.Close(); err != nil {
		t.Fatal(err)
	}
	ids["text"] = []byte("invitation to group")
	err := filepath.WalkDir(r.dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		for name, id := range ids {
			for _, s := range [][]byte{id, []byte(hex.EncodeToString(id)), []byte(base64.RawURLEncoding.EncodeToString(id))} {
				if bytes.Contains(b, s) {
					t.Errorf("%s holds %s", filepath.Base(p), name)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.open()
}

// TestStoreFullIsBusy: what storage cannot take is BUSY, not lost.
func TestStoreFullIsBusy(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.cfg.MinFree = 1 << 62
	r.reopen()
	if b := r.refused(relay.ErrBusy, r.append(q, "w0", "m")); b.RetryAfter == 0 {
		t.Error("BUSY without a time to come back")
	}
	r.must(&relay.Leave{ID: r.id(), Queue: q, Reader: key("bob")})
	r.follow(q, "alice", nil).ack()
	if err := r.Store.Close(); err != nil {
		t.Fatal(err)
	}
	r.refused(relay.ErrDraining, r.append(q, "w0", "m"))
	r.cfg.MinFree = 1
	r.open()
	r.must(r.append(q, "w0", "m"))
}
