package clientlib

import (
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// How many groups this device joins that say they succeed one: of each member's account, and of all
// whom it does not know as members. Else who founds many would keep the one out that the others vote for.
const (
	maxCandidates        = 2
	maxStrangeCandidates = 8
)

// begin makes a successor and invites all but the author of the commit that shut this device out, or
// whoever closed the queue. Nothing of it is shown until it is founded.
func (e *engine) begin(g *group) {
	g.begins = false
	s := g.rec.Stuck
	if wait := e.awaitsOthers(g); wait > 0 { // somebody was faster: its invitation comes first
		e.after(wait, func() { e.advance(g) })
		return
	}
	if g.rec.State != groupStuck || s == nil || g.rec.Successor != (groupID{}) || e.begun(g) != nil || e.ctx.Err() != nil {
		return
	}
	r := g.rosterOf(&keyserver.Credential{Account: s.By.Account, Device: s.By.Device})
	if !r.votes(e.device()) {
		return
	}
	room, err := e.roomID(g)
	if err != nil {
		return
	}
	data, err := wire.Marshal(&succession{Group: g.id, Queue: g.rec.Queue, Room: room})
	if err != nil {
		return
	}
	heirs := g.policy.heirs(&r, newQueueID())
	next, err := e.beginGroup(heirs, g.mls.Suite(), mls.Extension{Type: extensionSuccessor, Data: data})
	if err != nil {
		return
	}
	next.rec.Conversation, next.rec.Succeeds, next.rec.Begun = groupConversation(next.id), g.id, true
	others := slices.DeleteFunc(r.others(), func(a keyserver.AccountID) bool { return a == e.id.Account })
	slices.SortStableFunc(others, func(a, b keyserver.AccountID) int { // later it may be that only an admin adds them
		switch first := heirs.isAdmin(a); {
		case first == heirs.isAdmin(b):
			return 0
		case first:
			return -1
		}
		return 1
	})
	err = e.update(func(tx *state.Tx) error {
		if err := e.keepCandidate(tx, next); err != nil {
			return err
		}
		return e.queueAdds(tx, next, others)
	})
	if err != nil {
		return
	}
	e.groups[next.id] = next
	e.advance(next)
	e.advance(g) // with nobody to wait for it is complete
}

// roomID is what the conversation's messages name as their room.
func (e *engine) roomID(g *group) (ConversationID, error) {
	s, err := successionOf(g.mls)
	if s != nil {
		return s.Room, nil
	}
	return groupConversation(g.id), err
}

// keepCandidate stores a group that may come to succeed one: it is in no conversation yet.
func (e *engine) keepCandidate(tx *state.Tx, s *group) error {
	if err := s.saveRecord(tx); err != nil {
		return err
	}
	if err := s.saveCursor(tx); err != nil {
		return err
	}
	if err := clearBucket(tx, bucketMLS, s.id[:]); err != nil {
		return err
	}
	return e.saveMLS(tx, s)
}

// candidate reports what a group that this device was invited to is to succeed; nil if it is a
// conversation of its own.
func (e *engine) candidate(joined *group) (old *group, err error) {
	s, err := successionOf(joined.mls)
	if s == nil || err != nil {
		return nil, err
	}
	old = e.groups[s.Group]
	if old == nil || old.rec.State == groupRemoved {
		return nil, nil // this device came later, or had left
	}
	if room, err := e.roomID(old); err != nil || old.unfounded() || room != s.Room || old.rec.Queue != s.Queue || old.policy.Kind != Group {
		return nil, errBadSuccessor
	}
	n, founder := 0, old.founderOf(joined)
	for _, g := range e.groups {
		if g.rec.Succeeds == old.id && g.id != old.rec.Successor && g.id != joined.id && g.rec.State != groupRemoved && old.founderOf(g) == founder {
			n++
		}
	}
	limit := maxCandidates
	if founder == (keyserver.AccountID{}) {
		limit = maxStrangeCandidates
	}
	if n >= limit && joined.id != old.rec.Successor {
		return nil, errBadSuccessor
	}
	return old, nil
}

// founderOf is the member's account whose device has founded a group that may succeed this one; zero
// if it is none that this device knows as a member.
func (g *group) founderOf(s *group) keyserver.AccountID {
	if s.policy == nil || s.policy.Keeper == nil {
		return keyserver.AccountID{}
	}
	r := g.rosterOf(&keyserver.Credential{})
	if at := slices.Index(r.Members, s.policy.Keeper.Device); at >= 0 {
		return r.Accounts[at]
	}
	return keyserver.AccountID{}
}

// enterCandidate is enter for a group that may succeed one. This device says nothing in it until it
// is founded. It reads it if there is nobody else in it than in the one before: that is how it hears
// of a majority whose votes it cannot open. Until then it is under no conversation that the app knows.
func (e *engine) enterCandidate(tx *state.Tx, s, old *group, d *delivery) error {
	s.rec.State, s.rec.Succeeds, s.rec.Conversation = groupCandidate, old.id, groupConversation(s.id)
	r, err := e.company(tx, old, s)
	if err != nil {
		return err
	}
	strange := func(m mls.Member) bool {
		c, err := parseCredential(m.Credential)
		return err != nil || c.Account != e.id.Account && !slices.Contains(r.others(), c.Account)
	}
	if r != nil && !slices.ContainsFunc(s.mls.Members(), strange) {
		s.rec.State = groupRekeying
	}
	if err := e.keepCandidate(tx, s); err != nil {
		return err
	}
	if err := e.keepHanded(tx, s, s.handed); err != nil {
		return err
	}
	if old.rec.Successor != s.id {
		return nil
	}
	return e.succeed(tx, old, s, d)
}

// succeed has a conversation go on in a successor: what waits goes there, and the old queue is read
// on for who comes late.
func (e *engine) succeed(tx *state.Tx, g, s *group, d *delivery) error {
	missed := g.rec.Stuck
	g.rec.State, g.pend, g.rec.Withdraw = groupSucceeded, nil, nil
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	if err := tx.Delete(bucketPending, g.id[:]); err != nil {
		return err
	}
	if err := e.dropKnock(tx, g.id); err != nil {
		return err
	}
	rec := e.convs[g.rec.Conversation]
	if !slices.Contains(rec.Groups, s.id) {
		rec.Groups = append(rec.Groups, s.id)
	}
	if err := putRecord(tx, bucketConv, g.rec.Conversation[:], rec); err != nil {
		return err
	}
	if err := e.moveWork(tx, g, s); err != nil {
		return err
	}
	s.rec.Founded, s.rec.Conversation = true, g.rec.Conversation
	if s.rec.State == groupCandidate {
		s.rec.State = groupRekeying
	}
	if err := e.announce(tx, s); err != nil { // whoever began it, too: others count who has come
		return err
	}
	if err := e.dropCandidates(tx, g, s); err != nil {
		return err
	}
	if err := e.emit(tx, Event{Kind: EventSucceeded, Conversation: g.rec.Conversation, From: g.cursor.Seq}); err != nil {
		return err
	}
	if err := e.tellCompany(tx, g, s, d); err != nil {
		return err
	}
	if err := e.release(tx, s); err != nil {
		return err
	}
	if err := s.saveRecord(tx); err != nil {
		return err
	}
	d.after = append(d.after, func() { e.advance(s); e.advance(g) })
	if missed == nil || !missed.Missed {
		return nil
	}
	return e.emit(tx, Event{
		Kind: EventGap, Conversation: g.rec.Conversation, From: missed.Seq + 1, To: g.cursor.Seq, Detail: "written while this device could not follow",
	})
}

// moveWork gives what waits in a group to its successor. Messages wait for the conversation; what
// stood in the old log in an epoch that others could not read goes out again, and who has it knows
// it by its id.
func (e *engine) moveWork(tx *state.Tx, g, s *group) error {
	for _, r := range slices.Clone(e.rows) {
		var err error
		switch {
		case r.rec.Pinned == g.id:
			err = e.forgetRow(tx, r)
		case r.rec.Group == g.id && r.rec.State != rowQueued:
			err = e.takeBack(tx, r)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range e.changesOf(g.id) {
		if err := e.finishChange(tx, c.id); err != nil {
			return err
		}
		if c.rec.Kind != changeAdd && c.rec.Kind != changeRemove {
			continue
		}
		c.rec.Group = s.id
		if err := e.queueChange(tx, c.rec); err != nil {
			return err
		}
	}
	return e.passOn(tx, g, s)
}

// passOn adds to a successor who was added to the group before it meanwhile: whoever could follow
// knows them.
func (e *engine) passOn(tx *state.Tx, g, s *group) error {
	r, err := e.rosterAt(tx, g, g.rec.Complaint)
	if err != nil || r == nil {
		return err
	}
	var late []keyserver.AccountID
	for _, a := range g.accounts() {
		if a != r.ByAccount && !slices.Contains(r.Accounts, a) {
			late = append(late, a)
		}
	}
	if late, err = e.lateOf(tx, s, late); err != nil || len(late) == 0 {
		return err
	}
	return e.addLate(tx, s, late)
}

// addLate adds to a successor members of the group before it who have no part in the votes. They
// count who has come, and heard nothing of what was said in the successor before; so all are asked.
func (e *engine) addLate(tx *state.Tx, s *group, late []keyserver.AccountID) error {
	for part := range slices.Chunk(late, maxAdd) {
		c := change{Group: s.id, Kind: changeAdd, Accounts: part, Request: [32]byte(newSecret()), Late: true}
		if err := e.queueChange(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// callRoll asks all in a successor to say joined again; this device does too.
func (e *engine) callRoll(tx *state.Tx, s *group) error {
	roll := outRow{Conversation: s.rec.Conversation, Pinned: s.id, Kind: payloadRoll, ID: MessageID(newSecret()), State: rowQueued}
	if err := e.queueRow(tx, roll); err != nil {
		return err
	}
	return e.announce(tx, s)
}

// rollPause is how often a member lets itself be asked.
const rollPause = 10 * time.Minute

func (e *engine) answerRoll(tx *state.Tx, s *group, d *delivery) error {
	if !s.rec.Founded || time.Since(s.answered) < rollPause {
		return nil
	}
	s.answered = time.Now()
	d.after = append(d.after, func() { e.advance(s) })
	return e.announce(tx, s)
}

// lateComer adds to the successor a member of the group before it that knocks there and was in none.
func (e *engine) lateComer(tx *state.Tx, g *group, asked *change, d *delivery) error {
	s := e.groups[g.rec.Successor]
	if g.rec.State != groupSucceeded {
		return nil
	}
	r, err := e.rosterAt(tx, g, g.rec.Complaint)
	if err != nil || r == nil || s == nil || !s.live() || asked.Accounts[0] == r.ByAccount {
		return err
	}
	if slices.Contains(s.accounts(), asked.Accounts[0]) {
		return e.answerRoll(tx, s, d) // it does not know yet that the others have gone
	}
	late, err := e.lateOf(tx, s, asked.Accounts)
	if err != nil || len(late) == 0 {
		return err
	}
	d.after = append(d.after, func() { e.advance(s) })
	return e.addLate(tx, s, late)
}

// dropCandidates forgets the groups that were not founded.
func (e *engine) dropCandidates(tx *state.Tx, g, founded *group) error {
	for _, s := range e.groups {
		if s.rec.Succeeds != g.id || s.id == founded.id || s.rec.State == groupRemoved {
			continue
		}
		if err := e.discard(tx, s); err != nil {
			return err
		}
	}
	return nil
}

// company is whose going to s counts for this device: the others in the epoch that it was shut out of, or
// of which it is. Who cannot follow for another reason than a commit whose author it knows counts all
// but itself. Nil if it does not know. A keeper who was left out does not count for a member, since he may
// have closed the queue, and that be over for more than the days for which its log tells so.
func (e *engine) company(tx *state.Tx, g, s *group) (*roster, error) {
	switch {
	case g.live():
		r := g.rosterOf(&keyserver.Credential{})
		if k := g.policy.Keeper; k != nil {
			if at := slices.Index(r.Members, k.Device); at >= 0 && !slices.Contains(s.accounts(), r.Accounts[at]) {
				r.By, r.ByAccount = k.Device, r.Accounts[at]
			}
		}
		return &r, nil
	case !g.away():
		return nil, nil
	case g.rec.State == groupStuck && g.rec.Stuck != nil:
		if r, err := e.rosterAt(tx, g, g.rec.Stuck.Commit); r != nil || err != nil {
			return r, err
		}
	}
	return new(g.rosterOf(&keyserver.Credential{Account: e.id.Account, Device: e.device()})), nil
}

// come looks whether a majority of the others have spoken in a group that may succeed one: they do so
// once it is founded, by votes that this device cannot open or count. That settles it as well.
func (e *engine) come(tx *state.Tx, s *group, d *delivery) error {
	g := e.groups[s.rec.Succeeds]
	if g == nil || s.rec.Founded || g.rec.State == groupSucceeded {
		return nil
	}
	r, err := e.company(tx, g, s)
	if err != nil || r == nil {
		return err
	}
	var spoken []keyserver.DeviceID
	for _, m := range s.mls.Members() {
		c, err := parseCredential(m.Credential)
		if err != nil {
			continue
		}
		keys, err := getRecord[leafKeys](tx, bucketReader, leafKey(s.id, m.Leaf))
		if err != nil {
			return err
		}
		if keys != nil && keys.Claimed {
			spoken = append(spoken, c.Device)
		}
	}
	if len(r.accountsOf(spoken)) < r.majority() {
		return nil
	}
	var commit relay.Hash
	if g.rec.Stuck != nil {
		commit = g.rec.Stuck.Commit
	}
	return e.founded(tx, g, s.id, commit, d)
}
