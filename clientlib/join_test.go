package clientlib

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// unreachable opens a registered client that has no network.
func unreachable(t *testing.T) *Client {
	t.Helper()
	c := need[*Client](t)(Open(Config{
		Path: filepath.Join(t.TempDir(), "store"), Key: [32]byte(newSecret()),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed },
	}))
	t.Cleanup(func() { c.Close() })
	if err := c.eng.call(t.Context(), func() error { return c.eng.createIdentity("victim") }); err != nil {
		t.Fatal(err)
	}
	return c
}

// lure has an insider of its own making invite the client to a group, and returns why the
// client refuses; empty if it goes on to look the members up.
func lure(t *testing.T, c *Client, id []byte, p *policy, others ...*testDevice) (refusal string) {
	t.Helper()
	insider := newTestDevice(t)
	key, cred := insider.leaf(t)
	g := need[*mls.Group](t)(mls.NewGroup(mls.GroupConfig{
		Suite: bestSuite, GroupID: id, Credential: cred, SignatureKey: key, SupportedExtensions: supportedExtensions,
		Extensions: []mls.Extension{{Type: extensionPolicy, Data: need[[]byte](t)(wire.Marshal(p))}}, Now: time.Now(),
	}))
	params := mls.CommitParams{Now: time.Now()}
	err := c.eng.call(t.Context(), func() error {
		return c.eng.update(func(tx *state.Tx) error {
			kp, err := c.eng.newPackage(tx, bestSuite, time.Now())
			params.Add = append(params.Add, kp)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range others {
		kp, _ := d.keyPackage(t, nil)
		params.Add = append(params.Add, kp)
	}
	staged := need[*mls.StagedCommit](t)(g.Commit(params))
	var v *invitation
	for _, w := range staged.Welcomes() {
		if string(w.KeyPackageRef) == string(params.Add[0].Ref()) {
			v = testInvitation(w.Message)
			v.Package, v.Queue, v.Relay, v.KeyServer = w.KeyPackageRef, p.Queue, p.Relay, p.KeyServer
		}
	}
	joined, keys, err := c.eng.joinTree([32]byte{1}, v, staged.Next().RatchetTree())
	if err != nil {
		t.Fatal(err)
	}
	err = c.eng.call(t.Context(), func() error {
		c.eng.joined([32]byte{1}, v, joined, keys, nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range need[[]Event](t)(c.readEvents(t.Context(), 0)) {
		if ev.Kind == EventInvitationRefused {
			refusal = ev.Detail
		}
	}
	return refusal
}

// TestC21_DirectGroupOfThree: an insider makes a "conversation of two" with the victim, the
// victim's friend and itself, to be where the victim writes to the friend.
func TestC21_DirectGroupOfThree(t *testing.T) {
	t.Parallel()
	p := &policy{Kind: Direct, Queue: relay.QueueID{1}}
	if why := lure(t, unreachable(t), newSecret(), p, newTestDevice(t)); !strings.Contains(why, "two") {
		t.Errorf("a conversation of two with three members is refused as %q", why)
	}
	if why := lure(t, unreachable(t), newSecret(), p); why != "" {
		t.Errorf("a conversation of two is refused: %s", why)
	}
}

// TestC21_GroupNamedLikeAFriend: a group whose id is that of the conversation with a friend
// does not become that conversation.
func TestC21_GroupNamedLikeAFriend(t *testing.T) {
	t.Parallel()
	c, friend := unreachable(t), keyserver.AccountID{7}
	g := &group{id: groupID(directID(friend)), policy: &policy{Kind: Group}}
	g.mls = newTestDevice(t).mlsGroup(t, g.policy)
	err := c.eng.call(t.Context(), func() error {
		return c.eng.update(func(tx *state.Tx) error { return c.eng.adopt(tx, g) })
	})
	if err != nil || g.rec.Conversation == directID(friend) {
		t.Errorf("a group took the place of the conversation with a friend: %v", err)
	}
}

// TestC12_GroupIDOfAnyLength: MLS allows group ids that are no 32 bytes; Sealpost has none.
func TestC12_GroupIDOfAnyLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 31, 33} {
		if why := lure(t, unreachable(t), make([]byte, n), &policy{Kind: Group}); why == "" {
			t.Errorf("a group id of %d bytes is not refused", n)
		}
	}
}
