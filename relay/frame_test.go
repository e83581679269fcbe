package relay

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// testKey is a key pair made from one byte.
func testKey(b byte) (PublicKey, ed25519.PrivateKey) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	return PublicKey(private.Public().(ed25519.PublicKey)), private
}

func public(b byte) PublicKey {
	k, _ := testKey(b)
	return k
}

var (
	testID    = IdempotencyID{1, 2, 3}
	testQueue = QueueID{4, 5, 6}
	testSig   = Signature{7, 8, 9}
	testPos   = Position{Incarnation: Incarnation{1}, Seq: 7, Chain: Hash{9}}
)

// samples returns frames of every type, with optional fields absent and present.
func samples() []Frame {
	envelope := bytes.Repeat([]byte{0xee}, MinEnvelope)
	keys := []PublicKey{public(1), public(2)}
	return []Frame{
		&Prove{1, ProveRead, testQueue, public(1), testSig},
		&Create{Request: 2, ID: testID, Queue: testQueue, Key: public(1), Admins: keys, Readers: keys},
		&Create{2, testID, testQueue, public(1), keys, new(public(3)), new(public(4)), keys, 90, testSig},
		&Configure{Request: 3, ID: testID, Queue: testQueue, Key: public(1), Changes: []Change{
			AddReader{public(2)}, RemoveReader{public(2)}, AddWriter{public(3)}, RemoveWriter{public(3)},
			SetRequestWriter{new(public(4))}, SetRequestWriter{}, SetAdmins{keys}, SetNamedWriting{true},
			SetRetention{7}, SetWakeHandle{[]byte("sealed")}, SetLimits{10, 1 << 40},
			UnknownChange{77, []byte("later")},
		}, Signature: testSig},
		&Leave{4, testID, testQueue, public(1), testSig},
		&Append{5, testID, testQueue, public(1), nil, envelope},
		&Append{5, testID, testQueue, public(1), new(public(2)), envelope},
		&Commit{Request: 6, ID: testID, Queue: testQueue, Reader: public(1), Envelope: envelope},
		&Commit{6, testID, testQueue, public(1), testPos, public(2), keys,
			&AdminChange{keys, public(3), testSig}, []Hash{{1}, {2}}, envelope, testSig},
		&Attach{7, testQueue, public(1), nil, 1 << 16},
		&Attach{7, testQueue, public(1), &testPos, 1 << 16},
		&Ack{8, 9}, &Detach{9},
		&Rekey{10, testID, testQueue, public(1), public(2), testSig, testSig},
		&Knock{11, testID, testQueue, public(1), ClassVote, envelope, testSig},
		&Delete{12, testID, testQueue, public(1), Signature{1}, testSig},
		&Ping{13}, &Signal{9, [SignalSize]byte{1, 255: 2}},
		&StoreBlob{14, testQueue, public(1), Hash{1}, 1 << 20, 30},
		&PutBlob{15, testQueue, Hash{1}, 512, []byte("sealed")}, &GetBlob{16, testQueue, Hash{1}, 512, 1 << 16},
		&Proved{1}, &Accepted{2, testPos},
		&Refused{3, Refusal{Code: CodeUnknown}},
		&Refused{3, Refusal{CodeLimit, &testPos, LimitCommits, 1500 * time.Millisecond}},
		&Attached{4, 5, testPos, Position{}},
		&Deliver{5, []Entry{{1, KindMessage, nil, nil, envelope}, {2, KindCommit, new(public(1)), []Hash{{1}}, envelope}}, Hash{1}},
		&Gap{6, 1, 7, GapLost, testPos}, &End{7, testPos}, &Detached{8, DetachSuperseded},
		&GoAway{250 * time.Millisecond}, &Pong{13}, &Close{CloseMalformed},
		&Stream{9, [16]byte{1}, StreamKey{2}}, &Signalled{9, [SignalSize]byte{1, 255: 2}},
		&Blob{14, 512, false}, &Blob{15, 1 << 20, true}, &BlobData{16, 1 << 20, []byte("sealed")},
	}
}

func encode(t testing.TB, f Frame) []byte {
	t.Helper()
	b, err := AppendFrame(nil, f)
	if err != nil {
		t.Fatalf("%T: %v", f, err)
	}
	if got := int(binary.BigEndian.Uint32(b)); got != len(b)-4 {
		t.Fatalf("%T announces %d bytes and has %d", f, got, len(b)-4)
	}
	return b[4:]
}

func TestFramesRoundTrip(t *testing.T) {
	seen := map[FrameType]bool{}
	for _, f := range samples() {
		seen[f.Type()] = true
		enc := encode(t, f)
		got, err := ParseFrame(enc)
		if err != nil {
			t.Errorf("%T: %v", f, err)
			continue
		}
		if !reflect.DeepEqual(got, f) {
			t.Errorf("%T came back different", f)
		}
		if f.Type().FromClient() == f.Type().FromServer() {
			t.Errorf("%T belongs to no single direction", f)
		}
	}
	for typ := range frames {
		if !seen[typ] {
			t.Errorf("no sample of frame type 0x%02x", typ)
		}
	}
}

