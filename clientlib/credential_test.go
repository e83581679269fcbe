package clientlib

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// TestB01_CredentialOfAGhost: a leaf counts only if the device that it names signed for it.
func TestB01_CredentialOfAGhost(t *testing.T) {
	t.Parallel()
	alice, eve := newTestDevice(t), newTestDevice(t)
	laptop := newSecret().signer() // another device of alice
	key, cred := alice.leaf(t)
	otherKey, otherCred := alice.leaf(t)
	sign := func(device ed25519.PrivateKey, account keyserver.AccountID, suite uint16) mls.Credential {
		identity := need[[]byte](t)(keyserver.SignCredential(device, account, key.Public(), suite, time.Now().Add(time.Hour)))
		return mls.Credential{Type: mls.CredentialBasic, Identity: identity}
	}
	changed := func(at int) mls.Credential {
		identity := bytes.Clone(cred.Identity)
		identity[at] ^= 1
		return mls.Credential{Type: mls.CredentialBasic, Identity: identity}
	}
	_, fromEve := eve.leaf(t)
	fromLaptop, x509 := sign(laptop, alice.account, uint16(bestSuite)), mls.Credential{
		Type: mls.CredentialX509, Identity: cred.Identity, Certificates: [][]byte{{1}},
	}
	stolen := need[*keyserver.Credential](t)(keyserver.ParseCredential(cred.Identity))
	expired := mls.Credential{Type: mls.CredentialBasic, Identity: need[[]byte](t)(
		keyserver.SignCredential(alice.key, alice.account, key.Public(), uint16(bestSuite), time.Unix(1, 0)))}
	for name, c := range map[string]struct {
		cred        mls.Credential
		predecessor *mls.Credential
		good        bool
	}{
		"good":                              {cred, nil, true},
		"expired, which is no public check": {expired, nil, true},
		"the same device goes on":           {cred, &otherCred, true},
		"of another leaf":                   {otherCred, nil, false},
		"of another suite":                  {sign(alice.key, alice.account, 2), nil, false},
		"account changed":                   {changed(1), nil, false},
		"device changed":                    {changed(33), nil, false},
		"end changed":                       {changed(65), nil, false},
		"signature changed":                 {changed(len(cred.Identity) - 1), nil, false},
		"version changed":                   {changed(0), nil, false},
		"cut":                               {mls.Credential{Type: mls.CredentialBasic, Identity: cred.Identity[:100]}, nil, false},
		"byte more":                         {mls.Credential{Type: mls.CredentialBasic, Identity: append(bytes.Clone(cred.Identity), 0)}, nil, false},
		"empty":                             {mls.Credential{Type: mls.CredentialBasic}, nil, false},
		"x509":                              {x509, nil, false},
		"no type":                           {mls.Credential{Identity: cred.Identity}, nil, false},
		"leaf of another device":            {fromLaptop, &cred, false},
		"leaf of another account":           {cred, &fromEve, false},
		"leaf of a device of two accounts":  {sign(alice.key, eve.account, uint16(bestSuite)), &cred, false},
		"predecessor x509":                  {cred, &x509, false},
		"predecessor that does not parse":   {cred, &mls.Credential{Type: mls.CredentialBasic}, false},
	} {
		for event := mls.CredentialKeyPackage; event <= mls.CredentialExternalSenderUpdated; event++ {
			err := validator{}.ValidateCredential(mls.CredentialCheck{
				Event: event, Suite: bestSuite, Credential: c.cred, SignatureKey: key.Public(), Predecessor: c.predecessor,
			})
			if c.good && err != nil || !c.good && !errors.Is(err, ErrBadCredential) {
				t.Errorf("%s at event %d: %v, good: %v", name, event, err, c.good)
			}
		}
	}
	// The check is of the leaf's key and suite, not of those that the credential names.
	for name, c := range map[string]mls.CredentialCheck{
		"leaf with another key": {Suite: bestSuite, Credential: cred, SignatureKey: otherKey.Public()},
		"leaf without a key":    {Suite: bestSuite, Credential: cred},
		"leaf of another suite": {Suite: 3, Credential: cred, SignatureKey: key.Public()},
	} {
		if err := (validator{}).ValidateCredential(c); !errors.Is(err, ErrBadCredential) {
			t.Errorf("%s: %v, want ErrBadCredential", name, err)
		}
	}
	if stolen.Account != alice.account || stolen.Device != keyserver.DeviceOf(alice.key) {
		t.Error("a credential names another device than the one that signed it")
	}
}

