package mls

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// fingerprint is all of a group's state.
func fingerprint(t tb, g *Group) []byte {
	t.Helper()
	var w wire.Writer
	for _, r := range stored(g) {
		w.Bytes([]byte(r.Key))
		w.Bytes(r.Value)
	}
	return must(w.Finish())(t)
}

// eachDamage calls try with every strict prefix, a trailing byte, and one flipped bit in
// every byte.
func eachDamage(msg []byte, try func(what string, at int, damaged []byte)) {
	for n := range msg {
		try("prefix", n, msg[:n])
	}
	try("trailing byte", len(msg), append(slices.Clone(msg), 0))
	for i := range msg {
		flipped := slices.Clone(msg)
		flipped[i] ^= 1 << (i % 8)
		try("flip", i, flipped)
	}
}

// TestDamagedMessages: whatever happens to a message on its way, it ends in an error that
// blames the message and leaves no trace; afterwards the true message is still accepted.
func TestDamagedMessages(t *testing.T) {
	groups := trio(t)
	proposal := must(groups[1].Propose(ProposalParams{Update: true}))(t)
	application := must(groups[0].Encrypt([]byte("hello"), []byte("aad")))(t)
	kp, _ := keyPackage(t, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Remove: []LeafIndex{1}, Now: testNow}))(t)
	victim := groups[2]
	for name, msg := range map[string][]byte{
		"application": application, "proposal": proposal, "commit": c.Message(), "public commit": publicCommit(t, groups[0]),
		"external commit": publicBytes(hackExternal(t, groupInfoFor(t, groups[0]), outsider(t, DefaultSuite, "e"), func(*externalBuilder) {})),
	} {
		before := fingerprint(t, victim)
		eachDamage(msg, func(what string, at int, damaged []byte) {
			_, err := victim.Process(damaged)
			// Nothing but the secrets covers an external commit's confirmation tag.
			tag := name == "external commit" && what == "flip" && at >= len(msg)-victim.at.suite.nh
			if err == nil || errors.Is(err, ErrCannotFollow) != tag {
				t.Errorf("%s with %s at %d: %v", name, what, at, err)
			}
		})
		if !bytes.Equal(fingerprint(t, victim), before) {
			t.Errorf("a damaged %s left a trace", name)
		}
		if _, err := victim.Clone().Process(msg); err != nil {
			t.Errorf("%s after its damaged copies: %v", name, err)
		}
	}
}

// publicCommit is an empty commit as PublicMessage.
func publicCommit(t tb, g *Group) []byte {
	t.Helper()
	return must(hack(t, g.Clone(), nil, nil, wireFormatPublic, nil))(t)
}

// hack makes a commit of g that skips every check on the way. The list is committed by
// value; edit may change the commit before it is signed, and retag its confirmation tag.
func hack(t tb, g *Group, list []*proposal, edit func(*commitBuilder), format uint16, retag func([]byte) []byte) ([]byte, error) {
	t.Helper()
	b, commitSecret := assembled(t, g, list)
	if edit != nil {
		edit(b)
	}
	s := g.at.suite
	content := g.content(contentCommit, nil)
	content.commit = b.commit
	a := &authenticatedContent{wireFormat: format, content: content}
	if err := a.sign(s, g.at.signatureKey, g.at.ctx); err != nil {
		return nil, err
	}
	next := &EpochView{PublicView: &PublicView{suite: s, tree: b.plan.tree, ctx: b.plan.nextContext(a)}}
	joiner := s.joinerSecret(g.at.secrets.init, commitSecret, next.ctx)
	next.begin(s.epochSecret(joiner, s.pskSecret(nil, nil), next.ctx))
	a.auth.confirmationTag = s.mac(next.secrets.confirmationKey, next.ctx.confirmedTranscriptHash)
	if retag != nil {
		a.auth.confirmationTag = retag(a.auth.confirmationTag)
	}
	if format == wireFormatPrivate {
		return g.protect(a, 0)
	}
	m, err := protectPublic(s, a, g.at.ctx, g.at.secrets.membershipKey)
	if err != nil {
		return nil, err
	}
	return encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage), nil
}

