package clientlib

import (
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/jitter"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// Kinds of vote. The numbers are the wire's, and follow that of a knock.
const (
	voteFor      uint8 = 2 // for a successor; its founder's is the announcement
	voteWithdraw uint8 = 3 // of all votes against a commit
)

// votePatience is how long a member who is shut out knocks before it announces a successor.
const votePatience = 10 * time.Minute

// Config.votes is votePatience but in tests.
func (e *engine) votePatience() time.Duration {
	if e.cfg.votes > 0 {
		return e.cfg.votes
	}
	return votePatience
}

// votesKept bounds what one member's votes against one commit take here.
const votesKept = 8

// vote is what a KNOCK entry of class 1 encloses:
//
//	struct { uint8 version = 1; uint8 kind; opaque commit[32]; opaque group[32]; opaque reader[32];
//	         opaque key<V>; opaque credential<V>; opaque signature<V>; }
type vote struct {
	Kind       uint8
	Commit     relay.Hash // SHA-256 of the envelope of the COMMIT that it complains of
	Group      groupID    // the successor; zero in a withdrawal
	Reader     relay.PublicKey
	Key        []byte // the signature key of the voter's leaf
	Credential []byte // and what its device signed for that
	Signature  []byte
}

// signed is what the leaf's signature covers.
func (v *vote) signed(queue relay.QueueID) []byte {
	return slices.Concat([]byte{knockVersion, v.Kind}, queue[:], v.Commit[:], v.Group[:], v.Reader[:])
}

func (v *vote) MarshalWire(w *wire.Writer) {
	w.Uint8(knockVersion)
	w.Uint8(v.Kind)
	w.Raw(v.Commit[:])
	w.Raw(v.Group[:])
	w.Raw(v.Reader[:])
	w.Bytes(v.Key)
	w.Bytes(v.Credential)
	w.Bytes(v.Signature)
}

func (v *vote) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != knockVersion {
		r.Fail(errBadKnock)
	}
	if v.Kind = r.Uint8(); v.Kind != voteFor && v.Kind != voteWithdraw {
		r.Fail(errBadKnock)
	}
	r.Copy(v.Commit[:])
	r.Copy(v.Group[:])
	r.Copy(v.Reader[:])
	v.Key = r.Bytes()
	v.Credential = r.Bytes()
	v.Signature = r.Bytes()
}

func voteKey(id groupID, commit relay.Hash, device keyserver.DeviceID) []byte {
	return slices.Concat(id[:], commit[:], device[:])
}

// voted processes a vote in the log: whoever can count votes against that commit does, and the
// entry with which a majority has voted for one successor founds it, for all.
func (e *engine) voted(tx *state.Tx, g *group, en *relayclient.Entry, content []byte, d *delivery) error {
	v := new(vote)
	if wire.Unmarshal(content, v) != nil || en.Reader == nil || *en.Reader != v.Reader {
		return nil
	}
	cred, err := keyserver.ParseCredential(v.Credential)
	if err != nil || cred.Verify(v.Key, uint16(g.mls.Suite())) != nil || g.mls.Suite().Verify(v.Key, signVote, v.signed(g.rec.Queue), v.Signature) != nil {
		return nil
	}
	r, err := e.rosterAt(tx, g, v.Commit)
	if err != nil || r == nil || !r.votes(cred.Device) {
		return err
	}
	prefix := voteKey(g.id, v.Commit, cred.Device)
	if v.Kind == voteWithdraw {
		return clearBucket(tx, bucketVote, prefix)
	}
	n := 0
	for _, err := range tx.Scan(bucketVote, prefix) {
		if err != nil {
			return err
		}
		n++
	}
	if n >= votesKept {
		return nil
	}
	if err := tx.Put(bucketVote, append(prefix, v.Group[:]...), counterKey(en.Position.Seq)); err != nil {
		return err
	}
	return e.count(tx, g, v, r, d)
}

