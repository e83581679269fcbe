package mls

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestJoinerJudgesExternalSenders: who may propose from outside is among what a joiner has its
// application judge (RFC 9420 section 5.3.1).
func TestJoinerJudgesExternalSenders(t *testing.T) {
	a := newGroup(t, "a")
	senders := EncodeExternalSenders([]ExternalSender{{SignatureKey: signatureKey(t).Public(), Credential: basic("server")}})
	es := []Extension{{Type: testExtension}, {Type: ExtensionExternalSenders, Data: senders}}
	kp, secrets := keyPackage(t, "b")
	c := must(a.Commit(CommitParams{Add: []*KeyPackage{kp}, Extensions: &es, Now: testNow}))(t)
	r := &recorder{refuse: CredentialExternalSenderAdded}
	p := JoinParams{Tree: c.Next().RatchetTree(), Now: testNow, Application: Application{Credentials: r}}
	_, err := Join(c.Welcomes()[0].Message, secrets, p)
	wantRule(t, "joining", err, "extension.external-senders")
	if !errors.Is(err, errRefused) {
		t.Errorf("joining: %v, want the validator's error", err)
	}
	r.refuse = 0
	must(Join(c.Welcomes()[0].Message, secrets, p))(t)

	next := c.Next()
	info := must(next.groupInfo(GroupInfoParams{}))(t)
	info.context = new(*info.context)
	info.context.extensions = []Extension{{Type: ExtensionExternalSenders, Data: []byte{9}}}
	if err := info.sign(next.suite, next.signatureKey); err != nil {
		t.Fatal(err)
	}
	wantRule(t, "broken list", checkJoin(next.tree, info, nil, time.Time{}), "extension.external-senders")
}

// TestLeafExtensionsAreRead: what this package understands in a leaf must parse.
func TestLeafExtensionsAreRead(t *testing.T) {
	for rule, e := range unreadable {
		wantRule(t, "leaf", withLeafExtension(t, e).Verify(testNow, nil), rule)
	}
}

// unreadable are extensions that do not parse.
var unreadable = map[string]Extension{
	"extension.wire-formats": {Type: ExtensionSupportedWireFormats, Data: []byte{3}},
	"components.dictionary":  {Type: ExtensionAppDataDictionary, Data: []byte{1, 2}},
}

// withLeafExtension is a KeyPackage that announces e and has it.
func withLeafExtension(t tb, e Extension) *KeyPackage {
	t.Helper()
	return forge(t, DefaultSuite, func(_ *KeyPackage, l *leafNode) {
		l.extensions = []Extension{e}
		l.capabilities.extensions = append(slices.Clone(l.capabilities.extensions), e.Type)
	})
}

// TestNothingIsSaidAfterReInit: in the epoch that a ReInit begins, public proposals are refused
// by members and by who follows from outside (section 12.4.2).
func TestNothingIsSaidAfterReInit(t *testing.T) {
	groups := trio(t)
	outside := must(NewPublicGroup(groupInfoFor(t, groups[0]), nil, Application{}))(t)
	c := must(groups[0].Commit(CommitParams{ReInit: reInitTo(DefaultSuite), Public: true}))(t)
	followed, ok := must(outside.Process(c.Message()))(t).(*PublicCommit)
	if !ok || outside.Merge(followed) != nil {
		t.Fatal("the public group does not follow")
	}
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	msg := forgedOpenly(t, groups[0], &proposal{kind: proposalRemove, remove: 2})
	wantRule(t, "member", untouched(t, "member", groups[1], msg), "group.reinit")
	wantRule(t, "from outside", second(outside.Process(msg)), "group.reinit")
}
