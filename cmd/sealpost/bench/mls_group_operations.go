package bench

import (
	"crypto/rand"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// shortMessage is the message of the encrypt and decrypt figures, in bytes.
const shortMessage = 256

// burst is how many messages are measured in one go.
const burst = 100

func joinGroup(q mlsRequest) (operation, error) {
	f := fixture{q.Fixture}
	welcome, err := f.read(welcomeFile)
	if err != nil {
		return operation{}, err
	}
	tree, err := f.read(treeFile)
	if err != nil {
		return operation{}, err
	}
	stored, err := f.read(joinerFile)
	if err != nil {
		return operation{}, err
	}
	secrets, err := mls.UnmarshalKeyPackageSecrets(stored)
	if err != nil {
		return operation{}, err
	}
	now := time.Now()
	return operation{run: func() error {
		_, err := mls.Join(welcome, secrets, mls.JoinParams{Tree: tree, Now: now})
		return err
	}}, nil
}

func createPath(q mlsRequest) (operation, error) {
	g, err := fixture{q.Fixture}.readGroup(committerFile)
	if err != nil {
		return operation{}, err
	}
	return createOperation(g, time.Now()), nil
}

// followPath is for the mean of a near and a far receiver.
func followPath(q mlsRequest) (operation, error) { return follow(q, pathFile, nearFile, farFile) }

func followAdd(q mlsRequest) (operation, error) { return follow(q, addFile, nearFile) }

func follow(q mlsRequest, message string, members ...string) (operation, error) {
	f := fixture{q.Fixture}
	commit, err := f.read(message)
	if err != nil {
		return operation{}, err
	}
	groups := make([]*mls.Group, len(members))
	for i, name := range members {
		if groups[i], err = f.readGroup(name); err != nil {
			return operation{}, err
		}
	}
	return followOperation(commit, groups...), nil
}

func encryptMessage(q mlsRequest) (operation, error) {
	g, err := fixture{q.Fixture}.readGroup(committerFile)
	if err != nil {
		return operation{}, err
	}
	message := make([]byte, shortMessage)
	_, _ = rand.Read(message)
	return operation{each: burst, run: func() error {
		for range burst {
			if _, err := g.Encrypt(message, nil); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

func decryptMessage(q mlsRequest) (operation, error) {
	f := fixture{q.Fixture}
	sender, err := f.readGroup(committerFile)
	if err != nil {
		return operation{}, err
	}
	receiver, err := f.readGroup(nearFile)
	if err != nil {
		return operation{}, err
	}
	messages := make([][]byte, burst)
	return operation{
		each: burst,
		prepare: func() (err error) {
			for i := range messages {
				if messages[i], err = sender.Encrypt(make([]byte, shortMessage), nil); err != nil {
					return err
				}
			}
			return nil
		},
		run: func() error {
			for _, m := range messages {
				if _, err := receiver.Process(m); err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}

// storeMessage counts what a member stores for a message, one sent and one received in turn.
func storeMessage(q mlsRequest) (operation, error) {
	f := fixture{q.Fixture}
	peer, err := f.readGroup(committerFile)
	if err != nil {
		return operation{}, err
	}
	member, err := f.readGroup(nearFile)
	if err != nil {
		return operation{}, err
	}
	stored, times := 0, 0
	save := func() {
		for _, r := range member.Save() {
			stored += len(r.Key) + len(r.Value)
		}
		member.Saved()
		times++
	}
	return operation{
		each: 2,
		run: func() error {
			message, err := peer.Encrypt(make([]byte, shortMessage), nil)
			if err != nil {
				return err
			}
			if _, err := member.Process(message); err != nil {
				return err
			}
			save()
			if _, err := member.Encrypt(make([]byte, shortMessage), nil); err != nil {
				return err
			}
			save()
			return nil
		},
		stored: func() int { return stored / max(1, times) },
	}, nil
}

// verifyOne is one signature verification.
func verifyOne(q mlsRequest) (operation, error) {
	verify, err := verification(q.Suite, signed)
	return operation{each: burst, run: func() error {
		for range burst {
			if err := verify(); err != nil {
				return err
			}
		}
		return nil
	}}, err
}

// verifyAll is the verification of every leaf's signature, as many bytes under each, on all
// processors.
func verifyAll(q mlsRequest) (operation, error) {
	leaf, err := fixture{q.Fixture}.read(leafFile)
	if err != nil {
		return operation{}, err
	}
	verify, err := verification(q.Suite, leaf)
	return operation{run: func() error {
		return inParallel(q.Members, func(int) error { return verify() })
	}}, err
}

func verification(s mls.Suite, message []byte) (verify func() error, err error) {
	p, err := primitivesOf(s)
	if err != nil {
		return nil, err
	}
	signature, err := p.signature.Sign("bench", message)
	public := p.signature.Public()
	return func() error { return s.Verify(public, "bench", message, signature) }, err
}

// pathFloor is the cryptography of a commit with a path that RFC 9420 leaves no way around:
// an HPKE seal for each node below the path that has a key, key pairs for the path and the
// leaf, and two signatures.
func pathFloor(q mlsRequest) (operation, error) {
	p, err := primitivesOf(q.Suite)
	return operation{run: func() error {
		if err := p.derive(pathLength(q.Members)); err != nil {
			return err
		}
		if _, err := p.kem.GenerateKey(); err != nil {
			return err
		}
		if err := inParallel(q.seals(), func(int) error { return p.seal() }); err != nil {
			return err
		}
		return p.sign(2)
	}}, err
}

// seals is how many ciphertexts a commit with a path has.
func (q mlsRequest) seals() int {
	if q.Populated {
		return pathLength(q.Members) // one key stands for all below it
	}
	return q.Members - 1
}