// assembled is a commit of the list with a path that fits as much of it as may be, from its
// beginning: nothing is wrong with the rest but what the list itself breaks.
func assembled(t tb, g *Group, list []*proposal) (*commitBuilder, secret) {
	t.Helper()
	for n := len(list); n >= 0; n-- {
		var sound []listed
		for _, q := range list[:n] {
			sound = append(sound, listed{proposal: q, from: fromMember(g.at.own)})
		}
		pl, err := g.at.apply(sound, g.at.own, &Application{})
		if err != nil {
			continue
		}
		b := &commitBuilder{group: g, plan: pl, params: &CommitParams{Path: true, Now: testNow}, commit: new(commit)}
		commitSecret, err := b.assemble()
		if err != nil {
			continue
		}
		for _, q := range list[n:] {
			b.commit.proposals = append(b.commit.proposals, proposalOrRef{proposal: q})
		}
		return b, commitSecret
	}
	t.Fatal("not even an empty commit can be made")
	return nil, nil
}

func TestDamagedWelcomeAndTree(t *testing.T) {
	a := newGroup(t, "a")
	kp, secrets := keyPackage(t, "b")
	c := must(a.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow, Path: true}))(t)
	welcome, tree := c.Welcomes()[0].Message, c.Next().RatchetTree()
	eachDamage(welcome, func(what string, at int, damaged []byte) {
		if _, err := Join(damaged, secrets, JoinParams{Tree: tree, Now: testNow}); err == nil {
			t.Errorf("Welcome with %s at %d was accepted", what, at)
		}
	})
	eachDamage(tree, func(what string, at int, damaged []byte) {
		if _, err := Join(welcome, secrets, JoinParams{Tree: damaged, Now: testNow}); !errors.Is(err, ErrTreeMismatch) {
			t.Errorf("tree with %s at %d: %v, want ErrTreeMismatch", what, at, err)
		}
	})
	must(Join(welcome, secrets, JoinParams{Tree: tree, Now: testNow}))(t)
}

