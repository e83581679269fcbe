package mls

import (
	"bytes"

	"github.com/sealpost/sealpost/internal/wire"
)

// ReInit says how the group that takes a group's place begins (RFC 9420 sections 11.2 and
// 12.1.5). Once it is committed, the old group is closed ([ErrReInit]) and some member makes
// the new one with [Group.Successor].
type ReInit struct {
	GroupID    []byte
	Version    uint16 // 0 in what is proposed stands for 1, MLS 1.0
	Suite      Suite
	Extensions []Extension // of the group context
}

func writeReInit(w *wire.Writer, p ReInit) {
	w.Bytes(p.GroupID)
	w.Uint16(p.Version)
	w.Uint16(uint16(p.Suite))
	writeExtensions(w, p.Extensions)
}

func readReInit(r *wire.Reader) ReInit {
	return ReInit{GroupID: r.Bytes(), Version: r.Uint16(), Suite: Suite(r.Uint16()), Extensions: readExtensions(r)}
}

func (p *ReInit) clone() *ReInit {
	if p == nil {
		return nil
	}
	return &ReInit{GroupID: bytes.Clone(p.GroupID), Version: p.Version, Suite: p.Suite, Extensions: cloneExtensions(p.Extensions)}
}

// matches reports whether a group context begins as p says.
func (p *ReInit) matches(ctx *groupContext) bool {
	return p.Version == versionMLS10 && p.Suite == ctx.suite && bytes.Equal(p.GroupID, ctx.groupID) &&
		bytes.Equal(encode(p.Extensions, writeExtensions), encode(ctx.extensions, writeExtensions))
}

// checkReInit verifies a ReInit proposal by itself (section 12.1.5). A suite or version that
// this member lacks is its own misfortune: the others can go on.
func checkReInit(p ReInit) error {
	if p.Version < versionMLS10 {
		return broken("reinit.version", "version %d in a group of version %d", p.Version, versionMLS10)
	}
	return checkExtensionList(p.Extensions, inGroupContext)
}

// reInitProposal is a proposal of one's own: the proposer knows itself how to go on.
func (e *PublicView) reInitProposal(p *ReInit, app *Application) (*proposal, error) {
	out := *p.clone()
	if out.Version == 0 {
		out.Version = versionMLS10
	}
	if out.Version > versionMLS10 {
		return nil, brokenBy("reinit.version", ErrUnsupported, "version %d", out.Version)
	}
	if _, err := out.Suite.lookup(); err != nil {
		return nil, err
	}
	if err := e.checkExtensions(out.Extensions, app.Credentials); err != nil {
		return nil, err
	}
	return &proposal{kind: proposalReInit, reInit: &out}, nil
}

// onlyReInit is the plan of a commit with the ReInit that waits longest, nil without one.
// Whatever else waits goes first (section 12.2).
func (g *Group) onlyReInit(fits func([]listed) (*plan, error)) *plan {
	for _, q := range g.queue {
		if q.proposal().kind != proposalReInit {
			continue
		}
		if pl, err := fits([]listed{q.listed()}); err == nil {
			return pl
		}
	}
	return nil
}

// ReInit is what the commit that began the epoch said about the group that takes this one's
// place; nil in an epoch that goes on.
func (e *PublicView) ReInit() *ReInit { return e.reInit.clone() }

// checkOpen verifies that the epoch is not one that a ReInit began: nothing may be sent in it
// (section 12.4.2).
func (e *PublicView) checkOpen() error {
	if e.reInit != nil {
		return brokenBy("group.reinit", ErrReInit, "message in the last epoch")
	}
	return nil
}

// speaks returns why this member can send nothing in the group, nil if it can.
func (g *Group) speaks() error {
	switch {
	case g.removed:
		return ErrRemoved
	case g.at.reInit != nil:
		return ErrReInit
	}
	return nil
}

// ReInit is [PublicView.ReInit] of the current epoch: nil until the group is reinitialized.
func (g *Group) ReInit() *ReInit { return g.at.ReInit() }

// ReInit is how the commit reinitializes the group; nil if it does not.
func (c *StagedCommit) ReInit() *ReInit {
	if c.next == nil {
		return nil // it removes this member, so it does nothing else that ends a group
	}
	return c.next.ReInit()
}
