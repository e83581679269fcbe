package relay

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func allKeys() Signer {
	var private []ed25519.PrivateKey
	for b := range byte(8) {
		_, p := testKey(b)
		private = append(private, p)
	}
	return Keys(private...)
}

type signable interface {
	Frame
	Sign(Binding, Signer) error
	Verify(Binding) error
}

// TestR04_SignatureBoundToSession: what was signed for one session verifies in no other,
// and no bit of a signed frame can be changed. LEAVE is bound to the relay instead.
func TestR04_SignatureBoundToSession(t *testing.T) {
	here := Binding{RelayKey: RelayKey{1}, Handshake: Hash{1}}
	for _, f := range samples() {
		s, ok := f.(signable)
		if !ok || f.Type() == TypeAppend {
			continue
		}
		if err := s.Sign(here, allKeys()); err != nil {
			t.Fatalf("%T: %v", f, err)
		}
		if err := s.Verify(here); err != nil {
			t.Fatalf("%T: %v", f, err)
		}
		elsewhere := Binding{RelayKey: RelayKey{1}, Handshake: Hash{2}}
		if f.Type() == TypeLeave {
			elsewhere = Binding{RelayKey: RelayKey{2}, Handshake: Hash{1}}
			if err := s.Verify(Binding{RelayKey: RelayKey{1}, Handshake: Hash{2}}); err != nil {
				t.Errorf("a deposited leave is refused in a later session: %v", err)
			}
		}
		if err := s.Verify(elsewhere); !errors.Is(err, ErrBadProof) {
			t.Errorf("%T verifies elsewhere: %v", f, err)
		}
		enc := encode(t, f)
		for i := 1 + 8; i < len(enc); i++ { // after type and request
			changed := bytes.Clone(enc)
			changed[i] ^= 1
			got, err := ParseFrame(changed)
			if err != nil {
				continue
			}
			if f.Type() == TypeLeave && i < 1+8+16 {
				continue // the idempotency id of a LEAVE is whoever hands it in's
			}
			if err := got.(signable).Verify(here); err == nil {
				t.Errorf("%T with byte %d changed verifies", f, i)
			}
		}
	}
}

// TestKeysOfSmallOrderProveNothing: a signature that verifies under the neutral point for every
// message, without any private key.
func TestKeysOfSmallOrderProveNothing(t *testing.T) {
	key, sig := PublicKey{1}, Signature{1}
	if !ed25519.Verify(key[:], []byte("any"), sig[:]) {
		t.Fatal("this test forges nothing")
	}
	if err := verify(key, sig, []byte("any")); !errors.Is(err, ErrBadProof) {
		t.Errorf("a forged signature: %v", err)
	}
}

func TestSignNeedsTheKey(t *testing.T) {
	c := &Commit{Reader: public(1), Admins: &AdminChange{Key: public(2)}}
	_, reader := testKey(1)
	if err := c.Sign(Binding{}, Keys(reader)); !errors.Is(err, ErrNoKey) {
		t.Errorf("commit signed without the admin's key: %v", err)
	}
}

// TestDigest: the idempotency digest covers all but request number and signatures.
func TestDigest(t *testing.T) {
	seen := map[Hash]string{}
	for _, f := range samples() {
		m, ok := f.(Mutation)
		if !ok {
			continue
		}
		before := m.Digest()
		name := fmt.Sprintf("%T", f)
		if other, again := seen[before]; again {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[before] = name
		m.SetRequest(99)
		if err := m.Sign(Binding{Handshake: Hash{5}}, allKeys()); err != nil {
			t.Fatal(err)
		}
		if m.Digest() != before {
			t.Errorf("%T: the digest depends on request or signature", f)
		}
		if n, _, _, _ := m.Header(); n != 99 || m.RequestNumber() != 99 {
			t.Errorf("%T: request number %d", f, n)
		}
	}
}

func TestCheck(t *testing.T) {
	ok, admins := make([]byte, MinEnvelope), []PublicKey{public(1)}
	big := make([]PublicKey, MaxAdmins+1)
	for i := range big {
		big[i] = public(byte(i))
	}
	for name, c := range map[string]struct {
		m    Mutation
		want error
	}{
		"create":                      {&Create{Key: public(1), Admins: admins, Readers: admins}, nil},
		"create, signer no admin":     {&Create{Key: public(2), Admins: admins, Readers: admins}, ErrMalformed},
		"create without readers":      {&Create{Key: public(1), Admins: admins}, ErrMalformed},
		"create, a reader twice":      {&Create{Key: public(1), Admins: admins, Readers: append(admins, admins...)}, ErrMalformed},
		"create, too many admins":     {&Create{Key: public(1), Admins: big, Readers: admins}, ErrMalformed},
		"create, 91 days":             {&Create{Key: public(1), Admins: admins, Readers: admins, RetentionDays: 91}, ErrMalformed},
		"configure nothing":           {&Configure{}, ErrMalformed},
		"configure, no admins":        {&Configure{Changes: []Change{SetAdmins{}}}, ErrMalformed},
		"configure, retention 0":      {&Configure{Changes: []Change{SetRetention{}}}, ErrMalformed},
		"configure, long wake handle": {&Configure{Changes: []Change{SetWakeHandle{make([]byte, 513)}}}, ErrTooLarge},
		"configure, unknown":          {&Configure{Changes: []Change{UnknownChange{}}}, ErrMalformed},
		"append":                      {&Append{Envelope: ok}, nil},
		"append, no power of two":     {&Append{Envelope: make([]byte, 600)}, ErrMalformed},
		"append, empty":               {&Append{}, ErrMalformed},
		"append, too large":           {&Append{Envelope: make([]byte, MaxEnvelope+1)}, ErrTooLarge},
		"append, largest":             {&Append{Envelope: make([]byte, MaxEnvelope)}, nil},
		"commit, a ticket twice":      {&Commit{Envelope: ok, Tickets: append(admins, admins...)}, ErrMalformed},
		"commit, a blob twice":        {&Commit{Envelope: ok, Blobs: []Hash{{1}, {1}}}, ErrMalformed},
		"commit, no admins":           {&Commit{Envelope: ok, Admins: &AdminChange{}}, ErrMalformed},
		"knock, too large":            {&Knock{Envelope: make([]byte, 2*MaxKnock)}, ErrTooLarge},
		"knock, unknown class":        {&Knock{Envelope: ok, Class: 2}, ErrMalformed},
		"rekey to the ticket itself":  {&Rekey{Ticket: public(1), Reader: public(1)}, ErrMalformed},
	} {
		if err := c.m.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestR31_IdsDoNotPrint: neither fmt nor slog shows an id, with any verb, nested or not.
func TestR31_IdsDoNotPrint(t *testing.T) {
	p := &Prove{Queue: QueueID{0xab, 0xcd}, Key: PublicKey{0xab, 0xcd}, Signature: Signature{0xab, 0xcd}}
	l := &Leave{ID: IdempotencyID{0xab, 0xcd}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d", "%q"} {
		fmt.Fprintf(&out, verb+verb+verb+verb+verb+verb, p, l, p.Queue, p.Key, p.Signature, l.ID)
	}
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("x", "frame", p, "queue", p.Queue, "key", p.Key, "sig", p.Signature, "id", l.ID)
	for _, leak := range []string{"abcd", "ab, cd", "171", "0xab", "[171"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed an id (%q)", leak)
		}
	}
}