// TestB14_TreeOfAnotherEpoch: a server that hands out an older, other or no tree is found out.
func TestB14_TreeOfAnotherEpoch(t *testing.T) {
	groups := trio(t)
	old := groups[0].RatchetTree()
	kp, secrets := keyPackage(t, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	welcome := c.Welcomes()[0].Message
	for name, tree := range map[string][]byte{
		"older": old, "another group's": newGroup(t, "x").RatchetTree(), "none": nil, "empty": {},
	} {
		if _, err := Join(welcome, secrets, JoinParams{Tree: tree, Now: testNow}); !errors.Is(err, ErrTreeMismatch) {
			t.Errorf("%s tree: %v, want ErrTreeMismatch", name, err)
		}
	}
	must(Join(welcome, secrets, JoinParams{Tree: c.Next().RatchetTree(), Now: testNow}))(t)
}

func TestWelcomeForAnotherDevice(t *testing.T) {
	a := newGroup(t, "a")
	kp, _ := keyPackage(t, "b")
	_, others := keyPackage(t, "c")
	c := must(a.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	if _, err := Join(c.Welcomes()[0].Message, others, JoinParams{Tree: c.Next().RatchetTree(), Now: testNow}); !errors.Is(err, ErrNotForUs) {
		t.Errorf("a stranger joins: %v, want ErrNotForUs", err)
	}
}

// TestTreeInGroupInfo: a Welcome of another implementation may hold the tree itself.
func TestTreeInGroupInfo(t *testing.T) { eachSuite(t, treeInGroupInfo) }

func treeInGroupInfo(t *testing.T, id Suite) {
	a := newGroupOf(t, id, "a")
	kp, secrets := keyPackageOf(t, id, "b")
	c := must(a.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	s := a.at.suite
	opened, info, err := openWelcome(s, must(parse(c.Welcomes()[0].Message, readMessage))(t).welcome, kp.Ref(), secrets.initKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	info.extensions = []Extension{{Type: extensionRatchetTree, Data: c.Next().RatchetTree()}, {Type: 0x0a0a}}
	if err := info.sign(s, a.at.signatureKey); err != nil {
		t.Fatal(err)
	}
	msg := sealWelcome(t, s, kp, opened, encode(opened, writeGroupSecrets), encode(info, writeGroupInfo))
	g := must(Join(msg, secrets, JoinParams{Now: testNow}))(t)
	if !bytes.Equal(g.EpochAuthenticator(), c.Next().EpochAuthenticator()) {
		t.Error("joined another epoch")
	}
}

// TestA11_GenerationBeyondTheWindow: refused without deriving anything; the last one inside
// the window is accepted.
func TestA11_GenerationBeyondTheWindow(t *testing.T) {
	groups := trio(t)
	say(t, groups[0], groups[1:2], "generation 0")
	victim := groups[1]
	calls := 0
	counting := *victim.at.suite
	counting.hash = func() hash.Hash { calls++; return sha256.New() }
	victim.keys.suite = &counting
	for _, leaf := range []LeafIndex{0, 2} { // a ratchet in use, and one never touched
		newest := int64(-1)
		if leaf == 0 {
			newest = 0
		}
		for _, generation := range []uint32{math.MaxUint32, math.MaxUint32 - 1, uint32(newest + 2001)} {
			_, err := victim.keys.seek(leaf, contentApplication, generation)
			if !errors.Is(err, ErrTooFarAhead) || calls != 0 {
				t.Errorf("leaf %d generation %d: %v after %d hashes, want ErrTooFarAhead after none", leaf, generation, err, calls)
			}
		}
		if _, err := victim.keys.seek(leaf, contentApplication, uint32(newest+2000)); err != nil {
			t.Errorf("leaf %d, 2,000 ahead: %v", leaf, err)
		}
		calls = 0
	}
	// The same on the wire: an insider that names such a generation.
	for range 2002 {
		must(groups[0].Encrypt(nil, nil))(t)
	}
	msg := must(groups[0].Encrypt([]byte("far"), nil))(t)
	before := fingerprint(t, victim)
	if _, err := victim.Process(msg); !errors.Is(err, ErrTooFarAhead) || !bytes.Equal(fingerprint(t, victim), before) {
		t.Errorf("far message: %v, want ErrTooFarAhead and no trace", err)
	}
}

// TestSkippedKeysAreBounded: jump after jump, only the newest skipped keys are kept.
func TestSkippedKeysAreBounded(t *testing.T) {
	groups := trio(t)
	var first []byte
	for i := range 2*maxForward + 10 {
		msg := must(groups[0].Encrypt(nil, nil))(t)
		if i == 0 {
			first = msg
		}
		if i == maxForward-1 || i == 2*maxForward-2 || i == 2*maxForward+9 {
			must(groups[1].Process(msg))(t)
		}
	}
	if n := len(ratchetsOf(groups[1], 0).application.skipped); n != maxSkipped {
		t.Errorf("%d skipped keys are kept, want %d", n, maxSkipped)
	}
	if _, err := groups[1].Process(first); !errors.Is(err, ErrConsumed) {
		t.Errorf("message older than the window: %v, want ErrConsumed", err)
	}
}

// TestA21_TagLengths: membership and confirmation tags count at full length only.
func TestA21_TagLengths(t *testing.T) { eachSuite(t, tagLengths) }

func tagLengths(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	good := must(parse(publicCommit(t, groups[0]), readMessage))(t).public
	nh := groups[0].at.suite.nh
	for n := range nh + 8 {
		if id != DefaultSuite && n%16 > 1 && n%16 < 15 {
			continue // to save time
		}
		m := *good
		m.membershipTag = resize(good.membershipTag, n)
		_, err := groups[1].Process(encode(&message{wireFormat: wireFormatPublic, public: &m}, writeMessage))
		if ok := err == nil; ok != (n == nh) {
			t.Errorf("membership tag of %d bytes: %v", n, err)
		} else if !ok && !errors.Is(err, ErrInvalidCommit) {
			t.Errorf("membership tag of %d bytes: %v, want ErrInvalidCommit", n, err)
		}
		msg := must(hack(t, groups[0].Clone(), nil, nil, wireFormatPrivate, func(tag []byte) []byte { return resize(tag, n) }))(t)
		_, err = groups[1].Process(msg)
		if ok := err == nil; ok != (n == nh) {
			t.Errorf("confirmation tag of %d bytes: %v", n, err)
		} else if !ok && !errors.Is(err, ErrInvalidCommit) {
			t.Errorf("confirmation tag of %d bytes: %v, want ErrInvalidCommit", n, err)
		}
	}
}

// resize cuts a tag or lengthens it with zeros.
func resize(b []byte, n int) []byte {
	return append(slices.Clone(b), make([]byte, n)...)[:n]
}

// TestQ03_CommitThatSomeCannotFollow: the public checks pass for everybody, and each member
// says for itself whether it can go along.
func TestQ03_CommitThatSomeCannotFollow(t *testing.T) {
	groups := trio(t)
	wrongTag := must(hack(t, groups[0].Clone(), nil, nil, wireFormatPrivate, func(tag []byte) []byte {
		tag[0] ^= 1
		return tag
	}))(t)
	for _, g := range groups[1:] {
		before := fingerprint(t, g)
		_, err := g.Process(wrongTag)
		if !errors.Is(err, ErrCannotFollow) || errors.Is(err, ErrInvalidCommit) || !bytes.Equal(fingerprint(t, g), before) {
			t.Errorf("wrong confirmation tag at leaf %d: %v, want ErrCannotFollow alone", g.OwnLeaf(), err)
		}
	}
	// Leaf 0's path in a tree of four: node 1 for leaf 1, node 3 for leaf 2.
	wrongSecret := must(hack(t, groups[0].Clone(), nil, func(b *commitBuilder) {
		b.commit.path.nodes[1].secrets[0].ciphertext[3] ^= 1
	}, wireFormatPrivate, nil))(t)
	if _, err := groups[1].Process(wrongSecret); err != nil {
		t.Errorf("leaf 1 can follow, and says %v", err)
	}
	if _, err := groups[2].Process(wrongSecret); !errors.Is(err, ErrCannotFollow) || errors.Is(err, ErrInvalidCommit) {
		t.Errorf("leaf 2 cannot follow, and says %v", err)
	}
}

// TestClockDoesNotDecide: who adds looks at the lifetime; who receives must not.
func TestClockDoesNotDecide(t *testing.T) {
	groups := trio(t)
	kp, secrets := keyPackage(t, "late")
	for _, late := range []time.Time{testNow.Add(25 * time.Hour), testNow.Add(-2 * time.Hour), {}} {
		if _, err := groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: late}); !errors.Is(err, ErrExpired) {
			t.Errorf("adding at %v: %v, want ErrExpired", late, err)
		}
		if err := kp.Verify(late, nil); !errors.Is(err, ErrExpired) {
			t.Errorf("verifying at %v: %v, want ErrExpired", late, err)
		}
	}
	stale := *kp.leaf
	stale.lifetime = lifetime{notBefore: 1, notAfter: 2}
	if err := stale.sign(groups[0].at.suite, secrets.signatureKey, nil, 0); err != nil {
		t.Fatal(err)
	}
	expired := *kp
	expired.leaf = &stale
	expired.signature = must(groups[0].at.suite.signWithLabel(secrets.signatureKey, "KeyPackageTBS", expired.tbs()))(t)
	pl := must(groups[0].at.apply([]listed{{proposal: &proposal{kind: proposalAdd, add: &expired}, from: fromMember(0)}}, 0, &Application{}))(t)
	b := &commitBuilder{group: groups[0], plan: pl, params: &CommitParams{}, commit: new(commit)}
	c := must(b.build())(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, groups)
	secrets.kp = &expired
	if _, err := Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: groups[0].RatchetTree(), Now: testNow}); !errors.Is(err, ErrExpired) {
		t.Errorf("joining with a clock: %v, want ErrExpired", err)
	}
	must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: groups[0].RatchetTree()}))(t)
}

