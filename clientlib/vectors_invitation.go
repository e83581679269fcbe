package clientlib

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"fmt"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// invitationVector is an invitation, sealed to a contact key for an inbox.
type invitationVector struct {
	Name          string              `json:"name"`
	ContactSeed   vectorfile.Hex      `json:"contact_seed"`
	ContactKey    vectorfile.Hex      `json:"contact_key"`
	Inbox         vectorfile.Hex      `json:"inbox"`
	Encapsulation encapsulationVector `json:"encapsulation"`
	Fields        invitationFields    `json:"fields"`
	Content       vectorfile.Hex      `json:"content"`
	Sealed        vectorfile.Hex      `json:"sealed"`
	Error         string              `json:"error"`
}

// encapsulationVector is the sender's randomness, for an implementation that can fix it. Ours
// takes none from outside, so of the two only the X25519 key is compared here.
type encapsulationVector struct {
	MLKEM  vectorfile.Hex `json:"ml_kem_random"`
	X25519 vectorfile.Hex `json:"x25519_private"`
}

// check compares the ephemeral key with what stands behind the ML-KEM ciphertext.
func (v *encapsulationVector) check(sealed []byte) error {
	e, err := ecdh.X25519().NewPrivateKey(v.X25519)
	if err != nil {
		return err
	}
	const at = mlkem.CiphertextSize768
	return vectorfile.Bytes("the ephemeral key", e.PublicKey().Bytes(), sealed[at:at+32])
}

type invitationFields struct {
	Relay     string         `json:"relay"`
	KeyServer string         `json:"key_server"`
	Queue     vectorfile.Hex `json:"queue"`
	Position  vectorfile.Hex `json:"position"`
	Ticket    vectorfile.Hex `json:"ticket_seed"`
	Package   vectorfile.Hex `json:"key_package_ref"`
	Welcome   vectorfile.Hex `json:"welcome"`
	Index     vectorfile.Hex `json:"index"`
	IndexKey  vectorfile.Hex `json:"index_key"`
}

func checkInvitationVector(v *invitationVector) error {
	var inbox relay.QueueID
	contactKey, err := contactPublicKey(secret(v.ContactSeed))
	if err := vectorfile.First(err,
		vectorfile.Fill("inbox", inbox[:], v.Inbox),
		vectorfile.Bytes("the contact key", contactKey, v.ContactKey)); err != nil {
		return err
	}
	got, err := openInvitation(secret(v.ContactSeed), inbox, v.Sealed)
	if err != nil || v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	content, err := wire.Marshal(got)
	position, err2 := wire.Marshal(&got.Position)
	f := v.Fields
	if err := vectorfile.First(err, err2,
		vectorfile.Bytes("the content", content, v.Content),
		vectorfile.Value("the relay", got.Relay, f.Relay),
		vectorfile.Value("the key server", got.KeyServer, f.KeyServer),
		vectorfile.Bytes("the queue", got.Queue[:], f.Queue),
		vectorfile.Bytes("the position", position, f.Position),
		vectorfile.Bytes("the ticket", got.Ticket, f.Ticket),
		vectorfile.Bytes("the KeyPackage's reference", got.Package, f.Package),
		vectorfile.Bytes("the welcome", got.Welcome, f.Welcome),
		vectorfile.Bytes("the index", got.Index[:], f.Index),
		vectorfile.Bytes("the index key", got.IndexKey, f.IndexKey)); err != nil {
		return err
	}
	if err := v.Encapsulation.check(v.Sealed); err != nil {
		return err
	}
	return sealInvitationAgain(got, v, inbox)
}

// sealInvitationAgain seals with fresh randomness: as long as the vector's, another one, and
// it opens.
func sealInvitationAgain(got *invitation, v *invitationVector, inbox relay.QueueID) error {
	again, err := got.seal(v.ContactKey, inbox)
	if err != nil {
		return err
	}
	if len(again) != len(v.Sealed) || bytes.Equal(again, v.Sealed) {
		return fmt.Errorf("sealed again it has %d bytes, want other %d", len(again), len(v.Sealed))
	}
	_, err = openInvitation(secret(v.ContactSeed), inbox, again)
	return err
}
