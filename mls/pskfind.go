package mls

import (
	"bytes"
	"crypto/rand"
	"errors"
)

// PSKID names a pre-shared key (RFC 9420 section 8.4): an external one by its id, or the
// resumption secret of an epoch of a group. One of the two is set; an external id may be
// empty, but not nil.
type PSKID struct {
	External   []byte
	Resumption *ResumptionID
}

// ResumptionID names the resumption secret of one epoch of a group.
type ResumptionID struct {
	GroupID []byte
	Epoch   uint64
}

// PSKSource finds pre-shared keys: external ones, and the resumption secrets of other groups
// and of epochs that a group does not keep (those it keeps it finds by itself). It returns a copy,
// or an error for one that it does not have: who lacks a key cannot follow the commit that
// names it. No key is ever empty.
type PSKSource interface {
	PSK(id PSKID) ([]byte, error)
}

// A PSKError says which pre-shared key is missing. It matches [ErrUnknownPSK]. Its text does
// not name the key.
type PSKError struct {
	ID    PSKID
	cause error // nil or what the source said
}

// Error says that a key is missing, not which one, and what the [PSKSource] said.
func (e *PSKError) Error() string {
	s := ErrUnknownPSK.Error()
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Is reports that every missing key is [ErrUnknownPSK].
func (e *PSKError) Is(target error) bool { return target == ErrUnknownPSK }

// Unwrap returns what the [PSKSource] said, nil if there is none.
func (e *PSKError) Unwrap() error { return e.cause }

var errEmptyPSK = errors.New("the key is empty")

// newPSK names a key for one use in a group of suite s, with a fresh nonce (section 8.4).
func (s *suite) newPSK(id PSKID) (preSharedKeyID, error) {
	if (id.External == nil) == (id.Resumption == nil) {
		return preSharedKeyID{}, broken("psk.one", "a pre-shared key has either an external id or an epoch")
	}
	p := preSharedKeyID{kind: pskExternal, id: bytes.Clone(id.External), nonce: make([]byte, s.nh)}
	if r := id.Resumption; r != nil {
		p.kind, p.usage, p.groupID, p.epoch = pskResumption, usageApplication, bytes.Clone(r.GroupID), r.Epoch
	}
	_, _ = rand.Read(p.nonce) // never fails, by the documentation of crypto/rand
	return p, nil
}

func (p preSharedKeyID) public() PSKID {
	if p.kind == pskResumption {
		return PSKID{Resumption: &ResumptionID{GroupID: bytes.Clone(p.groupID), Epoch: p.epoch}}
	}
	return PSKID{External: append([]byte{}, p.id...)}
}

// proposedPSKs leaves out what links a new group to another one.
func proposedPSKs(ids []preSharedKeyID) []PSKID {
	var out []PSKID
	for _, id := range ids {
		if !id.links() {
			out = append(out, id.public())
		}
	}
	return out
}

// A pskFinder finds the key that an id names; the error is a [PSKError].
type pskFinder func(preSharedKeyID) ([]byte, error)

// find asks the application.
func (a *Application) find(id preSharedKeyID) ([]byte, error) {
	name := id.public()
	if a.PSKs == nil {
		return nil, &PSKError{ID: name}
	}
	psk, err := a.PSKs.PSK(name)
	if err == nil && len(psk) == 0 {
		err = errEmptyPSK
	}
	if err != nil {
		return nil, &PSKError{ID: name, cause: err}
	}
	return psk, nil
}

// findPSK looks among the group's own epochs, and then asks the application.
func (g *Group) findPSK(id preSharedKeyID) ([]byte, error) {
	if psk := g.resumption(id); psk != nil {
		return psk, nil
	}
	return g.app.find(id)
}

// resumption is the secret that id names of this group's current or a kept epoch, else nil.
func (g *Group) resumption(id preSharedKeyID) secret {
	if id.kind != pskResumption || g.removed || !bytes.Equal(id.groupID, g.at.ctx.groupID) {
		return nil
	}
	if id.epoch == g.at.ctx.epoch {
		return g.at.secrets.resumption
	}
	if i := g.kept(id.groupID, id.epoch); i >= 0 {
		return g.past[i].resumption
	}
	return nil
}

// findPSKs looks up every key of a list and folds them into psk_secret.
func findPSKs(s *suite, find pskFinder, ids []preSharedKeyID) (secret, error) {
	psks := make([][]byte, len(ids))
	for i, id := range ids {
		var err error
		if psks[i], err = find(id); err != nil {
			return nil, err
		}
	}
	return s.pskSecret(ids, psks), nil
}

// ResumptionPSK names and returns the epoch's resumption secret (section 8.6), for a
// [PSKSource] of another group of this member, or of this one when the epoch is over. After the
// own removal the secret is nil.
func (e *EpochView) ResumptionPSK() (PSKID, []byte) {
	return PSKID{Resumption: &ResumptionID{GroupID: e.ID(), Epoch: e.Epoch()}}, bytes.Clone(e.secrets.resumption)
}
