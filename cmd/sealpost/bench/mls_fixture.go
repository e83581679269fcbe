package bench

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/mls"
)

// A fixture is a large group in one epoch, stored in a folder: three members, and messages
// to it. It is made once a run, in a process of its own, and lent to all sides.
//
// In a fresh tree all but the first member were just added by one commit: no inner node has
// a key. In a populated one every member has committed once: every inner node has one.
type fixture struct{ dir string }

// Files of a fixture.
const (
	committerFile = "committer" // at leaf 0
	nearFile      = "near"      // at leaf 1: shares all inner nodes with the committer
	farFile       = "far"       // at the last leaf: shares the root alone
	pathFile      = "path"      // commit with a path, made by the committer
	addFile       = "add"       // commit that adds one member, without a path, made by the committer
	welcomeFile   = "welcome"   // for joiner
	treeFile      = "tree"      // for joiner
	joinerFile    = "joiner"    // secrets of its KeyPackage
	leafFile      = "leaf"      // as many bytes as a leaf's signature covers
)

// group returns the folder of a fixture, and makes it if this run has not.
func (b *bench) group(ctx context.Context, s mls.Suite, members int, populated bool) (string, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("group-%d-%d-%t", s, members, populated))
	if _, err := os.Stat(filepath.Join(dir, leafFile)); err == nil {
		return dir, nil // it is written last
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	err := b.with(ctx, "mls", func(child *measure.Child) error {
		_, err := askMLS(child, mlsRequest{Operation: "group", Suite: s, Members: members, Populated: populated, Fixture: dir})
		return err
	})
	return dir, err
}

// makeFixture makes the group and stores it. There is nothing in it to measure.
func makeFixture(q mlsRequest) (operation, error) {
	build := freshGroup
	if q.Populated {
		build = populatedGroup
	}
	g, err := build(q.Suite, q.Members)
	if err != nil {
		return operation{}, err
	}
	return operation{}, g.store(fixture{q.Fixture})
}

// largeGroup is what a fixture stores.
type largeGroup struct {
	now                  time.Time
	committer, near, far *mls.Group // in one epoch
	welcome              []byte     // of this epoch or of the one that begins with add
	tree                 []byte     // of the same
	joiner               *mls.KeyPackageSecrets
	path, add            []byte
	leaf                 int // bytes
}

// complete makes the commits.
func (g *largeGroup) complete(s mls.Suite) error {
	path, err := g.committer.Clone().Commit(mls.CommitParams{Path: true, Now: g.now})
	if err != nil {
		return err
	}
	who, err := newPerson(s, "newcomer", g.now)
	if err != nil {
		return err
	}
	adder := g.committer.Clone()
	add, err := adder.Commit(mls.CommitParams{Add: []*mls.KeyPackage{who.package_}, Now: g.now})
	if err != nil {
		return err
	}
	g.path, g.add = path.Message(), add.Message()
	g.leaf = len(who.package_.Bytes()) - len(who.package_.InitKey())
	if g.welcome != nil {
		return nil
	}
	if err := adder.Merge(add); err != nil {
		return err
	}
	g.welcome, g.tree, g.joiner = add.Welcomes()[0].Message, adder.RatchetTree(), who.secrets
	return nil
}

func (g *largeGroup) store(f fixture) error {
	secrets, err := g.joiner.MarshalBinary()
	if err != nil {
		return err
	}
	return errors.Join(
		f.writeGroup(committerFile, g.committer), f.writeGroup(nearFile, g.near), f.writeGroup(farFile, g.far),
		f.write(pathFile, g.path), f.write(addFile, g.add),
		f.write(welcomeFile, g.welcome), f.write(treeFile, g.tree), f.write(joinerFile, secrets),
		f.write(leafFile, make([]byte, g.leaf)),
	)
}

func (f fixture) write(name string, b []byte) error {
	return os.WriteFile(filepath.Join(f.dir, name), b, 0o600)
}

func (f fixture) read(name string) ([]byte, error) { return os.ReadFile(filepath.Join(f.dir, name)) }

func (f fixture) writeGroup(name string, g *mls.Group) error {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(g.Save())
	g.Saved()
	return errors.Join(err, f.write(name, b.Bytes()))
}

func (f fixture) readGroup(name string) (*mls.Group, error) {
	b, err := f.read(name)
	if err != nil {
		return nil, err
	}
	var records []mls.Record
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&records); err != nil {
		return nil, err
	}
	return mls.LoadGroup(records, mls.Application{})
}
