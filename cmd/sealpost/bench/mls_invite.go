package bench

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

// invite makes a Welcome into the group of the tree, which has no history, for the member at
// its first leaf (RFC 9420 sections 8 and 12.4.3.1).
func (l *layout) invite(kp *mls.KeyPackage) ([]byte, error) {
	context := written(func(w *wire.Writer) {
		w.Uint16(1) // version
		w.Uint16(uint16(l.suite))
		w.Bytes(groupID)
		w.Uint64(1)
		w.Bytes(l.hash)
		w.Bytes(make([]byte, l.p.secret)) // confirmed transcript hash
		w.Bytes(nil)                      // extensions
	})
	joiner := l.random()
	member, err := hkdf.Extract(l.p.hash, make([]byte, l.p.secret), joiner) // no pre-shared key
	if err != nil {
		return nil, err
	}
	tag := hmac.New(l.p.hash, l.expand(l.expand(member, "epoch", context, l.p.secret), "confirm", nil, l.p.secret))
	tag.Write(make([]byte, l.p.secret))
	info, err := l.groupInfo(context, tag.Sum(nil))
	if err != nil {
		return nil, err
	}
	welcome := l.expand(member, "welcome", nil, l.p.secret)
	aead, err := l.p.newAEAD(l.expand(welcome, "key", nil, l.p.key))
	if err != nil {
		return nil, err
	}
	sealed := aead.Seal(nil, l.expand(welcome, "nonce", nil, aead.NonceSize()), info, nil)
	secrets := written(func(w *wire.Writer) {
		w.Bytes(joiner)
		w.Bool(false) // path secret
		w.Bytes(nil)  // pre-shared keys
	})
	key, err := l.p.kem.NewPublicKey(kp.InitKey())
	if err != nil {
		return nil, err
	}
	enc, sender, err := hpke.NewSender(key, l.p.kdf, l.p.aead, written(func(w *wire.Writer) {
		w.Bytes([]byte("MLS 1.0 Welcome"))
		w.Bytes(sealed)
	}))
	if err != nil {
		return nil, err
	}
	secrets, err = sender.Seal(nil, secrets)
	return written(func(w *wire.Writer) {
		w.Uint16(1) // version
		w.Uint16(3) // welcome
		w.Uint16(uint16(l.suite))
		w.Nested(func(w *wire.Writer) {
			w.Bytes(kp.Ref())
			w.Bytes(enc)
			w.Bytes(secrets)
		})
		w.Bytes(sealed)
	}), err
}

// groupInfo is signed by the member at the third leaf.
func (l *layout) groupInfo(context, tag []byte) ([]byte, error) {
	const signer = 2
	unsigned := written(func(w *wire.Writer) {
		w.Raw(context)
		w.Bytes(nil) // extensions
		w.Bytes(tag)
		w.Uint32(signer)
	})
	signature, err := l.people[signer].Sign("GroupInfoTBS", unsigned)
	return written(func(w *wire.Writer) {
		w.Raw(unsigned)
		w.Bytes(signature)
	}), err
}

// expand is ExpandWithLabel (section 8).
func (l *layout) expand(secret []byte, label string, context []byte, length int) []byte {
	out, err := hkdf.Expand(l.p.hash, secret, string(written(func(w *wire.Writer) {
		w.Uint16(uint16(length))
		w.Bytes([]byte("MLS 1.0 " + label))
		w.Bytes(context)
	})), length)
	if err != nil {
		panic("bench: hkdf: " + err.Error()) // more than 255 hashes
	}
	return out
}
