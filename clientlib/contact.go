package clientlib

import (
	"crypto/hpke"
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// ErrBadCard is returned for a contact card that is damaged, or whose account chain or
// KeyPackage does not verify. Ask the contact for a new one.
var ErrBadCard = errors.New("clientlib: contact card does not verify")

const (
	contactVersion = 1
	cardVersion    = 1
	maxChain       = keyserver.MaxEntries // of an account chain in a card
	maxCard        = 1 << 20              // bytes of a card before its text form
)

// contact is the KeyPackage extension that says how to reach a device (DESIGN section 4).
type contact struct {
	Key           []byte // X-Wing public key, for the invitation
	Relay         string
	Inbox         relay.QueueID
	RequestWriter secret // seed of the key that strangers write to the inbox with
}

func (c *contact) MarshalWire(w *wire.Writer) {
	w.Uint8(contactVersion)
	w.Bytes(c.Key)
	w.Bytes([]byte(c.Relay))
	w.Raw(c.Inbox[:])
	w.Bytes(c.RequestWriter)
}

func (c *contact) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != contactVersion {
		r.Fail(ErrBadCard)
	}
	c.Key = r.Bytes()
	c.Relay = string(r.Bytes())
	r.Copy(c.Inbox[:])
	c.RequestWriter = r.Bytes()
	if len(c.RequestWriter) != 32 || len(c.Relay) > maxURI || !utf8.ValidString(c.Relay) {
		r.Fail(ErrBadCard)
	}
}

func contactOf(kp *mls.KeyPackage) (*contact, error) {
	data, ok := kp.Extension(extensionContact)
	if !ok {
		return nil, fmt.Errorf("%w: KeyPackage says no way to reach its device", ErrBadCard)
	}
	c := new(contact)
	if err := wire.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	// Before a commit names the device: a member that can never be invited is a ghost.
	if _, err := relay.ParseAddress(c.Relay); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	pk, err := hpke.MLKEM768X25519().NewPublicKey(c.Key)
	if err == nil { // it parses; nothing can be sealed to one with an X25519 half of low order
		_, _, err = hpke.NewSender(pk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: contact key: %w", ErrBadCard, err)
	}
	return c, nil
}

// A ContactCard is all that it takes to start a conversation with an account without a
// directory: its chain of devices, and a last-resort KeyPackage of one of them. Handing it
// over in person (a file, a link) makes a server that lies about keys powerless. A QR code holds
// one without its KeyPackage, and the directory is asked for another then.
type ContactCard struct {
	Handle     string   // what the account calls itself; nothing proves it
	Chain      [][]byte // the account's signed device chain (keyserver/PROTOCOL.md)
	KeyPackage []byte   // a last-resort MLS KeyPackage
}

func (c *ContactCard) MarshalWire(w *wire.Writer) {
	w.Uint8(cardVersion)
	w.Bytes([]byte(c.Handle))
	wire.WriteVector(w, c.Chain, (*wire.Writer).Bytes)
	w.Bytes(c.KeyPackage)
}

func (c *ContactCard) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != cardVersion {
		r.Fail(ErrBadCard)
	}
	c.Handle = string(r.Bytes())
	entries := 0
	c.Chain = wire.Vector(r, func(r *wire.Reader) []byte {
		if entries++; entries > maxChain { // or a million empty entries would cost a header each
			r.Fail(ErrBadCard)
			return nil
		}
		return r.Bytes()
	})
	c.KeyPackage = r.Bytes()
	if len(c.Chain) == 0 || keyserver.CheckHandle(c.Handle) != nil {
		r.Fail(ErrBadCard)
	}
}

// String is the card's text form: base64url, about 6 KB, of which all but 500 bytes are the
// KeyPackage.
func (c ContactCard) String() string {
	b, err := wire.Marshal(&c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseContactCard reads the text form. The card's signatures are verified when it is used.
func ParseContactCard(text string) (ContactCard, error) {
	if base64.RawURLEncoding.DecodedLen(len(text)) > maxCard {
		return ContactCard{}, fmt.Errorf("%w: over %d bytes", ErrBadCard, maxCard)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return ContactCard{}, fmt.Errorf("%w: not base64url", ErrBadCard)
	}
	var c ContactCard
	if err := wire.Unmarshal(b, &c); err != nil {
		return ContactCard{}, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	return c, nil
}

// account verifies the card's chain.
func (c *ContactCard) account() (*keyserver.Account, error) {
	a, err := keyserver.VerifyChain(c.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	return a, nil
}
