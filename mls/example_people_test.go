package mls_test

import (
	"time"

	"github.com/sealpost/sealpost/mls"
)

// What the examples share: people with one client each, groups of them, and a delivery of
// messages that loses nothing. The first error ends an example.

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

// client is what somebody puts into a KeyPackage, with a fresh signature key.
func client(suite mls.Suite, name string) mls.KeyPackageConfig {
	return mls.KeyPackageConfig{
		Suite: suite, SignatureKey: must(suite.GenerateSignatureKey()),
		Credential: mls.Credential{Type: mls.CredentialBasic, Identity: []byte(name)},
		NotBefore:  now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
}

// clients are several in the default suite.
func clients(names ...string) []mls.KeyPackageConfig {
	var out []mls.KeyPackageConfig
	for _, name := range names {
		out = append(out, client(mls.DefaultSuite, name))
	}
	return out
}

// keyPackage publishes one.
func keyPackage(c mls.KeyPackageConfig) (*mls.KeyPackage, *mls.KeyPackageSecrets) {
	kp, secrets, err := mls.NewKeyPackage(c)
	check(err)
	return kp, secrets
}

// begin makes a group of one client.
func begin(c mls.KeyPackageConfig, app mls.Application, extensions ...mls.Extension) *mls.Group {
	return must(mls.NewGroup(mls.GroupConfig{
		Suite: c.Suite, GroupID: []byte("example"), Credential: c.Credential, SignatureKey: c.SignatureKey,
		LeafExtensions: c.LeafExtensions, SupportedExtensions: c.SupportedExtensions,
		SupportedProposals: c.SupportedProposals, Components: c.Components,
		Extensions: extensions, Application: app, Now: now,
	}))
}

// add has a member of a group add one client more; the others follow.
func add(g *mls.Group, c mls.KeyPackageConfig, app mls.Application, others ...*mls.Group) *mls.Group {
	kp, secrets := keyPackage(c)
	staged := commit(g, mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: now}, others...)
	return must(mls.Join(staged.Welcomes()[0].Message, secrets, mls.JoinParams{
		Tree: g.RatchetTree(), Application: app, Now: now,
	}))
}

// meet is a group of clients, the first of which made it. All have the same application.
func meet(app mls.Application, all []mls.KeyPackageConfig) []*mls.Group {
	members := []*mls.Group{begin(all[0], app)}
	for _, c := range all[1:] {
		members = append(members, add(members[0], c, app, members[1:]...))
	}
	return members
}

// commit has a member commit, and the others follow.
func commit(g *mls.Group, p mls.CommitParams, others ...*mls.Group) *mls.StagedCommit {
	staged := must(g.Commit(p))
	deliver(staged.Message(), others...)
	check(g.Merge(staged))
	return staged
}

// deliver hands a message to members. Commits are merged.
func deliver(msg []byte, to ...*mls.Group) {
	for _, g := range to {
		if staged, ok := must(g.Process(msg)).(*mls.StagedCommit); ok {
			check(g.Merge(staged))
		}
	}
}

// read is an application message's text.
func read(g *mls.Group, msg []byte) string {
	return string(must(g.Process(msg)).(*mls.ApplicationMessage).Data)
}

func names(members []mls.Member) []string {
	var out []string
	for _, m := range members {
		out = append(out, string(m.Credential.Identity))
	}
	return out
}
