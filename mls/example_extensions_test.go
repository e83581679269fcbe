package mls_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

// A group context carries the application's extensions, and says what every member must
// support.
func ExampleEncodeRequiredCapabilities() {
	const topic mls.ExtensionType = 0xf042 // for private use
	all := clients("alice", "bob", "carol")
	for i := range all[:2] {
		all[i].SupportedExtensions = []mls.ExtensionType{topic}
	}
	members := meet(mls.Application{}, all[:2])
	alice, bob := members[0], members[1]

	extensions := []mls.Extension{
		{Type: topic, Data: []byte("gardening")},
		{Type: mls.ExtensionRequiredCapabilities, Data: mls.EncodeRequiredCapabilities([]mls.ExtensionType{topic}, nil, nil)},
	}
	commit(alice, mls.CommitParams{Extensions: &extensions}, bob)
	data, _ := bob.GroupContextExtension(topic)
	fmt.Printf("%s\n", data)

	kp, _ := keyPackage(all[2])
	_, err := bob.Commit(mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: now})
	if broken, ok := errors.AsType[*mls.Error](err); ok {
		fmt.Println("carol cannot be added:", broken.Rule)
	}
	// Output:
	// gardening
	// carol cannot be added: group.extension-support
}

// journal is a component whose data grows by what each update says.
const journal mls.ComponentID = 0x8001

type journals struct{}

func (journals) UpdateAppData(id mls.ComponentID, current []byte, updates [][]byte) ([]byte, error) {
	if id != journal {
		return nil, errors.New("no such component")
	}
	return bytes.Join(append([][]byte{current}, updates...), nil), nil
}

// Components keep data in the group context. An AppDataUpdate says only what changes, and its
// commit needs no path.
func ExampleAppDataLogic() {
	all := clients("alice", "bob")
	for i := range all {
		all[i].SupportedExtensions = []mls.ExtensionType{mls.ExtensionAppDataDictionary}
		all[i].SupportedProposals = []mls.ProposalType{mls.ProposalAppDataUpdate}
		all[i].Components = []mls.ComponentID{journal}
	}
	members := meet(mls.Application{AppData: journals{}}, all)
	alice, bob := members[0], members[1]

	for _, day := range []string{"monday ", "tuesday"} {
		commit(alice, mls.CommitParams{AppData: []mls.AppDataUpdate{{Component: journal, Update: []byte(day)}}}, bob)
	}
	data, _ := bob.View().AppData(journal)
	fmt.Printf("%s\n", data)
	// Output: monday tuesday
}

// An application has proposals of its own, which all members announce and which mean what the
// application makes of them.
func ExampleCustomProposal() {
	const poll mls.ProposalType = 0xf0b1 // for private use
	all := clients("alice", "bob")
	for i := range all {
		all[i].SupportedProposals = []mls.ProposalType{poll}
	}
	members := meet(mls.Application{}, all)
	alice, bob := members[0], members[1]

	deliver(must(bob.Propose(mls.ProposalParams{Custom: &mls.CustomProposal{Type: poll, Data: []byte("tea?")}})), members...)
	staged := must(alice.Commit(mls.CommitParams{IncludePending: true}))
	seen := must(bob.Process(staged.Message())).(*mls.StagedCommit)
	fmt.Printf("%s\n", seen.Custom()[0].Data)
	// Output: tea?
}

// A member who leaves by a SelfRemove need not wait for another member: whoever comes in by an
// external commit takes it along.
func ExampleExternalParams_selfRemoves() {
	all := clients("alice", "bob", "carol")
	for i := range all {
		all[i].SupportedProposals = []mls.ProposalType{mls.ProposalSelfRemove}
	}
	members := meet(mls.Application{}, all[:2])
	alice, bob := members[0], members[1]
	info := must(alice.View().GroupInfo(mls.GroupInfoParams{Tree: true, ExternalPub: true}))
	leaves := must(bob.Propose(mls.ProposalParams{SelfRemove: true}))
	deliver(leaves, alice)

	_, msg, err := mls.JoinExternal(info, mls.ExternalParams{
		Credential: all[2].Credential, SignatureKey: all[2].SignatureKey,
		SupportedProposals: all[2].SupportedProposals, SelfRemoves: [][]byte{leaves}, Now: now,
	})
	check(err)
	deliver(msg, alice)
	fmt.Println(names(alice.Members()))
	// Output: [alice carol]
}

// A directory hands out each KeyPackage once, and one that is marked as the last resort again
// and again when no other is left.
func ExampleKeyPackage_LastResort() {
	c := client(mls.DefaultSuite, "bob")
	c.LastResort = true
	kp, secrets := keyPackage(c)
	fmt.Println(must(mls.ParseKeyPackage(kp.Bytes())).LastResort())

	for _, name := range []string{"alice", "carol"} {
		g := begin(client(mls.DefaultSuite, name), mls.Application{})
		staged := commit(g, mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: now})
		bob := must(mls.Join(staged.Welcomes()[0].Message, secrets, mls.JoinParams{Tree: g.RatchetTree(), Now: now}))
		fmt.Println(names(bob.Members()))
	}
	// Output:
	// true
	// [alice bob]
	// [carol bob]
}
