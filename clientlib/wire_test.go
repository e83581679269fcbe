package clientlib

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// need fails the test on an error.
func need[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

type wireMessage interface {
	wire.Marshaler
	wire.Unmarshaler
}

// wireMessages returns one of everything that this package puts on the wire, filled in.
func wireMessages() []wireMessage {
	at := relay.Position{Incarnation: relay.Incarnation{1}, Seq: 2, Chain: relay.Hash{3}}
	seed := func(b byte) secret { return bytes.Repeat([]byte{b}, 32) }
	return []wireMessage{
		&payload{Kind: payloadContent, ID: MessageID{1}, Seen: at, Checkpoint: []byte("checkpoint"), Body: []byte("body")},
		&payload{Kind: payloadJoined, Checkpoint: []byte{}, Body: []byte{}},
		&joined{Reader: relay.PublicKey{1}, Admin: relay.PublicKey{2}, Proof: [64]byte{0: 3, 63: 4}},
		&policy{Kind: Group, Relay: "relay", Queue: relay.QueueID{1}, KeyServer: "keys", Name: "name",
			AnyoneAdd: true, Retention: 30, Admins: []keyserver.AccountID{{1}, {2}}, Keeper: &keeper{Device: keyserver.DeviceID{3}}},
		&policy{Kind: Direct},
		&contact{Key: []byte("public key"), Relay: "relay", Inbox: relay.QueueID{1}, RequestWriter: seed(1)},
		&ContactCard{Handle: "alice", Chain: [][]byte{[]byte("root"), []byte("device")}, KeyPackage: []byte("package")},
		&invitation{Relay: "relay", KeyServer: "keys", Queue: relay.QueueID{1}, Position: at, Ticket: seed(2),
			Package: []byte("ref"), Welcome: []byte("welcome"), Index: [32]byte{3}, IndexKey: seed(4)},
		&stateIndex{size: 5, hashes: [][32]byte{{1}, {2}}},
		&stateIndex{},
		&Evidence{Relay: "relay", Queue: relay.QueueID{1}, Known: at, Shown: at, At: at, Envelope: []byte("envelope")},
	}
}

func blank(m wireMessage) wireMessage {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(wireMessage)
}

func TestRoundTripAndEveryPrefix(t *testing.T) {
	t.Parallel()
	for _, m := range wireMessages() {
		b := need[[]byte](t)(wire.Marshal(m))
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
			t.Errorf("%T with a byte after it: %v, want ErrTrailing", m, err)
		}
	}
}

// TestOutOfBounds: well-formed messages that break a bound or name a version of the future.
func TestOutOfBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", maxURI+1)
	seed := secret(make([]byte, 32))
	for name, c := range map[string]struct {
		m    wireMessage
		want error
	}{
		"kind 0":                 {&policy{Kind: 0}, errBadPolicy},
		"kind 3":                 {&policy{Kind: 3}, errBadPolicy},
		"long name":              {&policy{Kind: Group, Name: long[:maxName+1]}, errBadPolicy},
		"many admins":            {&policy{Kind: Group, Admins: make([]keyserver.AccountID, maxAdmins+1)}, errBadPolicy},
		"policy's relay":         {&policy{Kind: Group, Relay: long}, errBadPolicy},
		"policy's key server":    {&policy{Kind: Group, KeyServer: long}, errBadPolicy},
		"contact's relay":        {&contact{Relay: long, RequestWriter: seed}, ErrBadCard},
		"request writer short":   {&contact{RequestWriter: seed[:31]}, ErrBadCard},
		"card without a chain":   {&ContactCard{}, ErrBadCard},
		"card with a long chain": {&ContactCard{Chain: make([][]byte, maxChain+1)}, ErrBadCard},
		"card's handle":          {&ContactCard{Handle: long, Chain: [][]byte{{1}}}, ErrBadCard},
		"ticket short":           {&invitation{Ticket: seed[:31], IndexKey: seed}, errBadInvitation},
		"index key long":         {&invitation{Ticket: seed, IndexKey: make(secret, 33)}, errBadInvitation},
		"invitation's relay":     {&invitation{Relay: long, Ticket: seed, IndexKey: seed}, errBadInvitation},
		"invitation's keys":      {&invitation{KeyServer: long, Ticket: seed, IndexKey: seed}, errBadInvitation},
	} {
		b := need[[]byte](t)(wire.Marshal(c.m))
		if err := wire.Unmarshal(b, blank(c.m)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, m := range wireMessages() {
		if _, unversioned := m.(*joined); unversioned {
			continue // its payload has the version
		}
		b := need[[]byte](t)(wire.Marshal(m))
		b[0]++
		if err := wire.Unmarshal(b, blank(m)); err == nil {
			t.Errorf("%T of another version decodes", m)
		}
	}
}

// TestR15_LengthBombs: a length of 1 GiB in any place of a message allocates nothing of that
// size, because it is compared with what is left first.
func TestR15_LengthBombs(t *testing.T) {
	for _, m := range wireMessages() {
		b := need[[]byte](t)(wire.Marshal(m))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for n := range b {
			if err := wire.Unmarshal(append(b[:n:n], 0xbf, 0xff, 0xff, 0xff), blank(m)); err == nil && n+4 < len(b) {
				t.Errorf("%T with a bomb at %d decodes", m, n)
			}
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
			t.Errorf("%T: %d length bombs allocated %d bytes", m, len(b), grown)
		}
	}
}

// TestR15_ChainOfNothing: a card of a megabyte of empty chain entries allocates no slice
// header for each of them.
func TestR15_ChainOfNothing(t *testing.T) {
	var w wire.Writer
	w.Uint8(cardVersion)
	w.Bytes(nil)
	w.Bytes(make([]byte, maxCard))
	w.Bytes(nil)
	b := need[[]byte](t)(w.Finish())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := wire.Unmarshal(b, new(ContactCard))
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrBadCard) || grown > maxCard {
		t.Errorf("a card of %d bytes allocated %d: %v", len(b), grown, err)
	}
}

// FuzzWire: what decodes has one encoding, and nothing panics.
func FuzzWire(f *testing.F) {
	for i, m := range wireMessages() {
		f.Add(uint8(i), need[[]byte](f)(wire.Marshal(m)))
	}
	f.Fuzz(func(t *testing.T, kind uint8, in []byte) {
		all := wireMessages()
		m := blank(all[int(kind)%len(all)])
		if wire.Unmarshal(in, m) != nil {
			return
		}
		if b, err := wire.Marshal(m); err != nil || !bytes.Equal(b, in) {
			t.Fatalf("%T: %x decodes, and encodes again to %x (%v)", m, in, b, err)
		}
	})
}
