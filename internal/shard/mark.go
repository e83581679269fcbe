package shard

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/internal/wire"
)

// mark is what the high-water file says: everything up to Batch was answered, and no
// number above High. The file has two slots, written in turn, each with a checksum, so
// that a write torn by a power cut leaves the other whole.
type mark struct {
	KeyCheck    [16]byte
	Incarnation [16]byte
	Batch       uint64
	High        uint64
}

var markMagic = [8]byte{'s', 'e', 'a', 'l', 'm', 'a', 'r', 'k'}

func (m *mark) MarshalWire(w *wire.Writer) {
	w.Raw(markMagic[:])
	w.Uint8(Format)
	w.Raw(m.KeyCheck[:])
	w.Raw(m.Incarnation[:])
	w.Uint64(m.Batch)
	w.Uint64(m.High)
}

func (m *mark) UnmarshalWire(r *wire.Reader) {
	var magic [8]byte
	r.Copy(magic[:])
	if version := r.Uint8(); r.Err() == nil && (magic != markMagic || version != Format) {
		r.Fail(fmt.Errorf("%w: not a mark of format %d", ErrCorrupt, Format))
	}
	r.Copy(m.KeyCheck[:])
	r.Copy(m.Incarnation[:])
	m.Batch = r.Uint64()
	m.High = r.Uint64()
}

// encode returns a slot: the mark, its SHA-256, zeros.
func (m *mark) encode() []byte {
	b, _ := wire.Marshal(m) // cannot fail: every field is fixed
	sum := sha256.Sum256(b)
	slot := append(b, sum[:]...)
	return append(slot, make([]byte, slotSize-len(slot))...)
}

func decodeMark(slot []byte) (*mark, bool) {
	r := wire.NewReader(slot)
	m := new(mark)
	m.UnmarshalWire(r)
	body := slot[:len(slot)-r.Len()]
	sum := r.Raw(sha256.Size)
	rest := r.Rest()
	want := sha256.Sum256(body)
	ok := r.Err() == nil && bytes.Equal(sum, want[:]) && len(bytes.Trim(rest, "\x00")) == 0
	return m, ok
}

// otherFormat tells whether another version of the program wrote a slot: it begins as a mark does, with
// another format, and is no damaged slot of ours, in which the rest agrees with the checksum.
func otherFormat(slot []byte) (format uint8, other bool) {
	const at = len(markMagic)
	format = slot[at]
	if !bytes.HasPrefix(slot, markMagic[:]) || format == Format || format == 0 {
		return format, false
	}
	ours := bytes.Clone(slot)
	ours[at] = Format
	_, damaged := decodeMark(ours)
	return format, !damaged
}

// markFile is the open high-water file. Used by Open and then by the storing goroutine.
type markFile struct {
	f    *os.File
	last mark // what the newest slot says
	next int  // the slot to write next: the one that does not hold last
	sync func(*os.File) error
}

// evidence is what the two slots said at start.
type evidence struct {
	newest  *mark // the whole slot with the higher batch; nil if none is whole
	damaged bool  // a slot is missing or damaged
	missing bool  // there is no file
}

// readMark reads the high-water file and writes nothing. ErrFormat: another version wrote it.
func readMark(path string) (evidence, int, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return evidence{missing: true, damaged: true}, 0, nil
	}
	if err != nil {
		return evidence{}, 0, fmt.Errorf("shard: reading the high-water mark: %w", err)
	}
	var ev evidence
	next := 0
	for slot := range 2 {
		at := slot * slotStride
		if at+slotSize > len(b) {
			ev.damaged = true
			continue
		}
		if format, other := otherFormat(b[at : at+slotSize]); other {
			return evidence{}, 0, fmt.Errorf("%w: %d, and this one has %d", ErrFormat, format, Format)
		}
		m, ok := decodeMark(b[at : at+slotSize])
		switch {
		case !ok:
			ev.damaged = true
		case ev.newest == nil || m.Batch > ev.newest.Batch:
			ev.newest, next = m, 1-slot
		}
	}
	return ev, next, nil
}

// openMark opens the file for writing, at its full size, so that later syncs need no
// change of the file's metadata.
func openMark(path string, next int) (*markFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("shard: opening the high-water mark: %w", err)
	}
	m := &markFile{f: f, next: next, sync: syncData}
	if fi, err := f.Stat(); err == nil && fi.Size() < slotStride+slotSize {
		err = f.Truncate(slotStride + slotSize)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("shard: sizing the high-water mark: %w", err)
		}
	}
	return m, nil
}

// write stores m in the older slot and syncs it. A crash inside leaves the other slot with
// the batch before, whose answers are all that went out.
func (mf *markFile) write(m mark) error {
	if _, err := mf.f.WriteAt(m.encode(), int64(mf.next)*slotStride); err != nil {
		return err
	}
	crashpoint.At(crashpoint.MarkWritten)
	if err := mf.sync(mf.f); err != nil {
		return err
	}
	crashpoint.At(crashpoint.MarkSynced)
	mf.last, mf.next = m, 1-mf.next
	return nil
}
