package mls

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// snapshot is all that is stored of a group. What it refers to is never written to, so it
// costs nothing to take one, and two show by their pointers where they differ.
type snapshot struct {
	at      *EpochView // nil: nothing is stored
	keys    *secretTree
	queue   proposalQueue
	sent    []*queuedProposal
	commits [][sha256.Size]byte
	signed  signedLog
	past    []*pastEpoch
	sum     recordSum // of its records
}

func (g *Group) snapshot() *snapshot {
	if g.removed {
		return new(snapshot)
	}
	return &snapshot{at: g.at, keys: g.keys.clone(), queue: g.queue, sent: g.sent, commits: g.commits, signed: g.signed, past: g.past}
}

// Save lists what the caller's store lacks: the records that came, changed or went since the
// group was made, loaded, or last [Group.Saved]. No key is among them twice. After a message
// they take less than 2 KiB in a group of any size, with 64 bytes for each message that it
// skipped; after a commit, the nodes and secrets that it changed. Of a former member all
// records go.
//
// The caller stores them in one transaction, with whatever depends on them, and then calls
// [Group.Saved]. As long as it does not, Save lists the same and what came since: if the
// transaction failed or its outcome is not known, calling Save again and storing all of it is
// always right.
func (g *Group) Save() []Record {
	g.saving = g.snapshot()
	before := g.saved
	if before == nil {
		before = new(snapshot)
	}
	d := &delta{sum: before.sum}
	before.diff(g.saving, d)
	g.saving.sum = d.sum
	if len(d.records) == 0 {
		return nil
	}
	header := Record{Key: recordHeader}
	if g.saving.at != nil {
		header.Value = d.sum.header()
	}
	return append(d.records, header)
}

// Saved says that what the last [Group.Save] listed is stored for good. What has changed since
// that Save is still to be saved. Without a Save before it, it does nothing.
func (g *Group) Saved() {
	if g.saving != nil {
		g.saved, g.saving = g.saving, nil
	}
}

// diff adds to d what leads from s to now.
func (s *snapshot) diff(now *snapshot, d *delta) {
	if s.at != now.at {
		s.at.diff(now.at, d)
	}
	s.keys.diff(now.keys, d)
	setEach(d, recordQueued, s.queue, now.queue, writeQueuedProposal)
	setEach(d, recordSent, s.sent, now.sent, writeQueuedProposal)
	setEach(d, recordCommit, s.commits, now.commits, func(w *wire.Writer, c [sha256.Size]byte) { w.Raw(c[:]) })
	setEach(d, recordSigned, s.signed, now.signed, writeSignedBlock)
	diffPast(s.past, now.past, d)
}

// diff adds to d what leads from one epoch to another; either may be nil.
func (e *EpochView) diff(now *EpochView, d *delta) {
	var before, after []byte
	var tree, nextTree *ratchetTree
	var held, nextHeld privateTree
	if e != nil {
		before, tree, held = encode(e, writeEpochRecord), e.tree, e.held
	}
	if now != nil {
		after, nextTree, nextHeld = encode(now, writeEpochRecord), now.tree, now.held
	}
	d.set(recordEpoch, before, after)
	d.setTree(tree, nextTree)
	d.setHeld(held, nextHeld)
}

// setTree is set for ratchet trees. Their records are not part of the sum: the tree hash in
// the epoch's record covers them.
func (d *delta) setTree(before, now *ratchetTree) {
	for x, n := range changedNodes(before, now) {
		r := Record{Key: recordKey(recordNode, uint32(x))}
		if n != nil {
			r.Value = encode(n, writeNode)
		}
		d.records = append(d.records, r)
	}
}

// writeNode writes a node without saying of which kind it is: its place tells.
func writeNode(w *wire.Writer, n *node) {
	if n.leaf != nil {
		writeLeafNode(w, n.leaf)
	} else {
		writeParentNode(w, n.parent)
	}
}

func (d *delta) setHeld(before, now privateTree) {
	encoded := func(key *hpkePrivate) []byte {
		if key == nil {
			return nil
		}
		return mustPrivate(key)
	}
	all := maps.Clone(before)
	if all == nil {
		all = privateTree{}
	}
	maps.Copy(all, now)
	for _, x := range slices.Sorted(maps.Keys(all)) {
		if before[x] != now[x] {
			d.set(recordKey(recordHeld, uint32(x)), encoded(before[x]), encoded(now[x]))
		}
	}
}