// count founds a successor if a majority has voted for it. Who is not among those who have a vote,
// or complained of, stays where it is. A group that is not founded itself has no successor: it is no
// conversation that could go on, and whoever made it says who is in it.
func (e *engine) count(tx *state.Tx, g *group, v *vote, r *roster, d *delivery) error {
	if g.rec.Successor != (groupID{}) || g.unfounded() || !r.votes(e.device()) {
		return nil
	}
	votes, err := votesFor(tx, g, v.Commit, v.Group)
	if err != nil || len(r.accountsOf(votes)) < r.majority() {
		return err
	}
	return e.founded(tx, g, v.Group, v.Commit, d)
}

// votesFor lists the devices whose votes for a successor stand.
func votesFor(tx *state.Tx, g *group, commit relay.Hash, successor groupID) (devices []keyserver.DeviceID, err error) {
	for kv, err := range tx.Scan(bucketVote, rosterKey(g.id, commit)) {
		if err != nil {
			return nil, err
		}
		if string(kv.Key[3*32:]) == string(successor[:]) {
			devices = append(devices, keyserver.DeviceID(kv.Key[2*32:3*32]))
		}
	}
	return devices, nil
}

// announced is a successor that somebody has voted for, and against which commit.
type announced struct {
	commit    relay.Hash
	successor groupID
	seq       uint64 // of the first vote that is kept
	own       bool   // this device's vote is among them
}

// announcements lists them in the order of the log.
func (e *engine) announcements(tx *state.Tx, g *group) (out []*announced, err error) {
	own := e.device()
	for kv, err := range tx.Scan(bucketVote, g.id[:]) {
		if err != nil {
			return nil, err
		}
		commit, device, successor, seq := relay.Hash(kv.Key[32:64]), keyserver.DeviceID(kv.Key[64:96]), groupID(kv.Key[96:]), counterOf(kv.Value)
		i := slices.IndexFunc(out, func(a *announced) bool { return a.commit == commit && a.successor == successor })
		if i < 0 {
			i = len(out)
			out = append(out, &announced{commit: commit, successor: successor, seq: seq})
		}
		out[i].seq = min(out[i].seq, seq)
		out[i].own = out[i].own || device == own
	}
	slices.SortFunc(out, func(a, b *announced) int { return int(int64(a.seq) - int64(b.seq)) })
	return out, nil
}

// seek is what a member who is shut out does besides knocking, or whose queue was closed, once it
// has read all of the log: it votes for the successors that it has joined and found all the others
// in, the earliest first, and after a while it begins one. Who is stuck at a later commit of the
// same author votes for one against an earlier commit, too.
func (e *engine) seek(l *link, g *group) {
	s := g.rec.Stuck
	if g.rec.State != groupStuck || g.unfounded() || s == nil || s.By.Device == (keyserver.DeviceID{}) || g.voting || g.policy.Kind != Group || g.rec.Successor != (groupID{}) || !g.caughtUp() {
		return
	}
	var votes []announced
	var waits bool
	err := e.db.View(e.ctx, func(tx *state.Tx) error {
		list, err := e.announcements(tx, g)
		if err != nil {
			return err
		}
		if own := e.begun(g); own != nil {
			list = append(list, &announced{commit: s.Commit, successor: own.id, own: slices.ContainsFunc(list, func(a *announced) bool { return a.successor == own.id && a.own })})
		}
		for _, a := range list {
			r, err := e.rosterAt(tx, g, a.commit)
			if err != nil {
				return err
			}
			next := e.groups[a.successor]
			switch {
			case a.own || slices.Contains(g.votes, a.successor) || r == nil || r.ByAccount != s.By.Account:
			case next != nil && next.rec.Succeeds == g.id && complete(next, g, r) && r.votes(e.device()):
				votes = append(votes, *a)
			default:
				waits = true // for its invitation, or for others to be added
			}
		}
		return nil
	})
	if err != nil {
		return
	}
	if len(votes) > 0 {
		e.castVote(l, g, &vote{Kind: voteFor, Commit: votes[0].commit, Group: votes[0].successor})
		return
	}
	due := s.Since
	if !g.rec.Closed { // somebody may answer the knocks
		due += int64(e.votePatience() / time.Second)
	}
	if waits {
		due += int64(2 * e.votePatience() / time.Second)
	}
	if e.begun(g) == nil && e.now() >= due && !g.begins && s.By.Device != e.device() {
		g.begins = true
		e.after(jitter.Below(e.votePatience()/2+1), func() { e.begin(g) })
	}
}

