package directory

import (
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// accountRecord is an account: its handle, its chain, and what the chain says, so that the
// storing goroutine never verifies signatures.
type accountRecord struct {
	handle  string
	entries [][]byte
	devices []deviceRecord
}

// deviceRecord is a device with the suites that it states.
type deviceRecord struct {
	id     keyserver.DeviceID
	suites []mls.Suite
}

// devicesOf lists the devices of a chain.
func devicesOf(a *keyserver.Account) []deviceRecord {
	out := make([]deviceRecord, len(a.Devices))
	for i, d := range a.Devices {
		out[i] = deviceRecord{d, a.Suites(d)}
	}
	return out
}

func (a *accountRecord) has(d keyserver.DeviceID) bool {
	return slices.ContainsFunc(a.devices, func(r deviceRecord) bool { return r.id == d })
}

func (a *accountRecord) states(d keyserver.DeviceID, s mls.Suite) bool {
	return slices.ContainsFunc(a.devices, func(r deviceRecord) bool { return r.id == d && slices.Contains(r.suites, s) })
}

func (a *accountRecord) MarshalWire(w *wire.Writer) {
	w.Bytes([]byte(a.handle))
	wire.WriteVector(w, a.entries, (*wire.Writer).Bytes)
	wire.WriteVector(w, a.devices, func(w *wire.Writer, d deviceRecord) {
		w.Raw(d.id[:])
		wire.WriteVector(w, d.suites, func(w *wire.Writer, s mls.Suite) { w.Uint16(uint16(s)) })
	})
}

func (a *accountRecord) UnmarshalWire(r *wire.Reader) {
	a.handle = string(r.Bytes())
	a.entries = wire.Vector(r, (*wire.Reader).Bytes)
	a.devices = wire.Vector(r, func(r *wire.Reader) (d deviceRecord) {
		r.Copy(d.id[:])
		d.suites = wire.Vector(r, func(r *wire.Reader) mls.Suite { return mls.Suite(r.Uint16()) })
		return d
	})
}

// slot is a package that the pool can hand out.
type slot struct {
	seq     uint64
	expires uint64 // Unix seconds
}

// poolRecord is one device's pool of a suite. Packages lie in records of their own, so that a take
// rewrites 3 KiB at most.
type poolRecord struct {
	incarnation [16]byte // of the store, when the pool was last written
	next        uint64   // number of the next package, never used twice
	oneTime     []slot   // in the order of upload
	last        *slot    // the last resort
}

// live returns the slots that have not expired, and says nothing of those that have.
func (p *poolRecord) live(now time.Time) []slot {
	return slices.DeleteFunc(slices.Clone(p.oneTime), func(s slot) bool { return s.expired(now) })
}

func (s *slot) expired(now time.Time) bool { return s.expires < uint64(max(now.Unix(), 0)) }

func (p *poolRecord) MarshalWire(w *wire.Writer) {
	w.Raw(p.incarnation[:])
	w.Uint64(p.next)
	wire.WriteVector(w, p.oneTime, writeSlot)
	wire.WriteOptional(w, p.last, writeSlot)
}

func (p *poolRecord) UnmarshalWire(r *wire.Reader) {
	r.Copy(p.incarnation[:])
	p.next = r.Uint64()
	p.oneTime = wire.Vector(r, readSlot)
	p.last = wire.Optional(r, readSlot)
}

func writeSlot(w *wire.Writer, s slot) { w.Uint64(s.seq); w.Uint64(s.expires) }
func readSlot(r *wire.Reader) slot     { return slot{seq: r.Uint64(), expires: r.Uint64()} }

// packageRecord is a package, or what is left of it: used ones keep their place and lose
// their bytes, so that nothing that goes wrong with deletions brings one back.
type packageRecord struct {
	owner owner
	used  bool // handed out, dropped, or replaced as last resort
	ref   []byte
	init  []byte
	bytes []byte // nil when used, but for a last resort: requests that were given it refer to it
}

func (p *packageRecord) MarshalWire(w *wire.Writer) {
	w.Raw(p.owner.account[:])
	w.Raw(p.owner.device[:])
	w.Uint16(uint16(p.owner.suite))
	w.Bool(p.used)
	w.Bytes(p.ref)
	w.Bytes(p.init)
	w.Bytes(p.bytes)
}

func (p *packageRecord) UnmarshalWire(r *wire.Reader) {
	r.Copy(p.owner.account[:])
	r.Copy(p.owner.device[:])
	p.owner.suite = mls.Suite(r.Uint16())
	p.used = r.Bool()
	p.ref, p.init, p.bytes = r.Bytes(), r.Bytes(), r.Bytes()
}

// takenRecord is what a request id was given. One-time packages stand in it, since they are
// nowhere else any more. Last resorts are references: anybody may take them as often as the
// rates allow, and each take must cost next to nothing to keep.
type takenRecord struct{ packages []takenPackage }

type takenPackage struct {
	keyserver.Package
	seq uint64 // of a last resort
}

func (t *takenRecord) MarshalWire(w *wire.Writer) {
	wire.WriteVector(w, t.packages, func(w *wire.Writer, p takenPackage) {
		w.Raw(p.Device[:])
		w.Bool(p.LastResort)
		if p.LastResort {
			w.Uint64(p.seq)
		} else {
			w.Bytes(p.KeyPackage)
		}
	})
}

func (t *takenRecord) UnmarshalWire(r *wire.Reader) {
	t.packages = wire.Vector(r, func(r *wire.Reader) (p takenPackage) {
		r.Copy(p.Device[:])
		if p.LastResort = r.Bool(); p.LastResort {
			p.seq = r.Uint64()
		} else {
			p.KeyPackage = r.Bytes()
		}
		return p
	})
}

// refRecord says what a package that the pool has seen was uploaded as.
type refRecord struct {
	seq        uint64
	lastResort bool
}

func (f *refRecord) MarshalWire(w *wire.Writer) { w.Uint64(f.seq); w.Bool(f.lastResort) }

func (f *refRecord) UnmarshalWire(r *wire.Reader) { f.seq, f.lastResort = r.Uint64(), r.Bool() }

// load reads a record; nil without an error means that there is none.
func load[T any, P interface {
	*T
	wire.Unmarshaler
}](r shard.Reader, key []byte) (*T, error) {
	value, ok, err := r.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	v := new(T)
	if err := wire.Unmarshal(value, P(v)); err != nil {
		return nil, fmt.Errorf("%w: %w", shard.ErrCorrupt, err)
	}
	return v, nil
}
