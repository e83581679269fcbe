package keyserver

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

type message interface {
	wire.Marshaler
	wire.Unmarshaler
}

// messages returns one of every body and of everything that is signed on its own, filled in.
func messages() []message {
	sig := [64]byte{0: 1, 63: 2}
	return []message{
		&entry{kind: kindRoot, by: [32]byte{1}, device: DeviceID{2}, suites: []mls.Suite{1, 300}, nonce: [16]byte{3}, bySig: sig, consents: sig},
		&entry{kind: kindAddDevice, prev: [32]byte{9}, by: [32]byte{1}, device: DeviceID{2}, bySig: sig, consents: sig},
		&entry{kind: kindRemoveDevice, prev: [32]byte{9}, by: [32]byte{1}, device: DeviceID{2}, bySig: sig},
		&entry{kind: kindSuites, prev: [32]byte{9}, by: [32]byte{1}, device: DeviceID{1}, suites: []mls.Suite{7}, bySig: sig},
		&Credential{Account: AccountID{1}, Device: DeviceID{2}, NotAfter: 3, Suite: 4, signature: sig},
		&Error{Code: CodeLimited, Text: "slow down", RetryAfter: 7 * time.Second},
		&RegisterRequest{Handle: "alice", Root: []byte("root"), Signature: sig},
		&RegisterReply{Account: AccountID{1}},
		&AppendRequest{Account: AccountID{1}, Entry: []byte("entry")},
		&AppendReply{Head: [32]byte{1}},
		&LookupRequest{Handle: "alice"},
		&LookupRequest{Account: AccountID{1}},
		&LookupReply{Account: AccountID{1}, Handle: "alice", Entries: [][]byte{[]byte("one"), []byte("two")}},
		&UploadRequest{Account: AccountID{1}, Device: DeviceID{2}, Suite: 5, Incarnation: [16]byte{3}, Time: 4,
			Packages: [][]byte{[]byte("one"), []byte("two")}, LastResort: []byte("last"), Signature: sig},
		&UploadRequest{Packages: [][]byte{[]byte("one")}},
		&StockRequest{Account: AccountID{1}, Device: DeviceID{2}, Suite: 5, Time: 4, Signature: sig},
		&StockReply{OneTime: 300, LastResort: true, Incarnation: [16]byte{1}},
		&TakeRequest{RequestID: [32]byte{1}, Account: AccountID{2}, Suite: 3},
		&TakeReply{Packages: []Package{{DeviceID{1}, []byte("one"), false}, {DeviceID{2}, []byte("two"), true}}},
		&TakeReply{},
		&Chunk{Data: []byte("chunk")},
		&ChunkName{Hash: ChunkHash{1}},
	}
}

func blank(m message) message { return reflect.New(reflect.TypeOf(m).Elem()).Interface().(message) }

func TestRoundTripAndEveryPrefix(t *testing.T) {
	for _, m := range messages() {
		b := must[[]byte](t)(wire.Marshal(m))
		got := blank(m)
		if err := wire.Unmarshal(b, got); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%T does not survive a round trip: %v", m, err)
		}
		for n := range b {
			if err := wire.Unmarshal(b[:n], blank(m)); err == nil {
				t.Errorf("%T: %d of %d bytes decode", m, n, len(b))
			}
		}
		if err := wire.Unmarshal(append(b, 0), blank(m)); !errors.Is(err, wire.ErrTrailing) {
			t.Errorf("%T with a byte after it: %v", m, err)
		}
	}
}

