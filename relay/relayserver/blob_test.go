package relayserver

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"testing/synctest"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/queue"
)

// blobOf is n bytes that differ by mark, and their name.
func blobOf(n int, mark byte) ([]byte, relay.Hash) {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) + byte(i)*3 + mark
	}
	return b, sha256.Sum256(b)
}

func storeBlob(q relay.QueueID, k byte, b []byte, hash relay.Hash) *relay.StoreBlob {
	return &relay.StoreBlob{Queue: q, Key: public(k), Blob: hash, Size: uint64(len(b))}
}

// blob sends r and expects BLOB.
func (c *client) blob(r relay.Request) *relay.Blob {
	c.t.Helper()
	a, ok := c.call(r).(*relay.Blob)
	if !ok {
		c.t.Fatalf("%T is answered %+v", r, a)
	}
	return a
}

// put sends the rest of a blob in parts, several under way, and returns the last answer.
func (c *client) put(q relay.QueueID, b []byte, hash relay.Hash, from uint64, part int) *relay.Blob {
	c.t.Helper()
	var last *relay.Blob
	var sent []relay.Frame
	for at := int(from); at < len(b); at += part {
		sent = append(sent, c.sign(&relay.PutBlob{Queue: q, Blob: hash, Offset: uint64(at), Data: b[at:min(at+part, len(b))]}))
	}
	for at := 0; at < len(sent); at += 4 {
		c.write(sent[at:min(at+4, len(sent))]...)
	}
	for _, f := range sent {
		a := c.answer(f.(relay.Request).RequestNumber())
		var ok bool
		if last, ok = a.(*relay.Blob); !ok {
			c.t.Fatalf("a part is answered %+v", a)
		}
	}
	return last
}

// get fetches a whole blob in parts.
func (c *client) get(q relay.QueueID, hash relay.Hash, part uint32) []byte {
	c.t.Helper()
	var b []byte
	for {
		a, ok := c.call(&relay.GetBlob{Queue: q, Blob: hash, Offset: uint64(len(b)), Length: part}).(*relay.BlobData)
		if !ok {
			c.t.Fatal("GET is refused")
		}
		if b = append(b, a.Data...); uint64(len(b)) >= a.Size {
			return b
		}
	}
}

// stored puts a whole blob there and returns it.
func (c *client) stored(q relay.QueueID, k byte, n int, mark byte) ([]byte, relay.Hash) {
	c.t.Helper()
	b, hash := blobOf(n, mark)
	if a := c.blob(storeBlob(q, k, b, hash)); a.Stored != 0 || a.Complete {
		c.t.Fatalf("a new blob: %+v", a)
	}
	if a := c.put(q, b, hash, 0, 100_000); !a.Complete || a.Stored != uint64(n) {
		c.t.Fatalf("the last part: %+v", a)
	}
	return b, hash
}

// TestBlobAcrossSessions: an upload goes on in another session and after a restart, and
// whoever knows queue and hash reads the blob, whole or in part, without a proof.
func TestBlobAcrossSessions(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	c := dial(t, listen(t, s))
	q := queueID(1)
	c.must(create(q))
	c.must(proveRead(q, alice))
	b, hash := blobOf(1_000_000, 1)
	if a := c.blob(storeBlob(q, alice, b, hash)); a.Stored != 0 || a.Complete {
		t.Fatalf("a new blob: %+v", a)
	}
	if a := c.put(q, b[:300_000], hash, 0, 100_000); a.Stored != 300_000 || a.Complete {
		t.Fatalf("three parts: %+v", a)
	}
	c.refused(&relay.GetBlob{Queue: q, Blob: hash, Length: 10}, relay.CodeUnknown)

	other := dial(t, listen(t, s))
	other.must(proveWrite(q, group))
	if a := other.blob(storeBlob(q, group, b, hash)); a.Stored != 300_000 {
		t.Fatalf("another session goes on at %d", a.Stored)
	}
	c.refused(&relay.PutBlob{Queue: q, Blob: hash, Offset: 300_000, Data: b[300_000:300_001]}, relay.CodeUnknown)
	other.put(q, b[:600_000], hash, 300_000, 70_000)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	h := listen(t, open(t, dir, nil))
	c = dial(t, h)
	c.must(proveRead(q, alice))
	if a := c.blob(storeBlob(q, alice, b, hash)); a.Stored != 600_000 {
		t.Fatalf("after a restart it goes on at %d", a.Stored)
	}
	if a := c.put(q, b, hash, 600_000, relay.MaxBlobPart); !a.Complete || a.Stored != uint64(len(b)) {
		t.Fatalf("the last part: %+v", a)
	}
	if a := c.blob(storeBlob(q, alice, b, hash)); !a.Complete || a.Stored != uint64(len(b)) {
		t.Fatalf("stored again: %+v", a)
	}
	anybody := dial(t, h)
	if got := anybody.get(q, hash, 77_777); !bytes.Equal(got, b) {
		t.Error("it reads other bytes")
	}
	beyond := anybody.call(&relay.GetBlob{Queue: q, Blob: hash, Offset: 1 << 63, Length: 10}).(*relay.BlobData)
	if beyond.Size != uint64(len(b)) || len(beyond.Data) != 0 {
		t.Errorf("beyond the end: %d bytes of %d", len(beyond.Data), beyond.Size)
	}
}

