package clientlib

import (
	"errors"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// Where nobody can answer the knocks, since all but an insider and perhaps some friends of his
// cannot follow his commit, the members who are shut out vote for a successor group, and the
// conversation goes on in it (DESIGN section 4).

const successorVersion = 1

var errBadSuccessor = errors.New("clientlib: group says that it succeeds one, and does not")

// succession is the GroupContext extension of a successor. It tells those who were in the group
// before what it is, and all others what the conversation's messages name as their room.
//
//	struct { uint8 version = 1; opaque group[32]; opaque queue[32]; opaque room[32]; }
type succession struct {
	Group groupID // that it succeeds
	Queue relay.QueueID
	Room  ConversationID // of the first group in the line
}

func (s *succession) MarshalWire(w *wire.Writer) {
	w.Uint8(successorVersion)
	w.Raw(s.Group[:])
	w.Raw(s.Queue[:])
	w.Raw(s.Room[:])
}

func (s *succession) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != successorVersion {
		r.Fail(errBadSuccessor)
	}
	r.Copy(s.Group[:])
	r.Copy(s.Queue[:])
	r.Copy(s.Room[:])
}

// successionOf reads a group's succession; nil if it succeeds none.
func successionOf(g *mls.Group) (*succession, error) {
	data, ok := g.GroupContextExtension(extensionSuccessor)
	if !ok {
		return nil, nil
	}
	s := new(succession)
	if err := wire.Unmarshal(data, s); err != nil {
		return nil, errBadSuccessor
	}
	return s, nil
}

// roster is who was in an epoch that a commit ended, and whose commit that was: what it takes to
// count votes against it. Where the queue was closed it is the CLOSED entry, and who closed it.
type roster struct {
	Epoch     uint64                `cbor:"1,keyasint"`
	By        keyserver.DeviceID    `cbor:"2,keyasint"`
	ByAccount keyserver.AccountID   `cbor:"3,keyasint"`
	Members   []keyserver.DeviceID  `cbor:"4,keyasint"` // its author too
	Accounts  []keyserver.AccountID `cbor:"5,keyasint"` // of Members, in the same order
}

// votes reports whether a device has a part in its account's vote. The author's account has none:
// anybody can add devices of its own account, as many as it likes and with keys that it makes up. Nor
// has that of the keeper of a closed queue.
func (r *roster) votes(d keyserver.DeviceID) bool {
	at, by := slices.Index(r.Members, d), slices.Index(r.Members, r.By)
	return at >= 0 && r.Accounts[at] != r.ByAccount && (by < 0 || r.Accounts[at] != r.Accounts[by])
}

// others are the accounts of the members but for the author's, each once.
func (r *roster) others() (out []keyserver.AccountID) {
	for _, a := range r.Accounts {
		if a != r.ByAccount && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// accountsOf lists to whom some devices belong of those who have a vote, each once.
func (r *roster) accountsOf(devices []keyserver.DeviceID) (out []keyserver.AccountID) {
	for _, d := range devices {
		if at := slices.Index(r.Members, d); r.votes(d) && !slices.Contains(out, r.Accounts[at]) {
			out = append(out, r.Accounts[at])
		}
	}
	return out
}

// majority is how many accounts' votes found a successor.
func (r *roster) majority() int { return len(r.accountsOf(r.Members))/2 + 1 }

func rosterKey(id groupID, commit relay.Hash) []byte { return append(id[:], commit[:]...) }

// rosterOf lists the members of the epoch in force, which a commit of one of them ends.
func (g *group) rosterOf(by *keyserver.Credential) roster {
	r := roster{Epoch: g.mls.Epoch(), By: by.Device, ByAccount: by.Account}
	for _, m := range g.mls.Members() {
		if c, err := parseCredential(m.Credential); err == nil {
			r.Members, r.Accounts = append(r.Members, c.Device), append(r.Accounts, c.Account)
		}
	}
	return r
}

// rosterAt finds the roster of a commit: stored by who could not follow it, else put together
// from what the commits since have changed. Nil if this device knows nothing of that commit.
func (e *engine) rosterAt(tx *state.Tx, g *group, commit relay.Hash) (*roster, error) {
	if commit == (relay.Hash{}) { // of epochs of which only the secret was handed over
		return nil, nil
	}
	r, err := getRecord[roster](tx, bucketRoster, rosterKey(g.id, commit))
	if r != nil || err != nil {
		return r, err
	}
	past, err := pastEpochs(tx, g.id)
	if err != nil {
		return nil, err
	}
	now := g.rosterOf(&keyserver.Credential{})
	for i := range past {
		p := &past[len(past)-1-i]
		if p.Epoch+uint64(i)+1 != now.Epoch || p.Commit == (relay.Hash{}) {
			return nil, nil // before this device came, or came back: who was in it is not known
		}
		for _, c := range p.Added {
			if at := slices.Index(now.Members, c.Device); at >= 0 {
				now.Members, now.Accounts = slices.Delete(now.Members, at, at+1), slices.Delete(now.Accounts, at, at+1)
			}
		}
		for _, c := range p.Removed {
			now.Members, now.Accounts = append(now.Members, c.Device), append(now.Accounts, c.Account)
		}
		if p.Commit == commit {
			now.Epoch, now.By, now.ByAccount = p.Epoch, p.By.Device, p.By.Account
			return &now, nil
		}
	}
	return nil, nil
}

// heirs is the policy of a successor: that of before, in another queue and without the author among
// the admins. If nobody is left there, all are admins, as many as there can be. Its keeper is whoever
// founds it.
func (p *policy) heirs(r *roster, queue relay.QueueID) *policy {
	next := *p
	next.Queue, next.Keeper = queue, nil
	next.Admins = slices.DeleteFunc(slices.Clone(p.Admins), func(a keyserver.AccountID) bool { return a == r.ByAccount })
	if len(next.Admins) == 0 {
		for _, a := range r.Accounts {
			if a != r.ByAccount && !slices.Contains(next.Admins, a) {
				next.Admins = append(next.Admins, a)
			}
		}
		slices.SortFunc(next.Admins, func(a, b keyserver.AccountID) int { return slices.Compare(a[:], b[:]) })
		next.Admins = next.Admins[:min(len(next.Admins), maxAdmins)]
	}
	return &next
}

// complete reports whether a group can succeed another for all but the author of a commit: all the
// other accounts are in it and nobody else is, its policy is the one that it has to be, and one of those
// who have a vote is its keeper. Accounts, and not devices: a device that a member has made up can be
// invited nowhere, and must not keep everybody where they are.
func complete(s, g *group, r *roster) bool {
	if s.mls == nil || s.policy == nil || s.policy.Keeper == nil || !r.votes(s.policy.Keeper.Device) {
		return false
	}
	in, others := s.accounts(), r.others()
	for _, a := range in {
		if !slices.Contains(others, a) {
			return false
		}
	}
	if len(in) != len(others) {
		return false
	}
	heirs := g.policy.heirs(r, s.policy.Queue)
	heirs.Keeper = s.policy.Keeper
	want, err := wire.Marshal(heirs)
	if err != nil {
		return false
	}
	have, err := wire.Marshal(s.policy)
	return err == nil && string(have) == string(want)
}
