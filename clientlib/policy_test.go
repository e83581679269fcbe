package clientlib

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

func TestPolicyWhoMay(t *testing.T) {
	t.Parallel()
	type accounts = []keyserver.AccountID
	a, b, c := keyserver.AccountID{1}, keyserver.AccountID{2}, keyserver.AccountID{3}
	direct := policy{Kind: Direct, Admins: accounts{a}}
	open := policy{Kind: Group, AnyoneAdd: true, Admins: accounts{a}}
	closed := policy{Kind: Group, Admins: accounts{a}}
	headless := policy{Kind: Group}
	cred := func(account keyserver.AccountID, device byte) *keyserver.Credential {
		return &keyserver.Credential{Account: account, Device: keyserver.DeviceID{account[0], device}}
	}
	type list = []*keyserver.Credential
	a1, b1, c1 := cred(a, 1), cred(b, 1), cred(c, 1)
	for name, row := range map[string]struct {
		p             policy
		by            *keyserver.Credential
		members       list
		adds, removes list
		moves, ok     bool
	}{
		"direct: the peer":                    {p: direct, by: a1, members: list{a1}, adds: list{b1}, ok: true},
		"direct: both devices of the peer":    {p: direct, by: a1, members: list{a1}, adds: list{b1, cred(b, 2)}, ok: true},
		"direct: a device more of the peer":   {p: direct, by: a1, members: list{a1, b1}, adds: list{cred(b, 2)}},
		"direct: one's own device":            {p: direct, by: b1, members: list{a1, b1}, adds: list{cred(b, 2)}, ok: true},
		"direct: a third":                     {p: direct, by: a1, members: list{a1, b1}, adds: list{c1}},
		"direct: peer and third in one":       {p: direct, by: a1, members: list{a1}, adds: list{b1, c1}},
		"direct: a third in the peer's place": {p: direct, by: a1, members: list{a1, b1}, adds: list{c1}, removes: list{b1}},
		"direct: either removes":              {p: direct, by: b1, members: list{a1, b1}, removes: list{a1}, ok: true},
		"open: anyone adds":                   {p: open, by: b1, members: list{a1, b1}, adds: list{c1}, ok: true},
		"open: admins remove":                 {p: open, by: a1, members: list{a1, b1, c1}, removes: list{b1, c1}, ok: true},
		"open: others do not":                 {p: open, by: b1, members: list{a1, b1, c1}, removes: list{c1}},
		"open: against the admin":             {p: open, by: b1, members: list{a1, b1}, removes: list{a1}},
		"open: oneself's other device":        {p: open, by: b1, members: list{a1, b1, cred(b, 2)}, removes: list{cred(b, 2)}, ok: true},
		// Carol, no admin, makes a device that says it is the admin's: it would act as admin.
		"open: a ghost of the admin":          {p: open, by: b1, members: list{a1, b1}, adds: list{cred(a, 66)}},
		"open: a ghost of an absent admin":    {p: open, by: b1, members: list{b1, c1}, adds: list{cred(a, 66)}},
		"open: a ghost of a member":           {p: open, by: b1, members: list{a1, b1, c1}, adds: list{cred(c, 66)}},
		"open: the admin makes a ghost":       {p: open, by: a1, members: list{a1, b1}, adds: list{cred(b, 66)}},
		"open: comes back in the same commit": {p: open, by: a1, members: list{a1, b1}, adds: list{cred(b, 2)}, removes: list{b1}, ok: true},
		"open: the last member":               {p: open, by: b1, members: list{b1, cred(b, 2)}, adds: list{a1, c1}, ok: true},
		"closed: the last member":             {p: closed, by: b1, members: list{b1}, adds: list{a1, c1}, ok: true},
		"direct: the last and two others":     {p: direct, by: b1, members: list{b1}, adds: list{a1, c1}},
		"closed: an admin adds":               {p: closed, by: a1, members: list{a1, b1}, adds: list{c1}, ok: true},
		"closed: a member adds":               {p: closed, by: b1, members: list{a1, b1}, adds: list{c1}},
		"closed: one's own device":            {p: closed, by: b1, members: list{a1, b1}, adds: list{cred(b, 2)}, ok: true},
		"headless: nobody removes":            {p: headless, by: a1, members: list{a1, b1}, removes: list{b1}},
		"nobody changes the GroupContext":     {p: open, by: a1, members: list{a1, b1}, moves: true},
		"a commit that renews keys":           {p: closed, by: b1, members: list{a1, b1}, ok: true},
	} {
		err := row.p.judge(row.by, row.members, row.adds, row.removes, row.moves)
		if (err == nil) != row.ok || err != nil && !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, row := range map[string]struct {
		p    policy
		who  keyserver.AccountID
		want bool
	}{
		"direct, listed":     {direct, a, true},
		"direct, not listed": {direct, b, true},
		"group, listed":      {open, a, true},
		"group, not listed":  {open, b, false},
		"group, empty list":  {headless, a, false},
	} {
		if got := row.p.isAdmin(row.who); got != row.want {
			t.Errorf("%s: isAdmin is %v", name, got)
		}
	}
}

// TestPolicyOf: every member reads the policy out of the GroupContext, or none does.
func TestPolicyOf(t *testing.T) {
	t.Parallel()
	want := &policy{Kind: Group, Relay: "relay", Queue: relay.QueueID{1}, KeyServer: "keys", Name: "name"}
	d := newTestDevice(t)
	if got, err := policyOf(d.mlsGroup(t, want)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("policy of a group: %+v, %v", got, err)
	}
	if _, err := policyOf(d.mlsGroup(t, &policy{Kind: 9})); !errors.Is(err, errBadPolicy) {
		t.Errorf("policy of an unknown kind: %v, want errBadPolicy", err)
	}
	key, cred := d.leaf(t)
	bare := need[*mls.Group](t)(mls.NewGroup(mls.GroupConfig{
		Suite: bestSuite, GroupID: []byte("bare"), Credential: cred, SignatureKey: key, Application: application, Now: time.Now(),
	}))
	if _, err := policyOf(bare); !errors.Is(err, errBadPolicy) {
		t.Errorf("group without a policy: %v, want errBadPolicy", err)
	}
}
