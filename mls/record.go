package mls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/wire"
)

// Record is one piece of a stored group. Keys are a letter and at most 16 bytes more, which are
// not text. Values hold secrets: whoever stores them encrypts them.
type Record struct {
	Key   string
	Value []byte // nil: delete the key
}

// Kinds of records: the first byte of the key. What follows are numbers of 32 bits,
// big-endian, so that the records of a kind come in their order. Kinds are only ever added:
// later releases read what this one stored.
const (
	recordHeader     = "v" // recordVersion, recordSum
	recordEpoch      = "e" // group context, tags, own leaf, signature key, epoch secrets
	recordNode       = "t" // node: LeafNode or ParentNode of the ratchet tree
	recordHeld       = "k" // node: private key
	recordSecret     = "n" // node: secret of the secret tree
	recordHandshake  = "h" // leaf: head of the handshake ratchet
	recordMessages   = "a" // leaf: head of the application ratchet
	recordHandshakes = "i" // leaf, generation: handshake key that was skipped
	recordSkipped    = "b" // leaf, generation: application key that was skipped
	recordExport     = "x" // node: secret of the exporter tree
	recordQueued     = "q" // place in the queue: proposal that waits for a commit
	recordSent       = "o" // place: own proposal that has not come back
	recordCommit     = "c" // place: digest of an own commit
	recordSigned     = "s" // place: digests of what was signed, signedBlock of them
	recordDropped    = "d" // place: digests of proposals that were dropped, the same
	recordSpoken     = "g" // first generation of the own handshake ratchet that was not used, if not 0

	// Of past epochs that are kept: two numbers of the epoch, high half first, then those of
	// the same kind in small letters.
	recordPast         = "E" // group context, two secrets, leaves of the secret tree, end
	recordPastLeaf     = "T" // node of a leaf: as it was, if the next epoch has another there
	recordPastSecret   = "N"
	recordPastMessages = "A"
	recordPastSkipped  = "B"
)

const recordVersion = 1

func recordKey(kind string, numbers ...uint32) string {
	key := []byte(kind)
	for _, n := range numbers {
		key = binary.BigEndian.AppendUint32(key, n)
	}
	return string(key)
}

// numbers splits a key behind its kind.
func (r *Record) numbers() []uint32 {
	var out []uint32
	for b := []byte(r.Key[1:]); len(b) >= 4; b = b[4:] {
		out = append(out, binary.BigEndian.Uint32(b))
	}
	return out
}

// contentType is that of the ratchet that a record belongs to, as [leafRatchets.of] takes it.
func (r *Record) contentType() uint8 {
	if kind := r.Key[:1]; kind == recordMessages || kind == recordSkipped {
		return contentApplication
	}
	return contentCommit
}

// recordSum stands for a set of records: the sum of their SHA-256 in four lanes. The header
// holds that of all others, so that one which is missing, left over, older than the rest or
// damaged is found when the group is loaded. The ratchet tree's are not counted: the tree hash
// covers them. It finds accidents, and not who forges them.
type recordSum [4]uint64

func digestRecord(key string, value []byte) (out recordSum) {
	var w wire.Writer
	w.Bytes([]byte(key))
	w.Raw(value)
	h := sha256.Sum256(mustFinish(&w))
	for i := range out {
		out[i] = binary.BigEndian.Uint64(h[8*i:])
	}
	return out
}

func (s *recordSum) add(o recordSum) {
	for i := range s {
		s[i] += o[i]
	}
}

func (s *recordSum) subtract(o recordSum) {
	for i := range s {
		s[i] -= o[i]
	}
}

func (s recordSum) header() []byte {
	var w wire.Writer
	w.Uint8(recordVersion)
	for _, lane := range s {
		w.Uint64(lane)
	}
	return mustFinish(&w)
}

func parseHeader(b []byte) (s recordSum, err error) {
	r := wire.NewReader(b)
	if v := r.Uint8(); r.Err() == nil && v != recordVersion {
		return s, fmt.Errorf("%w: version %d", ErrCorrupt, v)
	}
	for i := range s {
		s[i] = r.Uint64()
	}
	return s, r.Finish()
}

// A delta collects the records in which two states of a group differ.
type delta struct {
	records []Record
	sum     recordSum // of the older state, and with all differences of the newer one
	past    []uint32  // the numbers of the past epoch that is being noted, nil: the current one
}

// key is the key of a record of the current epoch, or of its like in the past one.
func (d *delta) key(kind string, numbers ...uint32) string {
	if d.past == nil {
		return recordKey(kind, numbers...)
	}
	return recordKey(strings.ToUpper(kind), slices.Concat(d.past, numbers)...)
}

// set notes what stood under key and what stands there now; nil is nothing.
func (d *delta) set(key string, before, now []byte) {
	if bytes.Equal(before, now) && (before == nil) == (now == nil) {
		return
	}
	if before != nil {
		d.sum.subtract(digestRecord(key, before))
	}
	if now != nil {
		d.sum.add(digestRecord(key, now))
	}
	d.records = append(d.records, Record{Key: key, Value: now})
}

// setEach is set for two lists under the places of their elements. Elements are immutable, so
// the same one need not be encoded.
func setEach[T comparable](d *delta, kind string, before, now []T, write func(*wire.Writer, T)) {
	for i := range max(len(before), len(now)) {
		if i < len(before) && i < len(now) && before[i] == now[i] {
			continue
		}
		var old, fresh []byte
		if i < len(before) {
			old = encode(before[i], write)
		}
		if i < len(now) {
			fresh = encode(now[i], write)
		}
		d.set(recordKey(kind, uint32(i)), old, fresh)
	}
}
