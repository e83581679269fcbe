package clientlib

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// directID names the conversation with a person, whichever of the two started it and
// however many groups came of that.
func directID(peer keyserver.AccountID) ConversationID {
	return sha256.Sum256(append([]byte("sealpost direct 1"), peer[:]...))
}

// groupConversation names the conversation that a group is. It is a hash, because the group's
// founder chooses the group's id, and would otherwise choose that of a conversation of two.
func groupConversation(id groupID) ConversationID {
	return sha256.Sum256(append([]byte("sealpost group 1"), id[:]...))
}

// roomOf is the URI of a conversation in message ids, the same for all members.
func (e *engine) roomOf(id ConversationID) string {
	c := e.convs[id]
	if c == nil || c.Kind != Direct {
		if c != nil && c.Room != (ConversationID{}) {
			id = c.Room
		}
		return fmt.Sprintf("sealpost:group:%x", id[:])
	}
	a, b := e.id.Account, c.Peer
	if string(b[:]) < string(a[:]) {
		a, b = b, a
	}
	return "sealpost:direct:" + a.String() + ":" + b.String()
}

// primary is the group of a conversation that new messages go to: of those that live, the
// one with the smallest id. Two people who started with each other at once both come to
// the same, and go on reading the other.
func (e *engine) primary(id ConversationID) *group {
	var best *group
	if c := e.convs[id]; c != nil {
		for _, gid := range c.Groups {
			g := e.groups[gid]
			if g != nil && g.live() && (best == nil || string(gid[:]) < string(best.id[:])) {
				best = g
			}
		}
	}
	return best
}

// newGroup makes a group of a suite with this device alone in it. The queue comes when there is a network.
func (e *engine) newGroup(kind ConversationKind, name string, suite mls.Suite) (*group, error) {
	return e.beginGroup(&policy{
		Kind: kind, Relay: e.id.Relay, Queue: newQueueID(), KeyServer: e.id.KeyServer, Name: name,
		AnyoneAdd: true, Admins: []keyserver.AccountID{e.id.Account},
	}, suite)
}

func newQueueID() (id relay.QueueID) {
	rand.Read(id[:])
	return id
}

// beginGroup makes a group with a policy, and with more extensions of its context.
func (e *engine) beginGroup(p *policy, suite mls.Suite, more ...mls.Extension) (*group, error) {
	g := &group{}
	rand.Read(g.id[:])
	g.rec = groupRecord{
		State: groupCreating, Relay: p.Relay, KeyServer: p.KeyServer, Queue: p.Queue, RequestID: newIdempotencyID(), Renewed: e.now(),
	}
	if p.Kind == Group {
		p.Keeper = newKeeper(p.Queue, e.id.Device.signer(), publicKey(e.id.Secret.adminKey(p.Queue)))
	}
	data, err := wire.Marshal(p)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	key, cred, err := e.newLeafKey(suite, now)
	if err != nil {
		return nil, err
	}
	g.mls, err = mls.NewGroup(mls.GroupConfig{
		Suite: suite, GroupID: g.id[:], Credential: cred, SignatureKey: key,
		Extensions:          append([]mls.Extension{{Type: extensionPolicy, Data: data}}, more...),
		SupportedExtensions: supportedExtensions,
		Application:         e.groupRules, Now: now,
	})
	if err != nil {
		return nil, err
	}
	return g, g.renewEpoch()
}

// adopt stores a new group and the conversation that it belongs to.
func (e *engine) adopt(tx *state.Tx, g *group) error {
	if old := e.groups[g.id]; old != nil && old.away() && e.convs[old.rec.Conversation] != nil {
		return e.adoptInto(tx, g, old.rec.Conversation, e.convs[old.rec.Conversation])
	}
	if over := e.groups[g.rec.Succeeds]; over != nil && g.rec.Founded {
		return e.adoptInto(tx, g, over.rec.Conversation, e.convs[over.rec.Conversation])
	}
	id, rec := groupConversation(g.id), &convRecord{Kind: g.policy.Kind, Name: g.policy.Name}
	if g.policy.Kind == Direct {
		for _, a := range g.accounts() {
			if a != e.id.Account {
				rec.Peer = a
			}
		}
		id = directID(rec.Peer)
	}
	if old := e.convs[id]; old != nil {
		rec = old
	}
	if s, err := successionOf(g.mls); err == nil && s != nil {
		rec.Room = s.Room
	}
	return e.adoptInto(tx, g, id, rec)
}

