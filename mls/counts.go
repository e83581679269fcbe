package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// What is parsed before anything of it can be checked costs memory for each of its elements, of
// which some take a byte or two. Here are the bounds on their number: more of them stand in
// nothing that counts, or, where any number could count, than anybody needs.

// vectorUpTo is wire.Vector of at most so many elements.
func vectorUpTo[T any](r *wire.Reader, most int, elem func(*wire.Reader) T) []T {
	n := 0
	return wire.Vector(r, func(r *wire.Reader) T {
		if n++; n > most {
			r.Fail(fmt.Errorf("%w: vector of more than %d elements", ErrLimit, most))
		}
		return elem(r)
	})
}

const (
	// maxPoints bounds lists in which no code point may stand twice.
	maxPoints = 1 << 16
	// maxExternalSenders bounds those that a group context names.
	maxExternalSenders = 1 << 16
	// maxPathNodes is the height of the highest tree.
	maxPathNodes = 16
	// maxListed bounds a chain of certificates, and the proposals by value of a commit: Adds,
	// Removes, pre-shared keys, and all those together that are not of RFC 9420.
	maxListed = 1 << 16
	// maxHeld bounds the extensions and certificates of all leaves of a tree that is given to a
	// joiner, and of all that a commit adds, with the extensions of its packages and for the group:
	// a list of each is bounded, and there are many lists.
	maxHeld = 1 << 21
	// maxSingle bounds proposals by value of which a commit holds one, or none.
	maxSingle = 16
)

// proposalCounts counts what a commit lists. Its bounds are checked where a commit is parsed and
// where one is made, so that no member makes one that the others refuse.
type proposalCounts struct{ references, adds, removes, psks, others, singles, held int }

func (c *proposalCounts) add(p proposalOrRef) error {
	n, most := &c.others, maxListed
	switch {
	case p.proposal == nil:
		n, most = &c.references, maxPending // no more can wait
	case p.proposal.kind == proposalAdd:
		n = &c.adds
	case p.proposal.kind == proposalRemove:
		n = &c.removes
	case p.proposal.kind == proposalPSK:
		n = &c.psks
	case p.proposal.kind.isDefault(), p.proposal.kind == ProposalSelfRemove:
		n, most = &c.singles, maxSingle
	}
	if *n++; *n > most {
		return fmt.Errorf("%w: a commit of more than %d proposals of a kind", ErrLimit, most)
	}
	if p.proposal != nil {
		c.held += p.proposal.held()
	}
	return checkHeld(c.held)
}

// held is how many extensions and certificates p holds.
func (p *proposal) held() int {
	n := len(p.extensions)
	if p.add != nil && p.add.leaf != nil {
		n += len(p.add.extensions) + p.add.leaf.held()
	}
	if p.update != nil {
		n += p.update.held()
	}
	return n
}

func (l *leafNode) held() int { return len(l.extensions) + len(l.credential.Certificates) }

func checkHeld(n int) error {
	if n > maxHeld {
		return fmt.Errorf("%w: more than %d extensions and certificates", ErrLimit, maxHeld)
	}
	return nil
}

// checkCounts verifies a commit of one's own.
func (c *commit) checkCounts() error {
	var counts proposalCounts
	for _, p := range c.proposals {
		if err := counts.add(p); err != nil {
			return err
		}
	}
	return nil
}
