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
	people, err := newPeople(s, members-1, f.now)
	if err != nil {
		return nil, err
	}
	if f.group, err = newGroup(s, f.now); err != nil {
		return nil, err
	}
	welcomes, err := addAll(f.group, people, f.now)
	if err != nil {
		return nil, err
	}
	f.welcome, f.secrets = welcomes[0], people[0].secrets
	return f, nil
}

func (f *founded) join() (*mls.Group, error) {
	return mls.Join(f.welcome.Message, f.secrets, mls.JoinParams{Tree: f.group.RatchetTree(), Now: f.now})
}

func commitOperation(q mlsRequest) (operation, error) {
	f, err := found(q.Suite, q.Members)
	if err != nil {
		return operation{}, err
	}
	return createOperation(f.group, f.now), nil
}

// createOperation makes a commit with a path, again and again in the same epoch.
func createOperation(in *mls.Group, now time.Time) operation {
	var g *mls.Group
	return operation{
		prepare: func() error { g = in.Clone(); return nil },
		run: func() error {
			_, err := g.Commit(mls.CommitParams{Path: true, Now: now})
			return err
		},
	}
}

func processOperation(q mlsRequest) (operation, error) {
	f, err := found(q.Suite, q.Members)
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
	return followOperation(c.Message(), member), nil
}

// followOperation has each member check and follow a commit, which changes none of them.
func followOperation(message []byte, members ...*mls.Group) operation {
	return operation{each: len(members), run: func() error {
		for _, g := range members {
			received, err := g.Process(message)
			if err != nil {
				return err
			}
			if _, ok := received.(*mls.StagedCommit); !ok {
				return fmt.Errorf("a commit was taken for %T", received)
			}
		}
		return nil
	}}
}

func protectOperation(q mlsRequest) (operation, error) {
	f, err := found(q.Suite, q.Members)
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
