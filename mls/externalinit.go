package mls

import "github.com/sealpost/sealpost/internal/wire"

// externalInitLabel is the context of the HPKE exporter (RFC 9420 section 8.3).
const externalInitLabel = "MLS 1.0 external init secret"

// externalKey is the epoch's external key pair (section 8).
func (e *EpochView) externalKey() (*hpkePrivate, error) {
	return e.suite.deriveHPKE(e.secrets.external)
}

// parseExternalPub reads an external_pub extension (section 12.4.3.2): a key of the suite to
// which one can encrypt.
func (s *suite) parseExternalPub(data []byte) ([]byte, error) {
	pub, err := parse(data, (*wire.Reader).Bytes)
	if err != nil {
		return nil, brokenBy("groupinfo.external-pub", err, "does not parse")
	}
	if err := s.checkPublicKey(pub); err != nil {
		return nil, brokenBy("groupinfo.external-pub", err, "not a key of the suite")
	}
	return pub, nil
}

// sendInit makes an init secret for the group and the KEM output that carries it there.
func (s *suite) sendInit(externalPub []byte) (kemOutput []byte, init secret, err error) {
	return s.hpke.export(externalPub, []byte(externalInitLabel), s.nh)
}

// receiveInit is the group's side of sendInit.
func (s *suite) receiveInit(kemOutput []byte, key *hpkePrivate) (secret, error) {
	return key.key.export(kemOutput, []byte(externalInitLabel), s.nh)
}

// checkKEMOutput verifies that an init secret can be received from a KEM output, without the
// key to do so: what another key can be used on (however wrong the outcome), the right one
// can, since outputs that do not parse and points that agree on nothing fail with every key.
// A commit that no member at all could follow would otherwise pass the public checks.
func (s *suite) checkKEMOutput(kemOutput []byte) error {
	probe, err := s.deriveHPKE(make([]byte, s.nh))
	if err != nil {
		return err
	}
	if _, err := s.receiveInit(kemOutput, probe); err != nil {
		return brokenBy("external.init", err, "KEM output of %d bytes", len(kemOutput))
	}
	return nil
}