// begun is the successor of a group that this device has begun.
func (e *engine) begun(g *group) *group {
	for _, s := range e.groups {
		if s.rec.Succeeds == g.id && s.rec.Begun && s.rec.State != groupRemoved {
			return s
		}
	}
	return nil
}

// castVote posts a vote, sealed under the knock secret of the epoch that the commit ended.
func (e *engine) castVote(l *link, g *group, v *vote) {
	reader := e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
	v.Reader = publicKey(reader)
	envelope, err := e.sealVote(g, v)
	if err != nil {
		return
	}
	if envelope == nil { // it cannot have voted under a secret that it never had
		g.rec.Withdraw = slices.DeleteFunc(g.rec.Withdraw, func(h relay.Hash) bool { return h == v.Commit })
		_ = e.update(g.saveRecord)
		return
	}
	if e.noteVote(g, v) != nil {
		return
	}
	g.voting = true
	call := l.conn.Knock(g.rec.Queue, newIdempotencyID(), reader, relay.ClassVote, envelope)
	e.send(l, len(envelope), call, func(_ relay.Position, err error) {
		g.voting = false
		switch {
		case err != nil:
			e.after(retryAfter(err), func() { e.advance(g) })
			return
		case v.Kind == voteFor:
			g.votes = append(g.votes, v.Group)
		default:
			g.rec.Withdraw = slices.DeleteFunc(g.rec.Withdraw, func(h relay.Hash) bool { return h == v.Commit })
			if e.update(g.saveRecord) != nil {
				return
			}
		}
		e.advance(g)
	})
}

// noteVote stores what a vote was against before it leaves, with who was in that epoch: a member that
// was replaced takes back all that may have left, and cannot put that together any more.
func (e *engine) noteVote(g *group, v *vote) error {
	if g.rec.Stuck == nil || slices.Contains(g.rec.Stuck.Voted, v.Commit) || v.Kind != voteFor {
		return nil
	}
	return e.update(func(tx *state.Tx) error {
		r, err := e.rosterAt(tx, g, v.Commit)
		if err != nil {
			return err
		}
		if r != nil {
			if err := putRecord(tx, bucketRoster, rosterKey(g.id, v.Commit), r); err != nil {
				return err
			}
		}
		g.rec.Stuck.Voted = append(g.rec.Stuck.Voted, v.Commit)
		return g.saveRecord(tx)
	})
}

// sealVote signs and seals a vote; nil if this device has not the secret of that epoch.
func (e *engine) sealVote(g *group, v *vote) (envelope []byte, err error) {
	own, ok := g.mls.Member(g.mls.OwnLeaf())
	if !ok {
		return nil, nil
	}
	v.Key, v.Credential = own.SignatureKey, own.Credential.Identity
	if v.Signature, err = g.mls.Sign(signVote, v.signed(g.rec.Queue)); err != nil {
		return nil, err
	}
	content, err := wire.Marshal(v)
	if err != nil {
		return nil, err
	}
	err = e.db.View(e.ctx, func(tx *state.Tx) error {
		s, err := e.secretOf(tx, g, v.Commit)
		if err != nil || s == nil {
			return err
		}
		envelope, err = knockKeys(s, g.rec.Queue).seal(relay.KindKnock, content)
		return err
	})
	return envelope, err
}

// secretOf is the knock secret of the epoch that a commit ended.
func (e *engine) secretOf(tx *state.Tx, g *group, commit relay.Hash) (secret, error) {
	r, err := e.rosterAt(tx, g, commit)
	if err != nil || r == nil {
		return nil, err
	}
	if r.Epoch == g.mls.Epoch() {
		return g.keys.knock, nil
	}
	p, err := getRecord[pastEpoch](tx, bucketKnock, knockKey(g.id, r.Epoch))
	if err != nil || p == nil {
		return nil, err
	}
	return p.Secret, nil
}

// withdraw takes back the votes of before this device was replaced, before it says anything in the
// group again.
func (e *engine) withdraw(l *link, g *group) {
	if !g.voting {
		e.castVote(l, g, &vote{Kind: voteWithdraw, Commit: g.rec.Withdraw[0]})
	}
}