// TestC25_ProposalFlood: bounded for one sender and for all.
func TestC25_ProposalFlood(t *testing.T) {
	groups := trio(t)
	flood := func(g *Group) []byte {
		kp, _ := keyPackage(t, "flood")
		c := g.content(contentProposal, nil)
		c.proposal = &proposal{kind: proposalAdd, add: kp}
		a := &authenticatedContent{wireFormat: wireFormatPrivate, content: c}
		if err := a.sign(g.at.suite, g.at.signatureKey, g.at.ctx); err != nil {
			t.Fatal(err)
		}
		return must(g.protect(a, 0))(t)
	}
	for range maxPendingPerSender {
		must(groups[1].Process(flood(groups[0])))(t)
	}
	before := fingerprint(t, groups[1])
	if _, err := groups[1].Process(flood(groups[0])); !errors.Is(err, ErrLimit) || !bytes.Equal(fingerprint(t, groups[1]), before) {
		t.Errorf("one proposal more: %v, want ErrLimit and no trace", err)
	}
	if _, err := groups[1].Process(flood(groups[2])); err != nil {
		t.Errorf("another sender: %v", err)
	}
}

// TestOwnCommitOfACopy: a commit that a copy of this member made is known for it, also under a
// generation that this state has used itself.
func TestOwnCommitOfACopy(t *testing.T) {
	groups := trio(t)
	twin := groups[0].Clone()
	c := must(twin.Commit(CommitParams{}))(t)
	if _, err := groups[0].Process(c.Message()); !errors.Is(err, ErrOwnMessage) {
		t.Errorf("commit of a copy: %v, want ErrOwnMessage", err)
	}
	must(groups[0].Commit(CommitParams{}))(t) // uses the same generation
	if _, err := groups[0].Process(c.Message()); !errors.Is(err, ErrOwnMessage) {
		t.Errorf("commit of a copy under a used key: %v, want ErrOwnMessage", err)
	}
}

