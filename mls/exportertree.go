package mls

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
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
	return out, nil
}

func writeExporterTree(w *wire.Writer, t exporterTree) {
	wire.WriteVector(w, slices.Sorted(maps.Keys(t)), func(w *wire.Writer, x nodeIndex) {
		w.Uint32(uint32(x))
		w.Bytes(t[x])
	})
}

func readExporterTree(r *wire.Reader) exporterTree {
	t := exporterTree{}
	wire.Vector(r, func(r *wire.Reader) struct{} {
		x := nodeIndex(r.Uint32())
		t[x] = r.Bytes()
		return struct{}{}
	})
	return t
}
