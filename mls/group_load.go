package mls

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// LoadGroup is the inverse of [Group.Save]: records are all that the caller's store holds of
// one group, in any order, and app takes the place of what the group had. Records that are
// damaged, missing, left over or of different times are [ErrCorrupt]. That they are the newest
// that were ever stored, this function cannot know: older ones would use keys twice.
//
// The records stay the caller's. All tree hashes are computed again.
func LoadGroup(records []Record, app Application) (*Group, error) {
	g, err := loadGroup(records, app)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return g, err
}

func loadGroup(records []Record, app Application) (*Group, error) {
	l := loader{kinds: map[string][]Record{}}
	if err := l.sort(records); err != nil {
		return nil, err
	}
	g := &Group{app: app}
	for _, load := range []func(*Group) error{l.epoch, l.secrets, l.lists, l.past} {
		if err := load(g); err != nil {
			return nil, err
		}
	}
	g.saved = g.snapshot()
	g.saved.sum = l.sum
	return g, nil
}

// loader holds the records of one group by their kinds, in the order of their keys.
type loader struct {
	kinds map[string][]Record
	sum   recordSum
}

// recordNumbers is how many numbers the keys of each kind hold.
var recordNumbers = map[string]int{
	recordHeader: 0, recordEpoch: 0, recordNode: 1, recordHeld: 1, recordSecret: 1,
	recordHandshake: 1, recordMessages: 1, recordHandshakes: 2, recordSkipped: 2, recordExport: 1,
	recordQueued: 1, recordSent: 1, recordCommit: 1, recordSigned: 1, recordDropped: 1, recordSpoken: 0,
	recordPast: 2, recordPastLeaf: 3, recordPastSecret: 3, recordPastMessages: 3, recordPastSkipped: 4,
}

