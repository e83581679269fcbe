package clientlib

import (
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

const (
	invitationVersion = 1

	// X-Wing's encapsulated key and the AEAD's tag (draft-connolly-cfrg-xwing-kem, RFC 9180).
	invitationExtra = 1120 + 16

	// Every invitation has this size, so the relay that keeps the inbox learns nothing of
	// the group from it. A Welcome with one joiner and no tree takes about a third.
	invitationSize = 8 << 10
)

var errBadInvitation = errors.New("clientlib: invitation is damaged or meant for another device")

// invitation is what a committer puts into a joiner's inbox (DESIGN section 4, Joining).
type invitation struct {
	Relay     string
	KeyServer string
	Queue     relay.QueueID
	Position  relay.Position // of the COMMIT that added the joiner: reading starts behind it
	Ticket    secret         // seed of the one-time reader key
	Package   []byte         // reference of the KeyPackage that the Welcome is for
	Welcome   []byte
	Index     [32]byte // address of the group state's index chunk
	IndexKey  secret
}

func (v *invitation) MarshalWire(w *wire.Writer) {
	w.Uint8(invitationVersion)
	w.Bytes([]byte(v.Relay))
	w.Bytes([]byte(v.KeyServer))
	w.Raw(v.Queue[:])
	v.Position.MarshalWire(w)
	w.Bytes(v.Ticket)
	w.Bytes(v.Package)
	w.Bytes(v.Welcome)
	w.Raw(v.Index[:])
	w.Bytes(v.IndexKey)
}

func (v *invitation) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != invitationVersion {
		r.Fail(errBadInvitation)
	}
	v.Relay = string(r.Bytes())
	v.KeyServer = string(r.Bytes())
	r.Copy(v.Queue[:])
	v.Position.UnmarshalWire(r)
	v.Ticket = r.Bytes()
	v.Package = r.Bytes()
	v.Welcome = r.Bytes()
	r.Copy(v.Index[:])
	v.IndexKey = r.Bytes()
	if len(v.Ticket) != 32 || len(v.IndexKey) != 32 || len(v.Relay) > maxURI || len(v.KeyServer) > maxURI {
		r.Fail(errBadInvitation)
	}
}

// invitationInfo binds a sealed invitation to the inbox it was written for.
func invitationInfo(inbox relay.QueueID) []byte {
	return append([]byte(sealInvitation), inbox[:]...)
}

// seal encloses the invitation for the holder of a contact key (HPKE base mode with X-Wing).
func (v *invitation) seal(contactKey []byte, inbox relay.QueueID) ([]byte, error) {
	content, err := wire.Marshal(v)
	if err != nil {
		return nil, err
	}
	size := invitationSize
	for size < lengthSize+len(content)+invitationExtra {
		size *= 2
	}
	plain := make([]byte, size-invitationExtra)
	binary.BigEndian.PutUint32(plain, uint32(len(content)))
	copy(plain[lengthSize:], content)
	pk, err := hpke.MLKEM768X25519().NewPublicKey(contactKey)
	if err != nil {
		return nil, fmt.Errorf("%w: contact key: %w", ErrBadCard, err)
	}
	return hpke.Seal(pk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), invitationInfo(inbox), plain)
}

// openInvitation opens what lies in one's own inbox.
func openInvitation(contactSeed secret, inbox relay.QueueID, envelope []byte) (*invitation, error) {
	sk, err := hpke.MLKEM768X25519().NewPrivateKey(contactSeed)
	if err != nil {
		return nil, err
	}
	plain, err := hpke.Open(sk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), invitationInfo(inbox), envelope)
	if err != nil {
		return nil, errBadInvitation
	}
	content, err := unpad(plain)
	if err != nil {
		return nil, errBadInvitation
	}
	v := new(invitation)
	if err := wire.Unmarshal(content, v); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadInvitation, err)
	}
	return v, nil
}

func contactPublicKey(seed secret) ([]byte, error) {
	sk, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, err
	}
	return sk.PublicKey().Bytes(), nil
}