// TestR01_BlobCommands: every blob command, from every key that may not store, is answered by
// the same bytes in a queue that exists and has blobs as in one that does not.
func TestR01_BlobCommands(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), nil))
	here, nowhere := queueID(2), queueID(3)
	owner, c := dial(t, h), dial(t, h)
	owner.must(create(here))
	owner.must(proveRead(here, alice))
	b, hash := owner.stored(here, alice, 1000, 1)
	commit := &relay.Commit{ID: newID(), Queue: here, Reader: public(alice), NextWriter: public(group), Tickets: []relay.PublicKey{public(ticket)}, Envelope: envelope(512, 1)}
	owner.must(commit)
	other, otherHash := blobOf(1000, 2)
	for _, k := range []byte{stranger, admin, ticket} {
		for _, q := range []relay.QueueID{here, nowhere} {
			c.refused(storeBlob(q, k, b, hash), relay.CodeBadProof)
			c.must(proveRead(q, k))
			c.must(proveWrite(q, k))
		}
		requests := func(q relay.QueueID) []relay.Request {
			return []relay.Request{
				storeBlob(q, k, b, hash), storeBlob(q, k, b[1:], hash), storeBlob(q, k, other, otherHash),
				&relay.PutBlob{Queue: q, Blob: hash, Data: b}, &relay.PutBlob{Queue: q, Blob: otherHash, Data: other},
				&relay.GetBlob{Queue: q, Blob: otherHash, Length: 10},
			}
		}
		absent := requests(nowhere)
		for i, r := range requests(here) {
			c.request = 100
			there := c.refused(r, relay.CodeUnknown)
			c.request = 100
			none := c.refused(absent[i], relay.CodeUnknown)
			x, err1 := relay.AppendFrame(nil, there)
			y, err2 := relay.AppendFrame(nil, none)
			if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
				t.Errorf("key %d, %T: %x for a queue that exists, %x for none", k, r, x, y)
			}
		}
	}
	c.refused(&relay.GetBlob{Queue: nowhere, Blob: hash, Length: 10}, relay.CodeUnknown)
	if got := owner.get(here, hash, 500); !bytes.Equal(got, b) {
		t.Error("the blob has changed")
	}
}

