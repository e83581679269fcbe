package mls

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// exporterLeaves is the number of an exporter tree's leaves: one for each component id.
const exporterLeaves = 1 << 16

// exporterTree is the Exporter Tree of draft-ietf-mls-extensions in its living parts: like the
// secret tree, it gives each secret once, and what could derive it again is gone. It is never
// written to, so that copies of a group can share it.
type exporterTree map[nodeIndex]secret

func newExporterTree(applicationExport secret) exporterTree {
	return exporterTree{treeRoot(exporterLeaves): applicationExport}
}

// Format prints "redacted" for every verb.
func (exporterTree) Format(f fmt.State, _ rune) { printRedacted(f) }

// take returns a component's secret and the tree that is left.
func (t exporterTree) take(s *suite, id ComponentID) (secret, exporterTree, error) {
	leaf := LeafIndex(id).node()
	x := leaf
	for t[x] == nil {
		if x == treeRoot(exporterLeaves) {
			return nil, t, fmt.Errorf("%w: exported secret of component %#04x", ErrConsumed, uint16(id))
		}
		x = x.parent()
	}
	out, aside := s.descend(t[x], x, leaf)
	left := maps.Clone(t)
	delete(left, x)
	maps.Copy(left, aside)
	return out, left, nil
}

// SafeExport is a component's exported secret of the current epoch (SafeExportSecret of
// draft-ietf-mls-extensions), of the suite's hash size. Unlike [Group.Export] it is forward
// secret: it can be had once in an epoch, then it is [ErrConsumed], and the caller stores the
// group before it uses the secret.
func (g *Group) SafeExport(id ComponentID) ([]byte, error) {
	if g.removed {
		return nil, ErrRemoved
	}
	out, left, err := g.keys.exports.take(g.at.suite, id)
	if err != nil {
		return nil, err
	}
	g.keys.exports = left
	return bytes.Clone(out), nil // a clone of g may hold it, and what was derived with it
}

// setExports is set for exporter trees.
func (d *delta) setExports(before, now exporterTree) {
	all := exporterTree{}
	maps.Copy(all, before)
	maps.Copy(all, now)
	for _, x := range slices.Sorted(maps.Keys(all)) {
		d.set(recordKey(recordExport, uint32(x)), before[x], now[x])
	}
}

// loadExport puts a record of kind recordExport into t, which is being loaded.
func (t exporterTree) loadExport(s *suite, x nodeIndex, value []byte) error {
	if uint32(x) >= treeWidth(exporterLeaves) || len(value) != s.nh {
		return fmt.Errorf("%w: secret of node %d of the exporter tree", ErrCorrupt, x)
	}
	t[x] = value
	return nil
}