// TestDroppedCommitsNeverShareAKey: the generation is used up although nothing was merged.
func TestDroppedCommitsNeverShareAKey(t *testing.T) {
	groups := trio(t)
	seen := map[uint32]bool{}
	for range 5 {
		groups[0] = reload(t, groups[0])
		c := must(groups[0].Commit(CommitParams{}))(t)
		m := must(parse(c.Message(), readMessage))(t).private
		data := must(m.openSenderData(groups[1].at.suite, groups[1].at.secrets.senderData))(t)
		if seen[data.generation] {
			t.Fatalf("generation %d is used twice", data.generation)
		}
		seen[data.generation] = true
	}
}

// TestForgedMessage: an insider writes in another member's name.
func TestForgedMessage(t *testing.T) { eachSuite(t, forgedMessage) }

func forgedMessage(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	insider := groups[0].Clone()
	insider.at = &EpochView{
		PublicView: insider.at.PublicView, secrets: insider.at.secrets,
		own: 1, signatureKey: insider.at.signatureKey,
	}
	msg := must(insider.Encrypt([]byte("I am leaf 1"), nil))(t)
	before := fingerprint(t, groups[2])
	if _, err := groups[2].Process(msg); !errors.Is(err, ErrInvalid) || !bytes.Equal(fingerprint(t, groups[2]), before) {
		t.Errorf("forged message: %v, want ErrInvalid and no trace", err)
	}
	// The true message under the same key still opens.
	say(t, groups[1], groups[2:], "I am")
}

func TestPaddingMustBeZero(t *testing.T) {
	groups := trio(t)
	g := groups[0]
	plain := must(g.EncryptPadded([]byte("x"), nil, 100))(t)
	short := must(g.Encrypt([]byte("x"), nil))(t)
	if len(plain)-len(short) < 100 {
		t.Error("padding does not show in the size")
	}
	if m := must(groups[1].Process(plain))(t).(*ApplicationMessage); string(m.Data) != "x" {
		t.Errorf("padded message reads %q", m.Data)
	}
	wantRule(t, "padding 00 01", second(groups[1].Process(badlyPadded(t, g))), "framing.padding")
}

// badlyPadded is application data of a trio's first with padding 00 01.
func badlyPadded(t tb, g *Group) []byte {
	t.Helper()
	st := must(g.keys.seekNext(0, contentApplication))(t)
	c := g.content(contentApplication, nil)
	a := &authenticatedContent{wireFormat: wireFormatPrivate, content: c}
	if err := a.sign(g.at.suite, g.at.signatureKey, g.at.ctx); err != nil {
		t.Fatal(err)
	}
	m := must(protectPrivate(g.at.suite, a, g.at.secrets.senderData, st.key, 0))(t)
	data := must(m.openSenderData(g.at.suite, g.at.secrets.senderData))(t)
	body := must(g.at.suite.aeadOpen(st.key.key, st.key.guarded(data.guard), m.contentAAD(), m.ciphertext))(t)
	m.ciphertext = must(g.at.suite.aeadSeal(st.key.key, st.key.guarded(data.guard), m.contentAAD(), append(body, 0, 1)))(t)
	sk := g.at.suite.senderDataKey(g.at.secrets.senderData, m.ciphertext)
	m.encryptedSenderData = must(g.at.suite.aeadSeal(sk.key, sk.nonce, m.senderDataAAD(), encode(data, writeSenderData)))(t)
	return encode(&message{wireFormat: wireFormatPrivate, private: m}, writeMessage)
}

func TestMessagesFromOutside(t *testing.T) {
	groups := trio(t)
	for _, kind := range []uint8{senderExternal, senderNewMemberProposal, senderNewMemberCommit} {
		c := groups[0].content(contentProposal, nil)
		c.sender, c.proposal = sender{kind: kind}, &proposal{kind: proposalRemove, remove: 1}
		m := &publicMessage{content: c, auth: authData{signature: make([]byte, 64)}}
		if err := untouched(t, "unsigned", groups[1], publicBytes(m)); !errors.Is(err, ErrInvalid) {
			t.Errorf("sender type %d: %v, want ErrInvalid", kind, err)
		}
	}
	kp, _ := keyPackage(t, "x")
	_, err := groups[1].Process(encode(&message{wireFormat: wireFormatKeyPackage, keyPackage: kp}, writeMessage))
	if !errors.Is(err, ErrMalformed) {
		t.Errorf("a KeyPackage as message: %v, want ErrMalformed", err)
	}
	junk := make([]byte, 300)
	_, _ = rand.Read(junk)
	if _, err := groups[1].Process(junk); !errors.Is(err, ErrMalformed) {
		t.Errorf("junk: %v, want ErrMalformed", err)
	}
}
