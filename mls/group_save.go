package mls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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
	dropped signedLog
	spoken  uint32
	past    []*pastEpoch
	sum     recordSum // of its records
}

func (g *Group) snapshot() *snapshot {
	if g.removed {
		return new(snapshot)
	}
	return &snapshot{at: g.at, keys: g.keys.clone(), queue: g.queue, sent: g.sent, commits: g.commits,
		signed: g.signed, dropped: g.dropped, spoken: g.spoken, past: g.past}
}

// Save lists what the caller's store lacks: the records that came, changed or went since the
// group was made, loaded, or last [Group.Saved]. No key is among them twice. After a message
// they take less than 2 KiB in a group of any size, with 64 bytes for each message that it
// skipped; after a commit, the nodes and secrets that it changed. Of a former member all
// records go.
//
// The caller stores them in one transaction, with whatever depends on them, and then calls
// [Group.Saved]. As long as it does not, Save lists every key again that it listed before, with
// what stands there by now, nothing perhaps, and what came since: whether a transaction before
// has failed, or its outcome is not known, storing all of the last list is always right. A
// caller that goes back to a [Group.Clone] instead knows that the transaction has failed.
//
// The records are copies, which the caller may wipe once they are stored.
func (g *Group) Save() []Record {
	before, now := g.saving, g.snapshot()
	if before == nil {
		before = g.saved
	}
	if before == nil {
		before = new(snapshot)
	}
	d := &delta{sum: before.sum}
	before.diff(now, d)
	now.sum = d.sum
	g.saving, g.listed = now, relisted(g.listed, d.records)
	if len(g.listed) == 0 {
		return nil
	}
	out := make([]Record, 0, len(g.listed)+1)
	for _, r := range g.listed {
		out = append(out, Record{Key: r.Key, Value: bytes.Clone(r.Value)})
	}
	header := Record{Key: recordHeader}
	if now.at != nil {
		header.Value = now.sum.header()
	}
	return append(out, header)
}

// relisted is before with the changes made that came since: each key once, with its last value.
// It leaves before as it is, which copies of the group share.
func relisted(before, changes []Record) []Record {
	if len(before) == 0 {
		return changes
	}
	out, at := slices.Clone(before), make(map[string]int, len(before))
	for i, r := range before {
		at[r.Key] = i
	}
	for _, r := range changes {
		if i, ok := at[r.Key]; ok {
			out[i] = r
		} else {
			out = append(out, r)
		}
	}
	return out
}

// Saved says that what the last [Group.Save] listed is stored for good. What has changed since
// that Save is still to be saved. Without a Save before it, it does nothing.
func (g *Group) Saved() {
	if g.saving != nil {
		g.saved, g.saving, g.listed = g.saving, nil, nil
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
	setEach(d, recordDropped, s.dropped, now.dropped, writeSignedBlock)
	d.set(recordKey(recordSpoken), encodeSpoken(s.spoken), encodeSpoken(now.spoken))
	diffPast(s.past, now.past, d)
}

// encodeSpoken is nothing for the 0 that an epoch begins with.
func encodeSpoken(generation uint32) []byte {
	if generation == 0 {
		return nil
	}
	return binary.BigEndian.AppendUint32(nil, generation)
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