// TestBlobRules: what no relay takes, and what happens to the parts behind a refused one.
func TestBlobRules(t *testing.T) {
	s := open(t, t.TempDir(), func(c *Config) {
		c.Queues = QueueLimits{MaxBlob: 10_000, StoreBlobs: queue.Rate{Burst: 20, Every: 1 << 40}}
	})
	c := dial(t, listen(t, s))
	q := queueID(4)
	c.must(create(q))
	c.must(proveRead(q, alice))
	b, hash := blobOf(10_000, 1)
	long := storeBlob(q, alice, append(b, 0), hash)
	c.refused(long, relay.CodeTooLarge)
	c.refused(&relay.StoreBlob{Queue: q, Key: public(alice), Blob: hash}, relay.CodeMalformed)
	c.refused(&relay.StoreBlob{Queue: q, Key: public(alice), Blob: hash, Size: 1, Days: 91}, relay.CodeMalformed)
	c.refused(&relay.PutBlob{Queue: q, Blob: hash}, relay.CodeMalformed)
	c.refused(&relay.PutBlob{Queue: q, Blob: hash, Data: make([]byte, relay.MaxBlobPart+1)}, relay.CodeTooLarge)
	c.refused(&relay.GetBlob{Queue: q, Blob: hash}, relay.CodeMalformed)
	c.refused(&relay.GetBlob{Queue: q, Blob: hash, Length: relay.MaxBlobPart + 1}, relay.CodeTooLarge)

	part := func(at, to int) *relay.PutBlob {
		return &relay.PutBlob{Queue: q, Blob: hash, Offset: uint64(at), Data: b[at:to]}
	}
	c.refused(part(0, 10), relay.CodeUnknown)
	c.blob(storeBlob(q, alice, b, hash))
	c.blob(part(0, 1000))
	c.refused(part(2000, 3000), relay.CodeMalformed)
	c.refused(part(1000, 2000), relay.CodeUnknown) // the upload is over
	for name, bad := range map[string]*relay.PutBlob{
		"beyond the size": {Queue: q, Blob: hash, Offset: 1000, Data: make([]byte, 9001)},
		"a huge offset":   {Queue: q, Blob: hash, Offset: 1<<64 - 1, Data: b[:1]},
		"a repetition":    part(0, 1000),
	} {
		if a := c.blob(storeBlob(q, alice, b, hash)); a.Stored != 1000 {
			t.Errorf("before %s: %d bytes are stored", name, a.Stored)
		}
		c.refused(bad, relay.CodeMalformed)
	}
	c.refused(storeBlob(q, alice, b[1:], hash), relay.CodeReused)

	wrong := bytes.Clone(b)
	wrong[5000] ^= 1 // R28: caught before it counts as stored
	c.blob(storeBlob(q, alice, b, hash))
	var last relay.Request = &relay.PutBlob{Queue: q, Blob: hash, Offset: 1000, Data: wrong[1000:]}
	c.refused(last, relay.CodeMalformed)
	if a := c.blob(storeBlob(q, alice, b, hash)); a.Stored != 0 || a.Complete {
		t.Errorf("after a wrong hash: %+v", a)
	}
	if a := c.put(q, b, hash, 0, 10_000); !a.Complete {
		t.Errorf("the right bytes: %+v", a)
	}
	for range 20 {
		if a, ok := c.call(storeBlob(q, alice, b, hash)).(*relay.Refused); ok {
			if a.Refusal.Code != relay.CodeLimit || a.Refusal.Limit != relay.LimitUploads || a.Refusal.RetryAfter == 0 {
				t.Errorf("too often: %+v", a.Refusal)
			}
			return
		}
	}
	t.Error("no rate limits STORE_BLOB")
}

// TestR11_UploadsOfASession: so many are open at once; one that ends makes room, and the same
// blob again takes none.
func TestR11_UploadsOfASession(t *testing.T) {
	c := dial(t, listen(t, open(t, t.TempDir(), nil)))
	q := queueID(5)
	c.must(create(q))
	c.must(proveRead(q, alice))
	for i := range byte(relay.MaxUploads) {
		b, hash := blobOf(1000, i)
		c.blob(storeBlob(q, alice, b, hash))
	}
	b, hash := blobOf(1000, 100)
	if a := c.refused(storeBlob(q, alice, b, hash), relay.CodeLimit); a.Refusal.Limit != relay.LimitUploads {
		t.Errorf("the ninth: limit %d", a.Refusal.Limit)
	}
	first, firstHash := blobOf(1000, 0)
	c.blob(storeBlob(q, alice, first, firstHash))
	c.put(q, first, firstHash, 0, 1000)
	c.blob(storeBlob(q, alice, b, hash))
}

