package keyserver

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// Credential is the identity inside an MLS basic credential (RFC 9420 section 5.3): it ties
// a leaf's signature key, which is new in every group, to a device of an account. Whether the
// device stands in the account's chain is [VerifyChain]'s to say.
type Credential struct {
	Account  AccountID
	Device   DeviceID
	NotAfter uint64 // Unix seconds; valid up to and including it
	Suite    uint16 // the MLS cipher suite of the leaf

	signature [ed25519.SignatureSize]byte
}

// SignCredential returns the identity bytes for a leaf with the signature key leafKey.
// notAfter is cut down to whole seconds.
func SignCredential(device ed25519.PrivateKey, account AccountID, leafKey []byte, suite uint16, notAfter time.Time) ([]byte, error) {
	c := Credential{Account: account, Device: DeviceOf(device), Suite: suite}
	if s := notAfter.Unix(); s > 0 {
		c.NotAfter = uint64(s)
	}
	c.signature = [64]byte(ed25519.Sign(device, c.signed(leafKey, suite)))
	return wire.Marshal(&c)
}

// ParseCredential reads identity bytes; it checks nothing but their form.
func ParseCredential(b []byte) (*Credential, error) {
	var c Credential
	if err := wire.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredential, err)
	}
	return &c, nil
}

// Verify tells whether the credential's device signed it for a leaf with this signature key
// and suite: nil or [ErrCredential]. It asks no clock, so it comes out alike for every member
// of a group and may decide whether a commit counts.
func (c *Credential) Verify(leafKey []byte, suite uint16) error {
	if suite != c.Suite {
		return fmt.Errorf("credential is for suite %d, the leaf has %d: %w", c.Suite, suite, ErrCredential)
	}
	if !signedBy(c.Device, c.signed(leafKey, suite), c.signature[:]) {
		return fmt.Errorf("credential is not signed for this leaf by its device: %w", ErrCredential)
	}
	return nil
}

// Expired tells whether now is past the credential's end. Clients ask it before they
// propose, commit or join, never to judge a commit that the log already holds.
func (c *Credential) Expired(now time.Time) bool {
	s := now.Unix()
	return s > 0 && uint64(s) > c.NotAfter
}

func (c *Credential) signed(leafKey []byte, suite uint16) []byte {
	return toBeSigned(labelCredential, func(w *wire.Writer) {
		w.Bytes(leafKey)
		w.Uint16(suite)
		w.Uint64(c.NotAfter)
		w.Raw(c.Account[:])
	})
}

// MarshalWire writes the identity bytes.
func (c *Credential) MarshalWire(w *wire.Writer) {
	w.Uint8(version)
	w.Raw(c.Account[:])
	w.Raw(c.Device[:])
	w.Uint64(c.NotAfter)
	w.Uint16(c.Suite)
	w.Raw(c.signature[:])
}

// UnmarshalWire reads the identity bytes.
func (c *Credential) UnmarshalWire(r *wire.Reader) {
	if v := r.Uint8(); r.Err() == nil && v != version {
		r.Fail(fmt.Errorf("credential of version %d: %w", v, ErrCredential))
	}
	r.Copy(c.Account[:])
	r.Copy(c.Device[:])
	c.NotAfter = r.Uint64()
	c.Suite = r.Uint16()
	r.Copy(c.signature[:])
}
