package mls

import (
	"testing"
)

// messageProtectionVectors protect each content once in each way, as leaf 1 of two.
func messageProtectionVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	ctx := &groupContext{suite: s.id, groupID: drawn(16), epoch: 0x1234, treeHash: drawn(s.nh), confirmedTranscriptHash: drawn(s.nh)}
	key := signatureKeyOf(t, s.id)
	encryptionSecret, senderDataSecret, membershipKey := secret(drawn(s.nh)), secret(drawn(s.nh)), secret(drawn(s.nh))
	sign := func(format uint16, c framedContent) *authenticatedContent {
		c.groupID, c.epoch, c.sender, c.authenticatedData = ctx.groupID, ctx.epoch, fromMember(1), drawn(10)
		a := &authenticatedContent{wireFormat: format, content: &c}
		if c.contentType == contentCommit {
			a.auth.confirmationTag = drawn(s.nh)
		}
		if err := a.sign(s, key, ctx); err != nil {
			t.Fatal(err)
		}
		return a
	}
	public := func(c framedContent) []byte {
		m := must(protectPublic(s, sign(wireFormatPublic, c), ctx, membershipKey))(t)
		return encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage)
	}
	private := func(c framedContent) []byte {
		st := must(newSecretTree(s, 2, encryptionSecret).seekNext(1, c.contentType))(t)
		m := must(protectPrivate(s, sign(wireFormatPrivate, c), senderDataSecret, st.key, 5))(t)
		return encode(&message{wireFormat: wireFormatPrivate, private: m}, writeMessage)
	}
	proposed := framedContent{contentType: contentProposal, proposal: &proposal{kind: proposalRemove, remove: 0}}
	committed := framedContent{contentType: contentCommit, commit: smallCommit(s)}
	said := framedContent{contentType: contentApplication, application: drawn(50)}
	return []jsonObject{{
		{"cipher_suite", s.id},
		{"group_id", ctx.groupID}, {"epoch", ctx.epoch}, {"tree_hash", ctx.treeHash},
		{"confirmed_transcript_hash", ctx.confirmedTranscriptHash},
		{"signature_priv", key.key()}, {"signature_pub", key.pub},
		{"encryption_secret", encryptionSecret}, {"sender_data_secret", senderDataSecret}, {"membership_key", membershipKey},
		{"proposal", encode(proposed.proposal, writeProposal)},
		{"proposal_pub", public(proposed)}, {"proposal_priv", private(proposed)},
		{"commit", encode(committed.commit, writeCommit)},
		{"commit_pub", public(committed)}, {"commit_priv", private(committed)},
		{"application", said.application}, {"application_priv", private(said)},
	}}
}

func welcomeVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	g := vectorGroup(t, s, "a", nil)
	kp, secrets := vectorKeyPackage(t, s, "b")
	_, welcome := vectorCommit(t, nil, g, CommitParams{Add: []*KeyPackage{kp}})
	return []jsonObject{{
		{"cipher_suite", s.id},
		{"init_priv", mustPrivate(secrets.initKey)}, {"signer_pub", g.at.signatureKey.pub},
		{"key_package", keyPackageMessage(kp)}, {"welcome", welcome},
	}}
}

// messagesVectors are messages of one group, and proposals that nobody made.
func messagesVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	groups := vectorMembers(t, s, 2)
	g := groups[0]
	kp, _ := vectorKeyPackage(t, s, "c")
	body := func(p proposal) []byte { return encode(&p, writeProposalBody) }
	external := preSharedKeyID{kind: pskExternal, id: drawn(8), nonce: drawn(s.nh)}
	resumption := preSharedKeyID{kind: pskResumption, usage: usageApplication, groupID: g.ID(), epoch: 1, nonce: drawn(s.nh)}
	extensions := []Extension{
		{Type: ExtensionRequiredCapabilities, Data: encodeRequired(requiredCapabilities{credentials: []CredentialType{CredentialBasic}})},
		{Type: ExtensionExternalSenders, Data: EncodeExternalSenders([]ExternalSender{
			{SignatureKey: signatureKeyOf(t, s.id).pub, Credential: basic("outside")},
		})},
	}
	kemOutput, _, err := s.sendInit(must(g.at.externalKey())(t).pub)
	if err != nil {
		t.Fatal(err)
	}
	proposed := must(g.Propose(ProposalParams{Remove: new(LeafIndex(1)), AAD: drawn(10), Public: true}))(t)
	said := must(g.Encrypt(drawn(50), drawn(10)))(t)
	committed := must(g.Commit(CommitParams{Add: []*KeyPackage{kp}, Path: true, Public: true, Now: testNow}))(t)
	return []jsonObject{{
		{"mls_welcome", must(CombineWelcomes(committed.Welcomes()))(t)},
		{"mls_group_info", must(g.at.GroupInfo(GroupInfoParams{ExternalPub: true}))(t)},
		{"mls_key_package", keyPackageMessage(kp)},
		{"ratchet_tree", g.RatchetTree()},
		{"group_secrets", encode(&groupSecrets{
			joinerSecret: drawn(s.nh), pathSecret: drawn(s.nh), psks: []preSharedKeyID{external, resumption},
		}, writeGroupSecrets)},
		{"add_proposal", body(proposal{kind: proposalAdd, add: kp})},
		{"update_proposal", body(*updateWith(t, groups[1], func(*leafNode) {}))},
		{"remove_proposal", body(proposal{kind: proposalRemove, remove: 1})},
		{"pre_shared_key_proposal", body(proposal{kind: proposalPSK, psk: &resumption})},
		{"re_init_proposal", body(proposal{kind: proposalReInit, reInit: &ReInit{
			GroupID: drawn(16), Version: versionMLS10, Suite: s.id, Extensions: extensions[:1],
		}})},
		{"external_init_proposal", body(proposal{kind: proposalExternalInit, externalInit: kemOutput})},
		{"group_context_extensions_proposal", body(proposal{kind: proposalGroupExtensions, extensions: extensions})},
		{"commit", encode(must(parse(committed.Message(), readMessage))(t).public.content.commit, writeCommit)},
		{"public_message_application", clearApplication(t, g)},
		{"public_message_proposal", proposed},
		{"public_message_commit", committed.Message()},
		{"private_message", said},
	}}
}

// clearApplication is application data in the clear: it decodes, and must not be accepted.
func clearApplication(t *testing.T, g *Group) []byte {
	t.Helper()
	c := g.content(contentApplication, drawn(10))
	c.application = drawn(50)
	a := &authenticatedContent{wireFormat: wireFormatPublic, content: c}
	if err := a.sign(g.at.suite, g.at.signatureKey, g.at.ctx); err != nil {
		t.Fatal(err)
	}
	m := &publicMessage{content: c, auth: a.auth, membershipTag: g.at.suite.mac(g.at.secrets.membershipKey, a.tbm(g.at.ctx))}
	return encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage)
}