// TestB12_MalformedBodies: bodies that are well formed and against a bound.
func TestB12_MalformedBodies(t *testing.T) {
	long := func(n int) []byte { return make([]byte, n) }
	many := func(n int) (out [][]byte) {
		for range n {
			out = append(out, []byte{1})
		}
		return out
	}
	var twice TakeReply
	twice.Packages = []Package{{Device: DeviceID{1}}, {Device: DeviceID{1}}}
	var devices TakeReply
	for i := range MaxDevices + 1 {
		devices.Packages = append(devices.Packages, Package{Device: DeviceID{byte(i)}})
	}
	for name, m := range map[string]message{
		"handle":           &RegisterRequest{Handle: string(long(MaxHandle + 1))},
		"root":             &RegisterRequest{Handle: "a", Root: long(MaxEntry + 1)},
		"entry":            &AppendRequest{Entry: long(MaxEntry + 1)},
		"look-up":          &LookupRequest{Handle: string(long(MaxHandle + 1))},
		"chain":            &LookupReply{Entries: many(MaxEntries + 1)},
		"package":          &UploadRequest{Packages: [][]byte{long(MaxPackage + 1)}},
		"packages":         &UploadRequest{Packages: many(MaxUpload + 1)},
		"last resort":      &UploadRequest{LastResort: long(MaxPackage + 1)},
		"taken package":    &TakeReply{Packages: []Package{{KeyPackage: long(MaxPackage + 1)}}},
		"two of a device":  &twice,
		"too many devices": &devices,
		"chunk":            &Chunk{Data: long(MaxChunk + 1)},
		"empty chunk":      &Chunk{},
	} {
		b := must[[]byte](t)(wire.Marshal(m))
		err := wire.Unmarshal(b, blank(m))
		if !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	for _, b := range [][]byte{{0}, {3, 1, 'a'}, {byHandle, 0}} {
		if err := wire.Unmarshal(b, new(LookupRequest)); !errors.Is(err, ErrInvalid) {
			t.Errorf("look-up %x: %v, want ErrInvalid", b, err)
		}
	}
}

// TestB12_VectorBomb: an upload of a megabyte of empty packages allocates no slice header for
// each of them.
func TestB12_VectorBomb(t *testing.T) {
	var w wire.Writer
	w.Raw(make([]byte, 32+32+2+16+8))
	w.Bytes(make([]byte, 1<<20))
	b := must[[]byte](t)(w.Finish())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := wire.Unmarshal(b, new(UploadRequest))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrTooLarge) {
		t.Fatalf("%v, want ErrTooLarge", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Fatalf("allocated %d bytes", n)
	}
}

func TestErrorsOnTheWire(t *testing.T) {
	b := must[[]byte](t)(wire.Marshal(&Error{Code: CodeLimited, Text: "slow\x1b[31m", RetryAfter: 90 * time.Second}))
	var e Error
	if err := wire.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(&e, ErrLimited) || errors.Is(&e, ErrNotFound) || e.RetryAfter != 90*time.Second || e.Text != "slow?[31m" {
		t.Fatalf("%+v", e)
	}
	b = must[[]byte](t)(wire.Marshal(&Error{Code: 999}))
	if err := wire.Unmarshal(b, &e); err != nil || !errors.Is(&e, ErrUnavailable) {
		t.Fatalf("unknown code: %v, %v", &e, err)
	}
}

func FuzzMessages(f *testing.F) {
	for i, m := range messages() {
		b, err := wire.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), b)
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		all := messages()
		m := blank(all[int(which)%len(all)])
		if wire.Unmarshal(b, m) != nil {
			return
		}
		if _, ok := m.(*Error); ok {
			return // its text and unknown codes are replaced on purpose
		}
		if again, err := wire.Marshal(m); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%T has two encodings: %x and %x (%v)", m, b, again, err)
		}
	})
}

func FuzzChain(f *testing.F) {
	recovery, phone := newKey(f), newKey(f)
	root := must[[]byte](f)(NewAccount(recovery, phone))
	add := must[[]byte](f)(AddDevice([][]byte{root}, phone, newKey(f)))
	f.Add(root, add)
	f.Fuzz(func(t *testing.T, one, two []byte) {
		a, err := VerifyChain([][]byte{one, two})
		if err == nil && (!bytes.Equal(one, root) || !bytes.Equal(two, add)) && a.ID == AccountID(EntryHash(root)) {
			t.Fatal("a forged chain verifies")
		}
		ParseCredential(one)
	})
}
