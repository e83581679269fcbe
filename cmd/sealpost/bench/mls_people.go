package bench

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// person is somebody who can be added.
type person struct {
	signature mls.SignaturePrivateKey
	package_  *mls.KeyPackage
	secrets   *mls.KeyPackageSecrets
}

func named(name string) mls.Credential {
	return mls.Credential{Type: mls.CredentialBasic, Identity: []byte(name)}
}

func newPerson(s mls.Suite, name string, now time.Time) (p person, err error) {
	if p.signature, err = s.GenerateSignatureKey(); err != nil {
		return p, err
	}
	p.package_, p.secrets, err = mls.NewKeyPackage(mls.KeyPackageConfig{
		Suite: s, Credential: named(name), SignatureKey: p.signature,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	})
	return p, err
}

func newPeople(s mls.Suite, n int, now time.Time) ([]person, error) {
	people := make([]person, n)
	err := inParallel(n, func(i int) (err error) {
		people[i], err = newPerson(s, fmt.Sprintf("member %d", i+1), now)
		return err
	})
	return people, err
}

// inParallel calls do for 0 to n-1, on every processor, and returns one of the errors.
func inParallel(n int, do func(int) error) error {
	workers := min(n, runtime.GOMAXPROCS(0))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				errs[w] = do(i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// newGroup makes a group of one.
func newGroup(s mls.Suite, now time.Time) (*mls.Group, error) {
	key, err := s.GenerateSignatureKey()
	if err != nil {
		return nil, err
	}
	return mls.NewGroup(mls.GroupConfig{Suite: s, GroupID: groupID, Credential: named("member 0"), SignatureKey: key, Now: now})
}

// addAll adds people in one commit without a path, merges it and returns the invitations.
func addAll(g *mls.Group, people []person, now time.Time) ([]mls.Welcome, error) {
	add := mls.CommitParams{Now: now}
	for _, p := range people {
		add.Add = append(add.Add, p.package_)
	}
	c, err := g.Commit(add)
	if err != nil {
		return nil, err
	}
	return c.Welcomes(), g.Merge(c)
}

// freshGroup makes a group by one bulk add.
func freshGroup(s mls.Suite, members int) (*largeGroup, error) {
	g := &largeGroup{now: time.Now()}
	people, err := newPeople(s, members-1, g.now)
	if err != nil {
		return nil, err
	}
	if g.committer, err = newGroup(s, g.now); err != nil {
		return nil, err
	}
	welcomes, err := addAll(g.committer, people, g.now)
	if err != nil {
		return nil, err
	}
	g.tree, g.welcome, g.joiner = g.committer.RatchetTree(), welcomes[0].Message, people[0].secrets
	last := len(people) - 1
	if g.near, err = mls.Join(g.welcome, g.joiner, mls.JoinParams{Tree: g.tree, Now: g.now}); err != nil {
		return nil, err
	}
	if g.far, err = mls.Join(welcomes[last].Message, people[last].secrets, mls.JoinParams{Tree: g.tree, Now: g.now}); err != nil {
		return nil, err
	}
	return g, g.complete(s)
}