// TestB01_GroupsRefuseGhosts: the same through a group: a ghost's KeyPackage is not added, and
// a member does not become another device by an update.
func TestB01_GroupsRefuseGhosts(t *testing.T) {
	t.Parallel()
	alice, bob := newTestDevice(t), newTestDevice(t)
	g := alice.mlsGroup(t, &policy{Kind: Group})
	_, ofAnotherLeaf := bob.leaf(t)
	ghost, _ := bob.keyPackage(t, func(cfg *mls.KeyPackageConfig) { cfg.Credential = ofAnotherLeaf })
	if _, err := g.Commit(mls.CommitParams{Add: []*mls.KeyPackage{ghost}, Now: time.Now()}); !errors.Is(err, ErrBadCredential) {
		t.Errorf("adding a ghost: %v, want ErrBadCredential", err)
	}
	key, cred := bob.leaf(t)
	if _, err := g.Commit(mls.CommitParams{Path: true, NewSignatureKey: key, NewCredential: &cred, Now: time.Now()}); !errors.Is(err, ErrBadCredential) {
		t.Errorf("turning into another account: %v, want ErrBadCredential", err)
	}
	key, cred = alice.leaf(t)
	if _, err := g.Commit(mls.CommitParams{Path: true, NewSignatureKey: key, NewCredential: &cred, Now: time.Now()}); err != nil {
		t.Errorf("a new key of the same device: %v", err)
	}
}

// TestPolicyRefusesWhatLocksOut: a member whose own client would allow it commits what the
// others might not be able to follow; it counts for nobody.
func TestPolicyRefusesWhatLocksOut(t *testing.T) {
	t.Parallel()
	alice, bob := newTestDevice(t), newTestDevice(t)
	g := alice.mlsGroup(t, &policy{Kind: Group, AnyoneAdd: true})
	kp, secrets := bob.keyPackage(t, func(*mls.KeyPackageConfig) {})
	c := need[*mls.StagedCommit](t)(g.Commit(mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: time.Now()}))
	rogue := need[*mls.Group](t)(mls.Join(c.Welcomes()[0].Message, secrets, mls.JoinParams{Tree: c.Next().RatchetTree(), Now: time.Now()}))
	if err := g.Merge(c); err != nil {
		t.Fatal(err)
	}
	known, _ := rogue.View().ResumptionPSK() // each member has this one, and is not to be asked for it
	for name, p := range map[string]mls.CommitParams{
		"a pre-shared key":     {PSKs: []mls.PSKID{known}},
		"the end of the group": {ReInit: &mls.ReInit{GroupID: []byte("successor"), Suite: bestSuite}},
	} {
		if _, err := g.Commit(p); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s, committed by us: %v, want ErrNotAllowed", name, err)
		}
		msg := need[*mls.StagedCommit](t)(rogue.Clone().Commit(p)).Message()
		_, err := g.Process(msg)
		if !errors.Is(err, mls.ErrInvalidCommit) || !errors.Is(err, ErrNotAllowed) || errors.Is(err, mls.ErrCannotFollow) {
			t.Errorf("%s: %v, want ErrInvalidCommit with ErrNotAllowed", name, err)
		}
	}
}

// TestA17_NobodyComesInFromOutside: a GroupInfo that leaked lets nobody in, not even a member's
// own device in its own place: the commit counts for nobody, and no proposal waits.
func TestA17_NobodyComesInFromOutside(t *testing.T) {
	t.Parallel()
	alice, bob := newTestDevice(t), newTestDevice(t)
	g := alice.mlsGroup(t, &policy{Kind: Group, AnyoneAdd: true})
	kp, secrets := bob.keyPackage(t, func(*mls.KeyPackageConfig) {})
	c := need[*mls.StagedCommit](t)(g.Commit(mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: time.Now()}))
	if err := g.Merge(c); err != nil {
		t.Fatal(err)
	}
	member := need[*mls.Group](t)(mls.Join(c.Welcomes()[0].Message, secrets, mls.JoinParams{Tree: g.RatchetTree(), Application: application, Now: time.Now()}))
	info := need[[]byte](t)(member.View().GroupInfo(mls.GroupInfoParams{Tree: true, ExternalPub: true}))
	outside := need[*mls.PublicGroup](t)(mls.NewPublicGroup(info, nil, mls.Application{}))
	key, cred := alice.leaf(t)
	own, _ := alice.keyPackage(t, func(cfg *mls.KeyPackageConfig) { cfg.SignatureKey, cfg.Credential = key, cred })
	msg := need[[]byte](t)(outside.Propose(key, mls.ProposalParams{Add: own, Now: time.Now()}))
	if _, err := g.Process(msg); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("a device adds itself by a proposal: %v, want ErrNotAllowed", err)
	}
	for name, c := range map[string]struct {
		device *testDevice
		remove *mls.LeafIndex
	}{
		"a stranger": {device: newTestDevice(t)}, "a device of the admin": {device: alice}, "a member in its own place": {device: bob, remove: new(member.OwnLeaf())},
	} {
		key, cred := c.device.leaf(t)
		p := mls.ExternalParams{
			Credential: cred, SignatureKey: key, Remove: c.remove, Now: time.Now(),
			SupportedExtensions: []mls.ExtensionType{extensionPolicy, extensionContact},
		}
		_, msg, err := mls.JoinExternal(info, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range []*mls.Group{g, member} {
			if _, err := g.Process(msg); !errors.Is(err, mls.ErrInvalidCommit) || !errors.Is(err, ErrNotAllowed) {
				t.Errorf("%s comes in: %v, want ErrInvalidCommit with ErrNotAllowed", name, err)
			}
		}
	}
}