func (e *engine) adoptInto(tx *state.Tx, g *group, id ConversationID, rec *convRecord) error {
	g.rec.Conversation = id
	if !slices.Contains(rec.Groups, g.id) {
		rec.Groups = append(rec.Groups, g.id)
	}
	e.convs[id] = rec
	if err := putRecord(tx, bucketConv, id[:], rec); err != nil {
		return err
	}
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	if err := g.saveCursor(tx); err != nil {
		return err
	}
	// What is left of the group as it was before this device came back into it must not mix
	// with what is.
	for _, bucket := range []string{bucketMLS, bucketKept, bucketKeptBody} {
		if err := clearBucket(tx, bucket, g.id[:]); err != nil {
			return err
		}
	}
	if old := e.groups[g.id]; old == nil || !old.away() {
		if err := e.dropWork(tx, g.id); err != nil {
			return err
		}
	}
	return e.saveMLS(tx, g)
}

// startGroup makes a conversation with the given members to come.
func (e *engine) startGroup(kind ConversationKind, name string, id ConversationID, peer keyserver.AccountID, members []keyserver.AccountID) (ConversationID, error) {
	var suite mls.Suite
	err := e.db.View(e.ctx, func(tx *state.Tx) (err error) {
		suite, err = e.suiteFor(tx, members)
		return err
	})
	if err != nil {
		return id, err
	}
	g, err := e.newGroup(kind, name, suite)
	if err != nil {
		return id, err
	}
	if kind == Group {
		id = groupConversation(g.id)
	}
	rec := e.convs[id]
	if rec == nil {
		rec = &convRecord{Kind: kind, Name: name, Peer: peer}
	}
	err = e.update(func(tx *state.Tx) error {
		if err := e.adoptInto(tx, g, id, rec); err != nil {
			return err
		}
		return e.queueAdds(tx, g, members)
	})
	if err != nil {
		return id, err
	}
	e.groups[g.id] = g
	e.advance(g)
	return id, nil
}

// queueAdds splits an addition into commits of at most maxAdd accounts.
func (e *engine) queueAdds(tx *state.Tx, g *group, members []keyserver.AccountID) error {
	for part := range slices.Chunk(members, maxAdd) {
		c := change{Group: g.id, Kind: changeAdd, Accounts: part}
		rand.Read(c.Request[:])
		if err := e.queueChange(tx, c); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) queueRow(tx *state.Tx, rec outRow) error {
	id, err := tx.NextID(bucketOutbox)
	if err != nil {
		return err
	}
	r := &row{id: id, rec: rec}
	if err := e.saveRow(tx, r); err != nil {
		return err
	}
	e.rows = append(e.rows, r)
	return nil
}

// writable is the group that a conversation's next change or message goes to.
func (e *engine) writable(id ConversationID) (*group, error) {
	if e.convs[id] == nil {
		return nil, ErrNoConversation
	}
	if g := e.current(id); g == nil {
		return nil, ErrNotMember
	} else if g.rec.State == groupUnsafe {
		return nil, ErrUnsafeStore
	} else {
		return g, nil
	}
}

// current is the primary group, or the one that this device is to be brought back into: what is
// written there waits until it is.
func (e *engine) current(id ConversationID) *group {
	if g := e.primary(id); g != nil || e.convs[id] == nil {
		return g
	}
	for _, gid := range e.convs[id].Groups {
		if g := e.groups[gid]; g != nil && g.away() {
			return g
		}
	}
	return nil
}
