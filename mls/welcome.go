package mls

import (
	"bytes"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// groupSecrets is GroupSecrets (RFC 9420 section 12.4.3.1).
type groupSecrets struct {
	joinerSecret secret
	pathSecret   secret // nil when the commit had no path
	psks         []preSharedKeyID

	pskSecret secret // not on the wire: what psks fold into
}

func writeGroupSecrets(w *wire.Writer, g *groupSecrets) {
	w.Bytes(g.joinerSecret)
	w.Bool(g.pathSecret != nil)
	if g.pathSecret != nil {
		w.Bytes(g.pathSecret)
	}
	wire.WriteVector(w, g.psks, writePreSharedKeyID)
}

func readGroupSecrets(r *wire.Reader) *groupSecrets {
	g := &groupSecrets{joinerSecret: r.Bytes()}
	if r.Bool() {
		g.pathSecret = r.Bytes()
	}
	g.psks = vectorUpTo(r, maxListed, readPreSharedKeyID)
	return g
}

// encryptedGroupSecrets is EncryptedGroupSecrets.
type encryptedGroupSecrets struct {
	newMember []byte // KeyPackageRef
	secrets   hpkeCiphertext
}

func writeEncryptedGroupSecrets(w *wire.Writer, e encryptedGroupSecrets) {
	w.Bytes(e.newMember)
	writeHPKECiphertext(w, e.secrets)
}

func readEncryptedGroupSecrets(r *wire.Reader) encryptedGroupSecrets {
	return encryptedGroupSecrets{newMember: r.Bytes(), secrets: readHPKECiphertext(r)}
}

// welcome is Welcome.
type welcome struct {
	suite              Suite
	secrets            []encryptedGroupSecrets
	encryptedGroupInfo []byte
}

func writeWelcome(w *wire.Writer, m *welcome) {
	w.Uint16(uint16(m.suite))
	wire.WriteVector(w, m.secrets, writeEncryptedGroupSecrets)
	w.Bytes(m.encryptedGroupInfo)
}

func readWelcome(r *wire.Reader) *welcome {
	return &welcome{
		suite: Suite(r.Uint16()), secrets: vectorUpTo(r, maxLeaves, readEncryptedGroupSecrets),
		encryptedGroupInfo: r.Bytes(),
	}
}

// CombineWelcomes makes one Welcome for all members that a commit adds out of those that it
// has for each of them, for a delivery service that hands out one. It holds the GroupInfo once,
// and names every KeyPackage. Without any it is nil; invitations of several commits, or bytes
// that are none, are [ErrMalformed].
func CombineWelcomes(ws []Welcome) ([]byte, error) {
	if len(ws) == 0 {
		return nil, nil
	}
	var all *welcome
	for _, w := range ws {
		m, err := parse(w.Message, readMessage)
		if err != nil {
			return nil, err
		}
		switch {
		case m.welcome == nil:
			return nil, fmt.Errorf("%w: wire format %d is no Welcome", ErrMalformed, m.wireFormat)
		case all == nil:
			all = m.welcome
		case !bytes.Equal(all.encryptedGroupInfo, m.welcome.encryptedGroupInfo):
			return nil, fmt.Errorf("%w: Welcomes of several commits", ErrMalformed)
		default:
			all.secrets = append(all.secrets, m.welcome.secrets...)
		}
	}
	return encode(&message{wireFormat: wireFormatWelcome, welcome: all}, writeMessage), nil
}

// groupInfoKey derives welcome_key and welcome_nonce.
func (s *suite) groupInfoKey(welcomeSecret secret) messageKey {
	return messageKey{
		key:   s.expandWithLabel(welcomeSecret, "key", nil, s.nk),
		nonce: s.expandWithLabel(welcomeSecret, "nonce", nil, s.nn),
	}
}

// checkWelcomePSKs verifies the pre-shared keys that a Welcome names: they stand for proposals
// of the commit behind it, which the joiner never sees. One of them may link the group to
// another one.
func (s *suite) checkWelcomePSKs(ids []preSharedKeyID) error {
	links := 0
	for _, id := range ids {
		if err := s.checkNonce(id); err != nil {
			return brokenBy("welcome.psk", err, "not to be committed")
		}
		if id.links() {
			links++
		}
	}
	if links > 1 {
		return broken("welcome.psk", "%d links to other groups", links)
	}
	if err := checkPSKList(ids); err != nil {
		return brokenBy("welcome.psk", err, "not to be committed")
	}
	return nil
}

// openWelcome decrypts the secrets meant for the KeyPackage of that reference, and with them
// the GroupInfo. Neither is verified yet.
func openWelcome(s *suite, m *welcome, ref []byte, initKey *hpkePrivate, find pskFinder) (*groupSecrets, *groupInfo, error) {
	var entry *encryptedGroupSecrets
	for i := range m.secrets {
		if string(m.secrets[i].newMember) == string(ref) {
			entry = &m.secrets[i]
			break
		}
	}
	if entry == nil {
		return nil, nil, ErrNotForUs
	}
	plain, err := s.decryptWithLabel(initKey, "Welcome", m.encryptedGroupInfo, entry.secrets)
	if err != nil {
		return nil, nil, brokenBy("welcome.secrets", ErrDecrypt, "group secrets")
	}
	secrets, err := parse(plain, readGroupSecrets)
	if err != nil {
		return nil, nil, err
	}
	if err := s.checkWelcomePSKs(secrets.psks); err != nil {
		return nil, nil, err
	}
	if secrets.pskSecret, err = findPSKs(s, find, secrets.psks); err != nil {
		return nil, nil, err
	}
	k := s.groupInfoKey(s.welcomeSecret(secrets.joinerSecret, secrets.pskSecret))
	plain, err = s.aeadOpen(k.key, k.nonce, nil, m.encryptedGroupInfo)
	if err != nil {
		return nil, nil, brokenBy("welcome.group-info", err, "encrypted group info")
	}
	info, err := parse(plain, readGroupInfo)
	if err != nil {
		return nil, nil, err
	}
	return secrets, info, nil
}
