package keyserver

import (
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

// TakeRequest asks for one KeyPackage of a suite of each device of an account (PROTOCOL.md
// section 4.5). RequestID is 32 random bytes, new for every invitation that is to be made; the
// same id, account and suite get the very same packages for at least 7 days, across crashes.
type TakeRequest struct {
	RequestID [32]byte
	Account   AccountID
	Suite     mls.Suite
}

// MarshalWire writes the request's body.
func (q *TakeRequest) MarshalWire(w *wire.Writer) {
	w.Raw(q.RequestID[:])
	w.Raw(q.Account[:])
	w.Uint16(uint16(q.Suite))
}

// UnmarshalWire reads the request's body.
func (q *TakeRequest) UnmarshalWire(r *wire.Reader) {
	r.Copy(q.RequestID[:])
	r.Copy(q.Account[:])
	q.Suite = mls.Suite(r.Uint16())
}

// Package is one KeyPackage that was handed out. It is worth nothing before [CheckPackage].
type Package struct {
	Device     DeviceID
	KeyPackage []byte // an encoded MLS KeyPackage (RFC 9420 section 10)
	// LastResort: others may have been given the same one. Who joins by it replaces its
	// leaf at once.
	LastResort bool
}

// TakeReply holds at most one package of each device. A device whose pool of the suite is
// empty, and that has no last resort of it, is missing: compare with the chain.
type TakeReply struct{ Packages []Package }

// MarshalWire writes the answer's body.
func (p *TakeReply) MarshalWire(w *wire.Writer) {
	wire.WriteVector(w, p.Packages, func(w *wire.Writer, k Package) {
		w.Raw(k.Device[:])
		w.Bytes(k.KeyPackage)
		w.Bool(k.LastResort)
	})
}

// UnmarshalWire reads the answer's body; two packages of one device are refused.
func (p *TakeReply) UnmarshalWire(r *wire.Reader) {
	p.Packages = vectorAtMost(r, MaxDevices, func(r *wire.Reader) (k Package) {
		r.Copy(k.Device[:])
		k.KeyPackage = atMost(r, MaxPackage)
		k.LastResort = r.Bool()
		return k
	})
	for i, k := range p.Packages {
		if slices.ContainsFunc(p.Packages[:i], func(o Package) bool { return o.Device == k.Device }) {
			r.Fail(ErrInvalid)
		}
	}
}
