package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

func nameOf(n uint64) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	return sum[:20]
}

// TestSieveForgetsNoMember: whatever was added may be a member, most of the rest is known to be
// none, and of more than its bound it knows nothing.
func TestSieveForgetsNoMember(t *testing.T) {
	var s sieve
	const members = 100_000
	for i := range uint64(members) {
		s.add(nameOf(i))
	}
	for i := range uint64(members) {
		if !s.may(nameOf(i)) {
			t.Fatalf("member %d is taken for none", i)
		}
	}
	wrong := 0
	for i := range uint64(members) {
		if s.may(nameOf(members + i)) {
			wrong++
		}
	}
	if wrong > members/20 {
		t.Errorf("%d of %d others are taken for members", wrong, members)
	}
	if s.bytes > members*6 {
		t.Errorf("%d bytes for %d names", s.bytes, members)
	}
	for n := uint64(0); !s.unknown; n++ {
		if s.bytes > maxSieve {
			t.Fatal("it grows beyond its bound")
		}
		if s.left > 1 {
			s.left = 1 // as if all the room were used
		}
		s.add(nameOf(n))
	}
	if !s.may(nameOf(1 << 40)) {
		t.Error("an overfull sieve says that somebody is no member")
	}
}

// TestRetryIsKnownInAnOpenedStore: what an earlier process remembered in the present period is
// found by one that has noted nothing of it, also behind answers of its own, and as long as it
// is remembered.
func TestRetryIsKnownInAnOpenedStore(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "reader")
	old := r.append(q, "w0", "before")
	first := r.must(old)
	if again := r.must(old); again != first {
		t.Fatalf("the retry is answered %d, the first time %d", again.Seq, first.Seq)
	}
	r.reopen()
	fresh := r.append(q, "w0", "after")
	second := r.must(fresh)
	for day := range shortMemory + 1 {
		if day > 0 {
			r.days(1)
		}
		if a, b := r.must(old), r.must(fresh); a != first || b != second {
			t.Fatalf("after %d days the retries are answered %d and %d, the first times %d and %d", day, a.Seq, b.Seq, first.Seq, second.Seq)
		}
	}
}
