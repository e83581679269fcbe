package clientlib

import (
	"bytes"
	"cmp"
	"iter"
	"maps"
	"slices"
)

// Whatever an engine does to all of something, it does in an order: oldest first where there is
// one, and never that of a map, which would make two runs of one simulation differ.

// inOrder yields what a map holds, by rising key.
func inOrder[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return inOrderOf(m, cmp.Compare[K])
}

// inOrderOfIDs is inOrder for keys of 32 bytes.
func inOrderOfIDs[K ~[32]byte, V any](m map[K]V) iter.Seq2[K, V] {
	return inOrderOf(m, func(a, b K) int { return bytes.Compare(a[:], b[:]) })
}

func inOrderOf[K comparable, V any](m map[K]V, compare func(a, b K) int) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, key := range slices.SortedFunc(maps.Keys(m), compare) {
			if v, ok := m[key]; ok && !yield(key, v) { // the caller may delete others
				return
			}
		}
	}
}
