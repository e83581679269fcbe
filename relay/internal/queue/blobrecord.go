package queue

import (
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// The states of a blob.
const (
	blobUploading uint8 = 1
	blobComplete  uint8 = 2 // its file was verified and synced before
)

// blobRecord is what is known of one blob. Whose it is, is not.
type blobRecord struct {
	Queue [20]byte // the name of its queue
	Size  uint64
	State uint8
	Days  uint16 // how long it is kept once it is complete
	Day   uint32 // the last day on which it is kept if nothing pins it
	Pins  uint32 // COMMIT entries that keep it
}

// until is the last day on which the blob may be there, if nothing pins it and nobody stores it
// again.
func (b *blobRecord) until() uint32 {
	if b.State == blobUploading {
		return b.Day + uint32(b.Days)
	}
	return b.Day
}

func (b *blobRecord) MarshalWire(w *wire.Writer) {
	w.Raw(b.Queue[:])
	w.Uint64(b.Size)
	w.Uint8(b.State)
	w.Uint16(b.Days)
	w.Uint32(b.Day)
	w.Uint32(b.Pins)
}

func (b *blobRecord) UnmarshalWire(r *wire.Reader) {
	r.Copy(b.Queue[:])
	b.Size = r.Uint64()
	b.State = r.Uint8()
	b.Days = r.Uint16()
	b.Day = r.Uint32()
	b.Pins = r.Uint32()
}

// stored64 is what all blobs of the relay count for, in bytes. It changes in the transaction
// of each record, so that no crash can part them.
type stored64 uint64

func (s *stored64) MarshalWire(w *wire.Writer) { w.Uint64(uint64(*s)) }

func (s *stored64) UnmarshalWire(r *wire.Reader) { *s = stored64(r.Uint64()) }

// share counts what one contact has stored without naming a blob: two tallies, each of which
// is dropped when everything in it must have expired. Days are rounded up, so that they point
// at no blob. It counts longer than a blob may live, never shorter.
type share struct{ Before, After dayTally }

type dayTally struct {
	Bytes uint64
	End   uint32 // no blob that is counted is kept beyond it
}

func (s *share) MarshalWire(w *wire.Writer) {
	for _, t := range []dayTally{s.Before, s.After} {
		w.Uint64(t.Bytes)
		w.Uint32(t.End)
	}
}

func (s *share) UnmarshalWire(r *wire.Reader) {
	for _, t := range []*dayTally{&s.Before, &s.After} {
		t.Bytes = r.Uint64()
		t.End = r.Uint32()
	}
}

func (s *share) bytes() uint64 { return s.Before.Bytes + s.After.Bytes }

// settle drops what has expired.
func (s *share) settle(day uint32) {
	if s.Before.End < day {
		s.Before, s.After = s.After, dayTally{}
	}
	if s.Before.End < day {
		s.Before = dayTally{}
	}
}

// count adds a blob that is kept until end, or shorter.
func (s *share) count(bytes uint64, end uint32) {
	s.After.Bytes += bytes
	s.After.keep(end)
}

// prolong has everything count until end, since it is not known which blob is kept so long.
func (s *share) prolong(end uint32) {
	for _, t := range []*dayTally{&s.Before, &s.After} {
		if t.Bytes > 0 {
			t.keep(end)
		}
	}
}

func (t *dayTally) keep(end uint32) {
	const round = 8
	t.End = max(t.End, (end/round+1)*round)
}

// blobBytes is what a blob of this size counts for.
func blobBytes(size uint64) uint64 { return max(size, minBlobBytes) }

func blobKey(name blob.Name) []byte { return append([]byte{kindBlob}, name[:]...) }

// blobName is the name of a blob of this queue. The queue's name and not its id goes in, since
// whoever erases an entry knows no more.
func (b *books) blobName(hash relay.Hash) blob.Name {
	return blob.Name(b.namer.Name(kindBlob, b.name, hash[:])[1:])
}

// blob reads a blob's record.
func (b *books) blob(name blob.Name) (rec blobRecord, ok bool, err error) {
	ok, err = b.get(blobKey(name), &rec)
	return rec, ok, err
}

func (w *work) setBlob(name blob.Name, rec blobRecord) { w.set(blobKey(name), &rec) }

// pin keeps the blobs of a COMMIT that was checked.
func (w *work) pin(hashes []relay.Hash) {
	for _, hash := range hashes {
		name := w.blobName(hash)
		rec, _, _ := w.blob(name)
		rec.Pins++
		w.setBlob(name, rec)
	}
}

// unpin lets go of what an entry kept; a sweep erases it if its days are over.
func (w *work) unpin(hashes []relay.Hash) {
	for _, hash := range hashes {
		name := w.blobName(hash)
		if rec, ok, _ := w.blob(name); ok {
			rec.Pins -= min(1, rec.Pins)
			w.setBlob(name, rec)
		}
	}
}

// eraseBlob deletes a blob's record; its file follows with the next sweep. The header is
// written as it is: the queue's id, without which it cannot move on to the present
// incarnation, is not known here.
func (w *work) eraseBlob(name blob.Name, rec blobRecord) {
	w.header.Blobs -= min(blobBytes(rec.Size), w.header.Blobs)
	w.set(w.key(kindHeader), &w.header)
	w.dropBlob(name, rec)
}

// dropBlob is eraseBlob for a queue that is gone.
func (w *work) dropBlob(name blob.Name, rec blobRecord) {
	_ = w.tx.Delete(blobKey(name))
	var total stored64
	if ok, _ := w.get([]byte{kindStored}, &total); ok {
		total -= min(stored64(blobBytes(rec.Size)), total)
		w.set([]byte{kindStored}, &total)
	}
}
