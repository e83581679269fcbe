package bench

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// messageSize is the message of the protect figures, in bytes.
const messageSize = 1024

// founded is a group that somebody has just filled.
type founded struct {
	group   *mls.Group
	welcome mls.Welcome // of the first who was added, at leaf 1
	secrets *mls.KeyPackageSecrets
	now     time.Time
}

// found makes a group of so many members, all but the first added in one commit.
func found(s mls.Suite, members int) (*founded, error) {
	f := &founded{now: time.Now()}
	key, err := s.GenerateSignatureKey()
	if err != nil {
		return nil, err
	}
	name := func(i int) mls.Credential {
		return mls.Credential{Type: mls.CredentialBasic, Identity: fmt.Appendf(nil, "member %d", i)}
	}
	f.group, err = mls.NewGroup(mls.GroupConfig{Suite: s, GroupID: []byte("bench"), Credential: name(0), SignatureKey: key, Now: f.now})
	if err != nil {
		return nil, err
	}
	add := mls.CommitParams{Now: f.now}
	for i := 1; i < members; i++ {
		if key, err = s.GenerateSignatureKey(); err != nil {
			return nil, err
		}
		kp, secrets, err := mls.NewKeyPackage(mls.KeyPackageConfig{
			Suite: s, Credential: name(i), SignatureKey: key, NotBefore: f.now.Add(-time.Hour), NotAfter: f.now.Add(24 * time.Hour),
		})
		if err != nil {
			return nil, err
		}
		if i == 1 {
			f.secrets = secrets
		}
		add.Add = append(add.Add, kp)
	}
	c, err := f.group.Commit(add)
	if err != nil {
		return nil, err
	}
	for _, w := range c.Welcomes() {
		if w.Leaf == 1 {
			f.welcome = w
		}
	}
	return f, f.group.Merge(c)
}

func (f *founded) join() (*mls.Group, error) {
	return mls.Join(f.welcome.Message, f.secrets, mls.JoinParams{Tree: f.group.RatchetTree(), Now: f.now})
}

func commitOperation(s mls.Suite) (operation, error) {
	f, err := found(s, groupSize)
	if err != nil {
		return operation{}, err
	}
	var g *mls.Group
	return operation{
		prepare: func() error { g = f.group.Clone(); return nil },
		run: func() error {
			_, err := g.Commit(mls.CommitParams{Path: true, Now: f.now})
			return err
		},
	}, nil
}

func processOperation(s mls.Suite) (operation, error) {
	f, err := found(s, groupSize)
	if err != nil {
		return operation{}, err
	}
	member, err := f.join()
	if err != nil {
		return operation{}, err
	}
	c, err := f.group.Commit(mls.CommitParams{Path: true, Now: f.now})
	if err != nil {
		return operation{}, err
	}
	var g *mls.Group
	return operation{
		prepare: func() error { g = member.Clone(); return nil },
		run: func() error {
			received, err := g.Process(c.Message())
			if _, ok := received.(*mls.StagedCommit); err == nil && !ok {
				err = fmt.Errorf("a commit was taken for %T", received)
			}
			return err
		},
	}, nil
}

func protectOperation(s mls.Suite) (operation, error) {
	f, err := found(s, groupSize)
	if err != nil {
		return operation{}, err
	}
	message := make([]byte, messageSize)
	_, _ = rand.Read(message)
	return operation{run: func() error {
		_, err := f.group.Encrypt(message, nil)
		return err
	}}, nil
}

func joinOperation(s mls.Suite) (operation, error) {
	f, err := found(s, joinSize)
	if err != nil {
		return operation{}, err
	}
	return operation{run: func() error {
		_, err := f.join()
		return err
	}}, nil
}
