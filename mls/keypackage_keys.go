package mls

// PrivateKeys returns the private keys of the package in their suite's encoding: of the init
// key, of the leaf's encryption key and of the signature key. They are for test vectors and
// for another implementation that is to take the package over; [KeyPackageSecrets.MarshalBinary]
// is for storage.
func (k *KeyPackageSecrets) PrivateKeys() (initKey, leafKey, signatureKey []byte, err error) {
	if initKey, err = k.initKey.key.Bytes(); err != nil {
		return nil, nil, nil, err
	}
	if leafKey, err = k.leafKey.key.Bytes(); err != nil {
		return nil, nil, nil, err
	}
	signatureKey, err = k.signatureKey.MarshalBinary()
	return initKey, leafKey, signatureKey, err
}
