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
	type accounts = []keyserver.AccountID
	a, b, c := keyserver.AccountID{1}, keyserver.AccountID{2}, keyserver.AccountID{3}
	direct := policy{Kind: Direct, Admins: accounts{a}}
	open := policy{Kind: Group, AnyoneAdd: true, Admins: accounts{a}}
	closed := policy{Kind: Group, Admins: accounts{a}}
	headless := policy{Kind: Group}
	for name, row := range map[string]struct {
		p          policy
		by, target keyserver.AccountID
		members    accounts
		add        bool
		remove     bool
	}{
		"direct: the peer":                  {direct, a, b, accounts{a}, true, true},
		"direct: a device more of the peer": {direct, a, b, accounts{a, b}, true, true},
		"direct: the peer adds the founder": {direct, b, a, accounts{a, b}, true, true},
		"direct: one's own device":          {direct, b, b, accounts{a, b}, true, true},
		"direct: a third":                   {direct, a, c, accounts{a, b}, false, true},
		"direct: a third, by the peer":      {direct, b, c, accounts{a, b}, false, true},
		"open: an admin":                    {open, a, c, accounts{a, b}, true, true},
		"open: anyone adds, admins remove":  {open, b, c, accounts{a, b}, true, false},
		"open: against the admin":           {open, b, a, accounts{a, b}, true, false},
		"open: oneself":                     {open, b, b, accounts{a, b}, true, true},
		"closed: an admin":                  {closed, a, c, accounts{a, b}, true, true},
		"closed: a member":                  {closed, b, c, accounts{a, b}, false, false},
		"closed: against the admin":         {closed, b, a, accounts{a, b}, false, false},
		"closed: one's own device":          {closed, b, b, accounts{a, b}, true, true},
		"headless: nobody but oneself":      {headless, a, b, accounts{a, b}, false, false},
	} {
		if got := row.p.mayAdd(row.by, row.target, row.members); got != row.add {
			t.Errorf("%s: mayAdd is %v", name, got)
		}
		if got := row.p.mayRemove(row.by, row.target); got != row.remove {
			t.Errorf("%s: mayRemove is %v", name, got)
		}
		if row.members[0] != a {
			t.Errorf("%s: mayAdd changed the caller's list", name)
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
		Suite: defaultSuite, GroupID: []byte("bare"), Credential: cred, SignatureKey: key, Validator: validator{}, Now: time.Now(),
	}))
	if _, err := policyOf(bare); !errors.Is(err, errBadPolicy) {
		t.Errorf("group without a policy: %v, want errBadPolicy", err)
	}
}
