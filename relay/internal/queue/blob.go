package queue

import (
	"context"
	"slices"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// BlobAnswer is what STORE_BLOB ends in: Err, or a record under which bytes may be stored, or
// are.
type BlobAnswer struct {
	Name     blob.Name
	Complete bool
	New      bool // the record was made, and takes up room
	Err      *relay.Refusal
}

// What a blobOp does.
const (
	blobStore  uint8 = iota // STORE_BLOB
	blobFinish              // the file is complete
	blobLose                // a complete blob's file is not there
	blobDrop                // the upload came to nothing
)

// blobOp is an operation on a blob's record in the log.
type blobOp struct {
	do   uint8
	m    *relay.StoreBlob // of blobStore
	name blob.Name        // of all others
}

// Size implements [shard.Op].
func (*blobOp) Size() int { return 512 }

// Releases implements [shard.Releaser]: whoever has written a blob already may have it.
func (op *blobOp) Releases() bool { return op.do != blobStore }

// MaxBlob is the size in bytes of the largest blob that the relay takes.
func (s *Store) MaxBlob() uint64 { return s.machine.limits.MaxBlob }

// RelayBlobs is how many bytes all blobs of the relay may have.
func (s *Store) RelayBlobs() uint64 { return s.machine.limits.RelayBlobBytes }

// blobBytes is how many they have now.
func (s *Store) blobBytes() (total stored64) {
	_ = s.shard.View(func(snap *shard.Snapshot) error {
		_, err := (&books{rd: snap}).get([]byte{kindStored}, &total)
		return err
	})
	return total
}

// RoomFor is how many bytes a blob of this size counts for.
func RoomFor(size uint64) uint64 { return blobBytes(size) }

// StoreBlob makes room for a blob, or finds its record, once m.Key's right is checked at this
// place of the log. The caller has proven m.Key in the session and checked the size. done is
// called as that of [Store.SubmitFrom]. Refusals: UNKNOWN, STALE, CLOSED, LIMIT, REUSED, QUOTA.
func (s *Store) StoreBlob(f *Flow, m *relay.StoreBlob, done func(BlobAnswer)) {
	s.shard.SubmitFrom(f, &blobOp{do: blobStore, m: m}, func(answer any, err error) {
		if err != nil {
			done(BlobAnswer{Err: refusalFor(err)})
			return
		}
		done(answer.(BlobAnswer))
	})
}

// FinishBlob notes that a blob is complete: from done on it can be read and pinned. The
// caller has its verified bytes on disk. UNKNOWN: the record is gone, and its file goes with
// the next sweep. SUSPENDED: once the queue goes on, StoreBlob and this come again.
func (s *Store) FinishBlob(f *Flow, name blob.Name, done func(*relay.Refusal)) {
	s.blob(f, blobFinish, name, done)
}

// MayPut refuses with SUSPENDED bytes for an upload that was begun before its queue was suspended.
func (s *Store) MayPut(q relay.QueueID) error {
	if is, err := s.Suspended(q); err == nil && is {
		return suspended()
	}
	return nil // what is gone, or cannot be read, its completion tells
}

// DropBlob gives up an upload whose bytes are gone, so that they count no more.
func (s *Store) DropBlob(f *Flow, name blob.Name, done func(*relay.Refusal)) {
	s.blob(f, blobDrop, name, done)
}

func (s *Store) blob(f *Flow, do uint8, name blob.Name, done func(*relay.Refusal)) {
	s.shard.SubmitFrom(f, &blobOp{do: do, name: name}, func(answer any, err error) {
		if err != nil {
			done(refusalFor(err))
			return
		}
		done(answer.(BlobAnswer).Err)
	})
}

// LoseBlob takes back that a blob is complete, since its file is not there, and waits. What
// pins it goes on doing so, and it can be stored again.
func (s *Store) LoseBlob(name blob.Name) error {
	_, err := s.shard.Do(context.Background(), &blobOp{do: blobLose, name: name})
	return err
}

// FindBlob returns name and size of a complete blob. UNKNOWN: there is none.
func (s *Store) FindBlob(q relay.QueueID, hash relay.Hash) (name blob.Name, size uint64, err error) {
	err = s.shard.View(func(snap *shard.Snapshot) error {
		b, ok, err := openBooks(snap, s.shard, queueName(s.shard, q))
		if err != nil {
			return err
		}
		if !ok || b.header.State == stateGone {
			return relay.ErrUnknown
		}
		name = b.blobName(hash)
		rec, ok, err := b.blob(name)
		if err == nil && (!ok || rec.State != blobComplete) {
			err = relay.ErrUnknown
		}
		if err == nil && b.header.State == stateSuspended {
			err = suspended()
		}
		size = rec.Size
		return err
	})
	if err != nil {
		return name, 0, refusalFor(err)
	}
	return name, size, nil
}

// KnowsBlob reports whether a blob has a record, complete or not. An error counts as no.
func (s *Store) KnowsBlob(q relay.QueueID, hash relay.Hash) (known bool) {
	_ = s.shard.View(func(snap *shard.Snapshot) (err error) {
		b := &books{rd: snap, namer: s.shard, name: queueName(s.shard, q)}
		_, known, err = b.blob(b.blobName(hash))
		return err
	})
	return known
}

// blobs applies an operation on a blob's record.
func (m *machine) blobs(tx *shard.Tx, env shard.Env, t meta, op *blobOp) BlobAnswer {
	if op.do == blobStore {
		b, exists, err := openQueue(tx, m.namer, m.relayKey, op.m.Queue)
		if err != nil || !exists || b.header.State == stateGone {
			return BlobAnswer{Err: refuse(relay.CodeUnknown)}
		}
		w := &work{books: b, m: m, tx: tx, now: env.Now, day: t.Day, period: t.Period}
		return w.storeBlob(op.m)
	}
	w, rec := m.ofBlob(tx, t, op.name)
	if w == nil {
		return BlobAnswer{Err: refuse(relay.CodeUnknown)}
	}
	switch {
	case op.do == blobFinish && w.header.State == stateSuspended:
		return BlobAnswer{Err: suspended()} // its file stays, and STORE_BLOB finds it later
	case op.do == blobFinish && rec.State == blobUploading:
		rec.State, rec.Day = blobComplete, w.day+uint32(rec.Days)
		w.setBlob(op.name, rec)
	case op.do == blobLose && rec.State == blobComplete:
		rec.State, rec.Day = blobUploading, w.day+uploadDays
		w.setBlob(op.name, rec)
	case op.do == blobDrop && rec.State == blobUploading && rec.Pins == 0:
		w.eraseBlob(op.name, rec)
	}
	return BlobAnswer{Name: op.name, Complete: rec.State == blobComplete}
}

// ofBlob returns a blob's record and its queue, as far as the queue's name leads; nil if the
// record or the queue is gone.
func (m *machine) ofBlob(tx *shard.Tx, t meta, name blob.Name) (*work, blobRecord) {
	rec, ok, err := (&books{rd: tx, namer: m.namer}).blob(name)
	if !ok || err != nil {
		return nil, rec
	}
	b, ok, err := openBooks(tx, m.namer, rec.Queue[:])
	if !ok || err != nil || b.header.State == stateGone {
		return nil, rec
	}
	return &work{books: b, m: m, tx: tx, day: t.Day}, rec
}

// storeBlob is STORE_BLOB: the key's right as for APPEND, and then room.
func (w *work) storeBlob(m *relay.StoreBlob) BlobAnswer {
	name := w.blobName(m.Blob)
	contactKey, refusal := w.mayStore(m.Key)
	if refusal == nil {
		refusal = w.writable()
	}
	if refusal == nil {
		refusal = w.within(relay.LimitUploads, w.m.limits.StoreBlobs, m.Key)
	}
	if refusal != nil {
		return BlobAnswer{Err: refusal}
	}
	days := m.Days
	if days == 0 {
		days = relay.DefaultDays
	}
	rec, known, err := w.blob(name)
	switch {
	case err != nil:
		return BlobAnswer{Err: refuse(relay.CodeUnknown)}
	case known && rec.Size != m.Size:
		return BlobAnswer{Err: refuse(relay.CodeReused)}
	case !known:
		rec = blobRecord{Queue: [20]byte(w.name), Size: m.Size, State: blobUploading}
		if refusal := w.blobRoom(contactKey, m.Size, days); refusal != nil {
			return BlobAnswer{Err: refusal}
		}
	}
	before := rec
	rec.Days = max(rec.Days, days)
	if rec.State == blobComplete {
		rec.Day = max(rec.Day, w.day+uint32(days))
	} else {
		rec.Day = w.day + uploadDays
	}
	if known && contactKey != nil && rec.until() > before.until() {
		w.countLonger(contactKey, rec.until())
	}
	if !known || rec != before {
		w.setBlob(name, rec)
	}
	return BlobAnswer{Name: name, Complete: rec.State == blobComplete, New: !known}
}

// countLonger has what a contact stored count until a blob is over that it has kept longer.
// Which of them that is, nobody knows; without it a contact would store for a day what it then
// keeps for ninety, and fill the queue with one share after the other (ATTACKS R07).
func (w *work) countLonger(contactKey []byte, end uint32) {
	var c contact
	if ok, err := w.get(contactKey, &c); err != nil || !ok {
		return
	}
	c.Blobs.settle(w.day)
	c.Blobs.prolong(end)
	w.set(contactKey, &c)
}

// mayStore checks that key is a reader's, the group writer's or a contact writer's, and then
// returns the name of the contact's record.
func (w *work) mayStore(key relay.PublicKey) (contactKey []byte, refusal *relay.Refusal) {
	if _, ok := w.active(key); ok || w.header.Writer != nil && key == *w.header.Writer {
		return nil, nil
	}
	contactKey = w.member(kindWriter, key)
	if ok, err := w.get(contactKey, new(contact)); err != nil || ok {
		return contactKey, nil
	}
	a, err := w.authority()
	if err == nil && slices.ContainsFunc(a.Recent, func(r recentWriter) bool { return r.Key == key }) {
		return nil, w.stale()
	}
	return nil, refuse(relay.CodeUnknown)
}

// blobRoom takes room for a new blob: of the queue, of the relay, and of the contact whose
// record is named. Nothing is erased to make room.
func (w *work) blobRoom(contactKey []byte, size uint64, days uint16) *relay.Refusal {
	l, n := &w.m.limits, blobBytes(size)
	var total stored64
	if _, err := w.get([]byte{kindStored}, &total); err != nil {
		return refuse(relay.CodeUnknown)
	}
	switch {
	case w.header.Blobs+n > l.QueueBlobBytes:
		return quota(relay.LimitBlobs, retryBlobs)
	case uint64(total)+n > l.RelayBlobBytes:
		return quota(relay.LimitRelayBlobs, retryBlobs)
	}
	if contactKey != nil {
		var c contact
		if _, err := w.get(contactKey, &c); err != nil {
			return refuse(relay.CodeUnknown)
		}
		c.Blobs.settle(w.day)
		if c.Blobs.bytes()+n > l.ContactBlobBytes {
			return quota(relay.LimitBlobShare, retryBlobs)
		}
		c.Blobs.count(n, w.day+uploadDays+uint32(days))
		w.set(contactKey, &c)
	}
	total += stored64(n)
	w.set([]byte{kindStored}, &total)
	w.header.Blobs += n
	w.save()
	return nil
}