// sort verifies that the set of records is the one that was saved.
func (l *loader) sort(records []Record) error {
	for _, r := range records {
		if r.Key == "" || r.Value == nil {
			return fmt.Errorf("%w: a record without a key or value", ErrCorrupt)
		}
		kind := r.Key[:1]
		if n, ok := recordNumbers[kind]; !ok || len(r.Key) != 1+4*n {
			return fmt.Errorf("%w: a record of kind %q", ErrCorrupt, kind)
		}
		if kind != recordHeader && kind != recordNode {
			l.sum.add(digestRecord(r.Key, r.Value))
		}
		l.kinds[kind] = append(l.kinds[kind], Record{Key: r.Key, Value: bytes.Clone(r.Value)})
	}
	for _, of := range l.kinds {
		slices.SortFunc(of, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
		for i := range of[1:] {
			if of[i].Key == of[i+1].Key {
				return fmt.Errorf("%w: a record twice", ErrCorrupt)
			}
		}
	}
	header, err := l.single(recordHeader)
	if err != nil {
		return err
	}
	sum, err := parseHeader(header)
	if err != nil {
		return err
	}
	if sum != l.sum {
		return fmt.Errorf("%w: records are missing, left over, damaged or of different times", ErrCorrupt)
	}
	return nil
}

// single is the value of the one record of a kind.
func (l *loader) single(kind string) ([]byte, error) {
	if len(l.kinds[kind]) != 1 {
		return nil, fmt.Errorf("%w: no record of kind %q", ErrCorrupt, kind)
	}
	return l.kinds[kind][0].Value, nil
}

// epoch loads what changes with a commit.
func (l *loader) epoch(g *Group) error {
	value, err := l.single(recordEpoch)
	if err != nil {
		return err
	}
	r := wire.NewReader(value)
	if g.at, err = readEpochRecord(r); err != nil {
		return err
	}
	if err := r.Finish(); err != nil {
		return err
	}
	tree, err := g.at.suite.loadTree(l.kinds[recordNode])
	if err != nil {
		return err
	}
	held := privateTree{}
	for _, r := range l.kinds[recordHeld] {
		key, err := g.at.suite.storedHPKE(r.Value)
		if err != nil {
			return err
		}
		held[nodeIndex(r.numbers()[0])] = key
	}
	return g.at.complete(tree, held)
}

// loadTree puts stored nodes, in ascending order, into a tree.
func (s *suite) loadTree(records []Record) (*ratchetTree, error) {
	var listed []*node
	for _, r := range records {
		x := nodeIndex(r.numbers()[0])
		if uint32(x) >= treeWidth(maxLeaves) {
			return nil, fmt.Errorf("%w: node %d of a ratchet tree", ErrCorrupt, x)
		}
		n, err := parseNode(r.Value, x)
		if err != nil {
			return nil, err
		}
		listed = append(listed, make([]*node, int(x)-len(listed))...)
		listed = append(listed, n)
	}
	return s.treeOf(listed)
}

// parseNode is the inverse of writeNode.
func parseNode(b []byte, x nodeIndex) (*node, error) {
	r := wire.NewReader(b)
	n := new(node)
	if x.isLeaf() {
		n.leaf = readLeafNode(r)
	} else {
		n.parent = readParentNode(r)
	}
	return n, r.Finish()
}

// secrets loads the secret tree.
func (l *loader) secrets(g *Group) error {
	t := &secretTree{suite: g.at.suite, leaves: g.at.tree.leaves()}
	for _, r := range l.kinds[recordSecret] {
		if err := t.loadSecret(nodeIndex(r.numbers()[0]), r.Value); err != nil {
			return err
		}
	}
	handshake, application := l.kinds[recordHandshake], l.kinds[recordMessages]
	if !slices.EqualFunc(handshake, application, func(a, b Record) bool { return a.Key[1:] == b.Key[1:] }) {
		return fmt.Errorf("%w: one ratchet of a leaf without the other", ErrCorrupt)
	}
	for _, r := range slices.Concat(handshake, application) {
		if err := t.loadHead(LeafIndex(r.numbers()[0]), r.contentType(), r.Value); err != nil {
			return err
		}
	}
	for _, r := range slices.Concat(l.kinds[recordHandshakes], l.kinds[recordSkipped]) {
		if err := t.loadSkipped(LeafIndex(r.numbers()[0]), r.contentType(), r.numbers()[1], r.Value); err != nil {
			return err
		}
	}
	t.exports = exporterTree{}
	for _, r := range l.kinds[recordExport] {
		if err := t.exports.loadExport(t.suite, nodeIndex(r.numbers()[0]), r.Value); err != nil {
			return err
		}
	}
	g.keys = t
	return nil
}

// lists loads what waits, and what this member has said.
func (l *loader) lists(g *Group) (err error) {
	if g.queue, err = loadList(l.kinds[recordQueued], g.at.readQueuedProposal); err != nil {
		return err
	}
	if g.sent, err = loadList(l.kinds[recordSent], g.at.readQueuedProposal); err != nil {
		return err
	}
	if g.commits, err = loadList(l.kinds[recordCommit], readDigest); err != nil {
		return err
	}
	if g.signed, err = loadList(l.kinds[recordSigned], readSignedBlock); err != nil {
		return err
	}
	if g.dropped, err = loadList(l.kinds[recordDropped], readSignedBlock); err != nil {
		return err
	}
	for _, r := range l.kinds[recordSpoken] { // at most one: it has no number
		if len(r.Value) != 4 {
			return fmt.Errorf("%w: a generation of %d bytes", ErrCorrupt, len(r.Value))
		}
		g.spoken = binary.BigEndian.Uint32(r.Value)
	}
	return nil
}

func readDigest(r *wire.Reader) (d [sha256.Size]byte) {
	r.Copy(d[:])
	return d
}

// loadList is the inverse of setEach: no place is left out.
func loadList[T any](records []Record, read func(*wire.Reader) T) ([]T, error) {
	var out []T
	for i, rec := range records {
		if rec.numbers()[0] != uint32(i) {
			return nil, fmt.Errorf("%w: a list of kind %q with holes", ErrCorrupt, rec.Key[:1])
		}
		r := wire.NewReader(rec.Value)
		out = append(out, read(r))
		if err := r.Finish(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