// TestR16_EveryPrefixFails: no strict prefix of a frame parses, nor a frame with a byte more.
func TestR16_EveryPrefixFails(t *testing.T) {
	for _, f := range samples() {
		enc := encode(t, f)
		for n := range enc {
			want := wire.ErrTruncated
			if n == 0 {
				want = ErrEmptyFrame
			}
			if _, err := ParseFrame(enc[:n]); !errors.Is(err, want) {
				t.Fatalf("%T cut to %d of %d bytes: %v, want %v", f, n, len(enc), err, want)
			}
		}
		if _, err := ParseFrame(append(enc, 0)); !errors.Is(err, wire.ErrTrailing) {
			t.Errorf("%T with a byte more: %v, want ErrTrailing", f, err)
		}
	}
}

func TestR16_UnknownType(t *testing.T) {
	for b := range 256 {
		typ := FrameType(b)
		if _, known := frames[typ]; known {
			continue
		}
		if _, err := ParseFrame([]byte{byte(b), 1, 2, 3}); !errors.Is(err, ErrUnknownFrame) {
			t.Errorf("type 0x%02x: %v, want ErrUnknownFrame", b, err)
		}
		if typ.Skippable() != (b >= 0x80) {
			t.Errorf("type 0x%02x skippable: %v", b, typ.Skippable())
		}
	}
}

// TestR17_Strict: encodings that a lenient decoder would take.
func TestR17_Strict(t *testing.T) {
	prefix := func(f Frame, upTo int) []byte { return bytes.Clone(encode(t, f)[:upTo]) }
	tail := make([]byte, 64)
	create := &Create{Admins: []PublicKey{{}}, Readers: []PublicKey{{}}}
	atAdmins := 1 + 8 + 16 + 32 + 32
	deliver := &Deliver{Entries: []Entry{{Envelope: make([]byte, MinEnvelope)}}}
	for name, c := range map[string]struct {
		in  []byte
		err error
	}{
		"a varint longer than needed":   {append(prefix(create, atAdmins), 0x40, 0x20), wire.ErrNonMinimal},
		"a reserved varint":             {append(prefix(create, atAdmins), 0xc0), wire.ErrVarint},
		"a key cut by its vector's end": {append(append(prefix(create, atAdmins), 0x1f), tail...), wire.ErrTruncated},
		"an optional that is 2":         {append(prefix(create, atAdmins+1+32), 2), wire.ErrOptional},
		"a boolean that is 2": {append(prefix(&Configure{}, atAdmins), 3, byte(ChangeSetNamedWriting), 1, 2),
			wire.ErrOptional},
		"bytes after a change's body": {append(prefix(&Configure{}, atAdmins), 4, byte(ChangeSetNamedWriting), 2, 1, 0),
			wire.ErrTrailing},
		"65 changes":            {append(append(prefix(&Configure{}, atAdmins), 0x40, 130), make([]byte, 130)...), ErrTooMany},
		"an entry of 511 bytes": {append(append(prefix(deliver, 1+8), 0x42, 0x0c), append(make([]byte, 11), append([]byte{0x41, 0xff}, make([]byte, 511)...)...)...), ErrEntrySize},
	} {
		if _, err := ParseFrame(c.in); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// TestR15_AllocationBound: what a frame costs to decode is a small multiple of its size,
// for the frames with the smallest elements and for announced lengths that are not there.
func TestR15_AllocationBound(t *testing.T) {
	many := make([]Change, MaxChanges)
	for i := range many {
		many[i] = UnknownChange{ChangeType: 200}
	}
	entries := make([]Entry, 1000)
	for i := range entries {
		entries[i] = Entry{Reader: new(public(1)), Envelope: make([]byte, MinEnvelope)}
	}
	inputs := [][]byte{
		encode(t, &Configure{Changes: many}),
		encode(t, &Create{Admins: make([]PublicKey, MaxAdmins), Readers: make([]PublicKey, MaxReaders)}),
		encode(t, &Commit{Tickets: make([]PublicKey, MaxTickets)}),
		encode(t, &Deliver{Entries: entries}),
	}
	for typ := range frames {
		inputs = append(inputs, append([]byte{byte(typ)}, bytes.Repeat([]byte{0xbf}, 300)...))
	}
	const rounds, factor, fixed = 20, 20, 8 << 10
	for _, in := range inputs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			_, _ = ParseFrame(in)
		}
		runtime.ReadMemStats(&after)
		if cost := int(after.TotalAlloc-before.TotalAlloc) / rounds; cost > factor*len(in)+fixed {
			t.Errorf("frame 0x%02x of %d bytes allocates %d", in[0], len(in), cost)
		}
	}
}

func TestAppendFrameRefusesWhatNobodyReads(t *testing.T) {
	dst := []byte{1, 2, 3}
	got, err := AppendFrame(dst, &Append{Envelope: make([]byte, MaxServerFrame)})
	if !errors.Is(err, wire.ErrTooLong) || !bytes.Equal(got, dst) {
		t.Errorf("oversized frame: %v, %d bytes left in the buffer", err, len(got))
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, s := range samples() {
		f.Add(encode(f, s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		frame, err := ParseFrame(in)
		if err != nil {
			return
		}
		if enc := encode(t, frame); !bytes.Equal(enc, in) {
			t.Fatalf("%x decodes, and encodes again to %x", in, enc)
		}
		if m, ok := frame.(Mutation); ok {
			_ = m.Check()
			_ = m.Digest()
			if m.Type() != TypeAppend && m.Verify(Binding{}) == nil {
				t.Logf("signature of %T verifies", m)
			}
		}
	})
}
