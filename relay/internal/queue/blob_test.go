package queue

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

func hashOf(name string) relay.Hash { return sha256.Sum256([]byte("blob " + name)) }

func (r *rig) storeBlob(q relay.QueueID, who, name string, size uint64, days uint16) BlobAnswer {
	c := make(chan BlobAnswer, 1)
	r.StoreBlob(new(Flow), &relay.StoreBlob{Queue: q, Key: key(who), Blob: hashOf(name), Size: size, Days: days}, func(a BlobAnswer) { c <- a })
	return <-c
}

// stored stores a blob whole: record, and file if the rig has files.
func (r *rig) stored(q relay.QueueID, who, name string, size uint64, days uint16) {
	r.Helper()
	a := r.storeBlob(q, who, name, size, days)
	if a.Err != nil {
		r.Fatalf("blob %s: %v", name, a.Err)
	}
	if f := r.cfg.Blobs; f != nil {
		u, _, err := f.Begin(a.Name, int64(size))
		data := make([]byte, size)
		if err == nil {
			err = u.Write(data, 0)
		}
		if err == nil {
			err = u.Finish(sha256.Sum256(data))
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	c := make(chan *relay.Refusal, 1)
	r.FinishBlob(new(Flow), a.Name, func(refusal *relay.Refusal) { c <- refusal })
	if refusal := <-c; refusal != nil {
		r.Fatalf("blob %s: %v", name, refusal)
	}
}

func (r *rig) refusedBlob(want error, q relay.QueueID, who, name string, size uint64) {
	r.Helper()
	if a := r.storeBlob(q, who, name, size, 0); a.Err == nil || !errors.Is(a.Err, want) {
		r.Errorf("%s stores %s of %d: %v, want %v", who, name, size, a.Err, want)
	} else {
		r.saysWhich(a.Err)
	}
}

// has tells whether a blob can be read.
func (r *rig) has(q relay.QueueID, name string) bool {
	r.Helper()
	_, _, err := r.FindBlob(q, hashOf(name))
	if err != nil && !errors.Is(err, relay.ErrUnknown) {
		r.Fatal(err)
	}
	return err == nil
}

// counted compares the stored counters with a count of the records.
func (r *rig) counted() {
	r.Helper()
	var total, counter stored64
	byQueue, headers := make(map[[20]byte]uint64), make(map[[20]byte]uint64)
	for _, rec := range records(r.TB, r) {
		var b blobRecord
		var h header
		var err error
		switch rec.key[0] {
		case kindBlob:
			err = wire.Unmarshal(rec.value, &b)
			total += stored64(blobBytes(b.Size))
			byQueue[b.Queue] += blobBytes(b.Size)
		case kindStored:
			err = wire.Unmarshal(rec.value, &counter)
		case kindHeader:
			if err = wire.Unmarshal(rec.value, &h); h.Blobs > 0 {
				headers[[20]byte(rec.key[1:])] = h.Blobs
			}
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	if total != counter || len(byQueue) != len(headers) {
		r.Errorf("%d bytes in records, %d counted; %d queues in records, %d counted", total, counter, len(byQueue), len(headers))
	}
	for name, n := range byQueue {
		if headers[name] != n {
			r.Errorf("a queue has %d bytes in records and counts %d", n, headers[name])
		}
	}
}

// TestBlobNeedsAPlace: who may store in a queue, and what everybody else hears.
func TestBlobNeedsAPlace(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	i := r.inbox("i")
	r.must(r.configure(i, "admin", relay.AddWriter{Key: key("contact")}))
	r.stored(q, "alice", "of a reader", 1000, 0)
	r.stored(q, "w0", "of the writer", 1000, 0)
	r.stored(i, "contact", "of a contact", 1000, 0)
	for _, who := range []string{"admin", "contact", "stranger"} {
		r.refusedBlob(relay.ErrUnknown, q, who, "x", 1000)
		r.refusedBlob(relay.ErrUnknown, q, who, "of a reader", 1000)
		r.refusedBlob(relay.ErrUnknown, queueID("none"), who, "x", 1000)
	}
	r.refusedBlob(relay.ErrUnknown, i, "request", "x", 1000)
	if r.has(q, "of a contact") || r.has(queueID("none"), "of a reader") {
		t.Error("a blob is in another queue, too")
	}
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	r.refusedBlob(relay.ErrUnknown, q, "bob", "x", 1000)
	r.must(r.commit(q, "alice", relay.Position{}, "w1", "ticket"))
	r.refusedBlob(relay.ErrStale, q, "w0", "x", 1000)
	r.refusedBlob(relay.ErrUnknown, q, "ticket", "x", 1000)
	r.refusedBlob(relay.ErrReused, q, "w1", "of a reader", 1001)
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	r.refusedBlob(relay.ErrClosed, q, "alice", "x", 1000)
	r.refusedBlob(relay.ErrUnknown, q, "stranger", "x", 1000)
	if !r.has(q, "of a reader") {
		t.Error("a closed queue's blob cannot be read")
	}
	r.counted()
}

// TestR07_BlobQuotas: of the queue, of the relay and of one contact, each to the byte; what is
// erased makes room, what is refused takes none.
func TestR07_BlobQuotas(t *testing.T) {
	const m = 1 << 20
	r := newRig(t, func(c *Config) {
		c.Limits.QueueBlobBytes, c.Limits.RelayBlobBytes, c.Limits.ContactBlobBytes = 4*m, 10*m, m
	})
	q, i, other := r.group("g", "alice"), r.inbox("i"), r.group("other", "alice")
	r.must(r.configure(i, "admin", relay.AddWriter{Key: key("mallory")}, relay.AddWriter{Key: key("contact")}))
	r.stored(q, "alice", "a", 4*m-minBlobBytes, 10)
	r.stored(q, "alice", "b", 1, 1)
	r.refusedBlob(relay.ErrQuota, q, "alice", "c", 1)
	r.stored(q, "alice", "b", 1, 1) // again: it takes nothing

	r.stored(i, "mallory", "m", m, 5)
	for range 3 {
		r.refusedBlob(relay.ErrQuota, i, "mallory", "n", 1)
	}
	r.stored(i, "contact", "c", m, 1) // no contact fills an inbox alone
	r.stored(other, "alice", "d", 4*m, 20)
	r.refusedBlob(relay.ErrQuota, i, "owner", "e", 1)
	r.counted()
	r.reopen()
	r.refusedBlob(relay.ErrQuota, i, "owner", "e", 1)

	r.days(3) // b and c are over
	r.counted()
	r.stored(i, "owner", "e", minBlobBytes, 1)
	r.refusedBlob(relay.ErrQuota, i, "mallory", "n", 1)
	r.days(20)
	r.stored(i, "mallory", "n", m, 1)
	r.counted()
}

// TestBlobExpires: after its days, counted from completion; an upload two days after the last
// STORE_BLOB; storing again lengthens and never shortens.
func TestBlobExpires(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.stored(q, "alice", "3", 1000, 3)
	r.stored(q, "alice", "again", 1000, 3)
	r.storeBlob(q, "alice", "upload", 1000, 3)
	r.stored(q, "alice", "default", 1000, 0)
	r.days(2)
	r.stored(q, "bob", "again", 1000, 5)
	r.stored(q, "bob", "again", 1000, 1)
	upload := r.storeBlob(q, "alice", "upload", 1000, 3)
	r.days(1)
	for name, want := range map[string]bool{"3": true, "again": true, "upload": false, "default": true} {
		if r.has(q, name) != want {
			t.Errorf("day 3, %q: %v", name, !want)
		}
	}
	r.days(1)
	if r.has(q, "3") || !r.has(q, "again") {
		t.Error("day 4: the first is there, or the second is not")
	}
	r.days(1) // three days after the last STORE_BLOB
	c := make(chan *relay.Refusal, 1)
	r.FinishBlob(new(Flow), upload.Name, func(refusal *relay.Refusal) { c <- refusal })
	if refusal := <-c; refusal == nil || !errors.Is(refusal, relay.ErrUnknown) {
		t.Errorf("an upload is finished after its days: %v", refusal)
	}
	r.days(3)
	if r.has(q, "again") {
		t.Error("day 8: what was stored again is still there")
	}
	r.days(22)
	if !r.has(q, "default") {
		t.Error("day 30: the default is over")
	}
	r.days(1)
	if r.has(q, "default") {
		t.Error("day 31: the default is not over")
	}
	r.counted()
}

// TestQ08_CommitPinsItsBlobs: a COMMIT takes complete blobs of its queue only, delivers their
// hashes, and keeps them as long as its entry is kept, also across restarts.
func TestQ08_CommitPinsItsBlobs(t *testing.T) {
	r := newRig(t)
	q, other := r.group("g", "alice", "bob"), r.group("other", "alice")
	r.stored(q, "alice", "big", 1<<20, 1)
	r.stored(q, "alice", "both", 1<<20, 1)
	r.stored(other, "alice", "elsewhere", 1<<20, 1)
	r.storeBlob(q, "alice", "half", 1<<20, 1)
	commit := func(expect relay.Position, names ...string) *relay.Commit {
		c := r.commit(q, "alice", expect, "w1")
		for _, n := range names {
			c.Blobs = append(c.Blobs, hashOf(n))
		}
		return c
	}
	for _, bad := range []string{"none", "half", "elsewhere"} {
		r.refused(relay.ErrNoBlob, commit(relay.Position{}, "big", bad))
	}
	first := commit(relay.Position{}, "big", "both")
	at := r.must(first)
	r.must(first) // a retry pins nothing again
	f, err := r.attach(q, "bob", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.a.Next(1 << 20)
	if err != nil || len(b.Entries) != 1 || len(b.Entries[0].Blobs) != 2 || b.Entries[0].Blobs[1] != hashOf("both") {
		t.Fatalf("delivered %+v: %v", b.Entries, err)
	}
	if want := relay.ChainNext(relay.ChainStart(relayKey, q, at.Incarnation), 1, relay.KindCommit, first.Envelope, first.Blobs...); b.Chain != want {
		t.Error("the chain does not cover the blobs")
	}
	r.days(30)
	r.must(commit(at, "both"))
	r.reopen()
	r.days(60) // the first is 90 days old: kept on its last day
	if !r.has(q, "big") || !r.has(q, "both") {
		t.Fatal("a blob went before its COMMIT")
	}
	r.days(1)
	if r.has(q, "big") || !r.has(q, "both") {
		t.Errorf("the first COMMIT is erased: big %v, both %v", r.has(q, "big"), r.has(q, "both"))
	}
	r.days(30)
	if r.has(q, "both") {
		t.Error("both COMMITs are erased, and the blob is not")
	}
	r.counted()
}

// withFiles gives a rig a folder of blobs.
func withFiles(t testing.TB) func(*Config) {
	return func(c *Config) {
		f, err := blob.Open(blob.Config{Dir: t.TempDir(), MinFree: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		c.Blobs = f
	}
}

// files counts the blobs that have one.
func (r *rig) files() (n int) {
	r.Helper()
	err := r.cfg.Blobs.Sweep(r.Context(), func(blob.Name, bool) (bool, error) { n++; return true, nil })
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// TestBlobsGoWithTheirQueue: pinned or not, uploaded or not, record and file.
func TestBlobsGoWithTheirQueue(t *testing.T) {
	r := newRig(t, withFiles(t))
	q, other := r.group("g", "alice"), r.group("other", "alice")
	r.stored(q, "alice", "pinned", 1000, 90)
	c := r.commit(q, "alice", relay.Position{}, "w1")
	c.Blobs = []relay.Hash{hashOf("pinned")}
	at := r.must(c)
	r.stored(q, "alice", "a", 1000, 90)
	r.stored(other, "alice", "stays", 1000, 90)
	half := r.storeBlob(q, "alice", "half", 1000, 90)
	if _, _, err := r.cfg.Blobs.Begin(half.Name, 1000); err != nil {
		t.Fatal(err)
	}
	r.Ack(q, key("alice"), at.Seq)
	r.flushAcks()
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")}) // all is read: erased at once
	if r.has(q, "a") || r.has(q, "pinned") {
		t.Error("an erased queue's blob can be read")
	}
	r.refusedBlob(relay.ErrUnknown, q, "alice", "half", 1000)
	r.sweep()
	if n := r.files(); n != 1 || !r.has(other, "stays") {
		t.Errorf("%d files", n)
	}
	r.counted()
}

// TestSweepHealsRecordsAndFiles: a file without a record goes; a blob whose file is lost is
// no longer complete, keeps its pins, and can be stored again.
func TestSweepHealsRecordsAndFiles(t *testing.T) {
	r := newRig(t, withFiles(t))
	q := r.group("g", "alice")
	r.stored(q, "alice", "pinned", 1000, 1)
	c := r.commit(q, "alice", relay.Position{}, "w1")
	c.Blobs = []relay.Hash{hashOf("pinned")}
	at := r.must(c)
	if _, _, err := r.cfg.Blobs.Begin(blob.Name{1}, 1000); err != nil { // no record
		t.Fatal(err)
	}
	r.sweep()
	if n := r.files(); n != 1 {
		t.Errorf("%d files", n)
	}
	if err := r.cfg.Blobs.Sweep(t.Context(), func(blob.Name, bool) (bool, error) { return false, nil }); err != nil {
		t.Fatal(err)
	}
	r.sweep()
	if r.has(q, "pinned") {
		t.Error("a blob without a file can be read")
	}
	c = r.commit(q, "alice", at, "w1")
	c.Blobs = []relay.Hash{hashOf("pinned")}
	r.refused(relay.ErrNoBlob, c)
	r.days(10)
	r.stored(q, "alice", "pinned", 1000, 1)
	r.days(10)
	if !r.has(q, "pinned") {
		t.Error("the COMMIT does not keep what was stored again")
	}
	r.must(c)
	r.counted()
}

// TestBlobsSurviveAnIncarnation: a restored store keeps its blobs, and its counters.
func TestBlobsSurviveAnIncarnation(t *testing.T) {
	r := newRig(t, withFiles(t))
	q := r.group("g", "alice")
	r.stored(q, "alice", "a", 1000, 5)
	r.cfg.Restored = true
	r.reopen()
	r.cfg.Restored = false
	if !r.has(q, "a") {
		t.Error("the blob is gone")
	}
	r.stored(q, "alice", "b", 1000, 50) // the queue moves on
	r.days(6)
	if r.has(q, "a") || !r.has(q, "b") || r.files() != 1 {
		t.Error("the first blob stayed, or the second went")
	}
	r.counted()
}

// TestR28_DamagedBlobRecord: one that cannot be read is left out of the sweep, file and all,
// and the others are swept.
func TestR28_DamagedBlobRecord(t *testing.T) {
	r := newRig(t, withFiles(t))
	q := r.group("g", "alice")
	for _, name := range []string{"a", "b", "c"} {
		r.stored(q, "alice", name, 1000, 1)
	}
	name, _, err := r.FindBlob(q, hashOf("b"))
	if err != nil {
		t.Fatal(err)
	}
	r.spoilAll(blobKey(name))
	for range 4 {
		r.pass(24 * time.Hour)
		if err := r.Sweep(t.Context()); err == nil {
			t.Error("swept without a word")
		}
	}
	if _, _, err := r.FindBlob(q, hashOf("b")); err == nil {
		t.Error("a damaged record is read")
	}
	if n := r.files(); n != 1 || r.has(q, "a") || r.has(q, "c") {
		t.Errorf("%d files", n)
	}
}
