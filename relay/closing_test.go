package relay

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
)

// TestQ12_ClosingIsEvidence: who closed a queue cannot deny it, and nobody else can be made to have:
// every changed byte of the statement, another queue and another relay are noticed. It shows nothing
// of the session.
func TestQ12_ClosingIsEvidence(t *testing.T) {
	admin := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	b := Binding{RelayKey: RelayKey{1}, Handshake: Hash{2}}
	d := &Delete{ID: IdempotencyID{4}, Queue: QueueID{5}, Key: PublicKey(admin.Public().(ed25519.PublicKey))}
	if err := d.Sign(b, Keys(admin)); err != nil || d.Verify(b) != nil {
		t.Fatal(err)
	}
	envelope := ClosingOf(d).Envelope()
	if !ValidEnvelopeSize(len(envelope)) {
		t.Errorf("an entry of %d bytes", len(envelope))
	}
	c, err := ParseClosing(envelope)
	if err != nil || c.Key != d.Key || c.Verify(b.RelayKey, d.Queue) != nil {
		t.Fatalf("its own statement: %v", err)
	}
	if err := c.Verify(b.RelayKey, QueueID{6}); !errors.Is(err, ErrBadProof) {
		t.Errorf("for another queue: %v", err)
	}
	if err := c.Verify(RelayKey{7}, d.Queue); !errors.Is(err, ErrBadProof) {
		t.Errorf("at another relay: %v", err)
	}
	for i := range envelope {
		bent := bytes.Clone(envelope)
		bent[i] ^= 1
		if c, err := ParseClosing(bent); err == nil && c.Verify(b.RelayKey, d.Queue) == nil {
			t.Errorf("byte %d can be another", i)
		}
	}
	for n := range envelope {
		if _, err := ParseClosing(envelope[:n]); err == nil {
			t.Errorf("%d bytes are a statement", n)
		}
	}
	if _, err := ParseClosing(append(bytes.Clone(envelope), 0)); err == nil {
		t.Error("a byte too many is passed over")
	}
	again := *d
	if err := again.Sign(Binding{RelayKey: b.RelayKey, Handshake: Hash{8}}, Keys(admin)); err != nil || again.Signature == d.Signature || !bytes.Equal(ClosingOf(&again).Envelope(), envelope) {
		t.Error("the log tells one session from another")
	}
	if again.Statement[0] ^= 1; again.Verify(Binding{RelayKey: b.RelayKey, Handshake: Hash{8}}) == nil {
		t.Error("a DELETE is taken whose statement shows nothing")
	}
}