// TestR09_UnreadBlobsHoldTwoParts: what a session does not take is read no further ahead than
// a part beyond the bound; what writes goes on, and the end of the session ends the waiting.
func TestR09_UnreadBlobsHoldTwoParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBlobs(), &Server{disk: make(chan struct{}, maxDisk)}
		part := &relay.BlobData{Data: make([]byte, maxBlobData-1)}
		read, written := 0, 0
		get := job{read: true, run: func() { read++; b.reading(len(part.Data)) }}
		for range 10 {
			b.do(s, get)
		}
		b.do(s, job{run: func() { written++ }})
		synctest.Wait()
		if read != 2 || written != 0 {
			t.Errorf("%d parts are read, and what comes behind them ran %d times", read, written)
		}
		for n := range 8 {
			b.written(part)
			synctest.Wait()
			if read != 3+n {
				t.Errorf("%d parts are read when %d were taken", read, n+1)
			}
		}
		if written != 1 {
			t.Error("what comes behind the reads waits for the client")
		}
		for range 5 {
			b.do(s, get)
		}
		b.stop()
		if read != 10 || len(s.disk) != 0 || b.jobs != nil {
			t.Errorf("after the end: %d parts are read, %d at the disk, %d jobs", read, len(s.disk), len(b.jobs))
		}
		b.do(s, get)
		synctest.Wait()
		if read != 10 {
			t.Error("something is read for a session that has ended")
		}
	})
}

// TestManyReadsAreAnswered: a client that asks for much before it reads gets all of it, in order.
func TestManyReadsAreAnswered(t *testing.T) {
	c := dial(t, listen(t, open(t, t.TempDir(), nil)))
	q := queueID(8)
	c.must(create(q))
	c.must(proveRead(q, alice))
	b, hash := c.stored(q, alice, 4*relay.MaxBlobPart, 1)
	const gets = 60
	first := c.request + 1
	for i := range uint64(gets) {
		c.write(c.sign(&relay.GetBlob{Queue: q, Blob: hash, Offset: i % 4 * relay.MaxBlobPart, Length: relay.MaxBlobPart}))
	}
	for i := range gets {
		a, ok := c.answer(first + uint64(i)).(*relay.BlobData)
		at := i % 4 * relay.MaxBlobPart
		if !ok || !bytes.Equal(a.Data, b[at:at+relay.MaxBlobPart]) {
			t.Fatalf("answer %d: %T", i, a)
		}
	}
}

// TestLostFile: a blob whose file the disk has lost is not given, and is taken again.
func TestLostFile(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	c := dial(t, listen(t, s))
	q := queueID(25)
	c.must(create(q))
	c.must(proveRead(q, alice))
	b, hash := c.stored(q, alice, 100_000, 1)
	lose(t, s)
	c.refused(&relay.GetBlob{Queue: q, Blob: hash, Length: 10}, relay.CodeUnknown)
	if a := c.blob(storeBlob(q, alice, b, hash)); a.Stored != 0 || a.Complete {
		t.Errorf("stored again: %+v", a)
	}
	c.refused(&relay.Commit{ID: newID(), Queue: q, Reader: public(alice), NextWriter: public(group), Blobs: []relay.Hash{hash}, Envelope: envelope(512, 1)}, relay.CodeNoBlob)
	if a := c.put(q, b, hash, 0, 100_000); !a.Complete || !bytes.Equal(c.get(q, hash, 50_000), b) {
		t.Errorf("in the end: %+v", a)
	}
}

// TestCommitWithBlobs: NO_BLOB until the blob is complete; then the entry names it to readers.
func TestCommitWithBlobs(t *testing.T) {
	c := dial(t, listen(t, open(t, t.TempDir(), nil)))
	q := queueID(9)
	c.must(create(q))
	_, hash := blobOf(700_000, 1)
	commit := func() *relay.Commit {
		return &relay.Commit{ID: newID(), Queue: q, Reader: public(alice), NextWriter: public(group), Blobs: []relay.Hash{hash}, Envelope: envelope(512, 1)}
	}
	c.refused(commit(), relay.CodeNoBlob)
	c.attach(q, alice, nil, 1<<20)
	c.stored(q, alice, 700_000, 1)
	at := c.must(commit())
	l := newLog(c, q)
	c.readUntil(l, at.Seq)
	if e := l.entries[at.Seq-1]; len(e.Blobs) != 1 || e.Blobs[0] != hash || l.chain != at.Chain {
		t.Errorf("the entry keeps %d blobs", len(e.Blobs))
	}
}
