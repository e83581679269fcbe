package bench

import (
	"github.com/sealpost/sealpost/mls"
)

// The keys and ciphertexts of a post-quantum suite are thirty times as long as those of X25519,
// and MLS hashes all of them: the tree into its hash, a commit under its signature and into the
// transcript. A commit for a thousand members has more than a megabyte, and to hash it takes
// longer than all else. So what cannot be avoided is counted with its bytes here.

// heavy reports a suite whose figures count the bytes.
func heavy(s mls.Suite) bool { return s != mls.SuiteX25519AES128Ed25519 }

// hashed hashes so many bytes with the suite's hash.
func (p primitives) hashed(bytes int) {
	h, chunk := p.hash(), make([]byte, 4096)
	for ; bytes > 0; bytes -= len(chunk) {
		h.Write(chunk[:min(bytes, len(chunk))])
	}
	h.Sum(nil)
}

// withBytes returns the suite's primitives, and what of the fixture goes through them.
func withBytes(q mlsRequest, file string) (p primitives, b []byte, err error) {
	if p, err = primitivesOf(q.Suite); err != nil {
		return p, nil, err
	}
	b, err = fixture{q.Fixture}.read(file)
	return p, b, err
}

// joinFloor is verifyAll, and the hashes of the tree: every node once into the tree hash, and the
// keys of inner nodes once more into the parent hashes.
func joinFloor(q mlsRequest) (operation, error) {
	p, tree, err := withBytes(q, treeFile)
	if err != nil {
		return operation{}, err
	}
	bytes := len(tree)
	if q.Populated {
		bytes += (q.Members - 1) * len(p.private.PublicKey().Bytes())
	}
	verify, err := verifyAll(q)
	return operation{run: func() error {
		p.hashed(bytes)
		return verify.run()
	}}, err
}

// createFloor is pathFloor, but each seal is to a key that is given as bytes, as those of a tree
// are, and one of the signatures is over the commit, which also goes through the transcript's
// hash and the AEAD.
func createFloor(q mlsRequest) (operation, error) {
	p, commit, err := withBytes(q, pathFile)
	if err != nil {
		return operation{}, err
	}
	to := p.private.PublicKey().Bytes()
	seal := func(int) error {
		key, err := p.kem.NewPublicKey(to)
		if err != nil {
			return err
		}
		return p.sealTo(key)
	}
	return operation{run: func() error {
		if err := p.derive(pathLength(q.Members)); err != nil {
			return err
		}
		if _, err := p.kem.GenerateKey(); err != nil {
			return err
		}
		if err := inParallel(q.seals(), seal); err != nil {
			return err
		}
		if err := p.sign(1); err != nil {
			return err
		}
		if _, err := p.signature.Sign("bench", commit); err != nil {
			return err
		}
		p.hashed(len(commit))
		aead, err := p.newAEAD(make([]byte, p.key))
		if err != nil {
			return err
		}
		aead.Seal(nil, make([]byte, aead.NonceSize()), commit, nil)
		return nil
	}}, nil
}

// followFloor is the cryptography of following that commit, as the mean of a near member, who
// derives the whole path, and a far one, who derives its end: the AEAD, the signatures of
// commit and leaf, the transcript's hash, and one HPKE open.
func followFloor(q mlsRequest) (operation, error) {
	p, commit, err := withBytes(q, pathFile)
	if err != nil {
		return operation{}, err
	}
	verifyLeaf, err := verification(q.Suite, signed)
	if err != nil {
		return operation{}, err
	}
	verifyCommit, err := verification(q.Suite, commit)
	if err != nil {
		return operation{}, err
	}
	open, err := p.opening()
	if err != nil {
		return operation{}, err
	}
	aead, err := p.newAEAD(make([]byte, p.key))
	if err != nil {
		return operation{}, err
	}
	nonce := make([]byte, aead.NonceSize())
	encrypted := aead.Seal(nil, nonce, commit, nil)
	follow := func(derived int) error {
		if _, err := aead.Open(nil, nonce, encrypted, nil); err != nil {
			return err
		}
		p.hashed(len(commit))
		for _, step := range []func() error{verifyCommit, verifyLeaf, open} {
			if err := step(); err != nil {
				return err
			}
		}
		return p.derive(derived)
	}
	return operation{each: 2, run: func() error {
		if err := follow(pathLength(q.Members)); err != nil {
			return err
		}
		return follow(1)
	}}, nil
}
