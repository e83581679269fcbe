package keyserver

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

// UploadRequest puts KeyPackages into a device's pool of a suite (PROTOCOL.md section 4.4), all of them
// or none. Packages that the pool has seen before are no error, so the same request may be
// repeated until it is answered.
type UploadRequest struct {
	Account AccountID
	Device  DeviceID
	Suite   mls.Suite // of all the packages
	// Incarnation is the store's, from a [StockReply]: a request that was made before the
	// store lost something, or was restored from a backup, cannot put packages back that
	// were handed out in the time that is lost.
	Incarnation [16]byte
	Time        uint64   // Unix seconds, within [MaxSkew] of the server's clock
	Packages    [][]byte // one-time KeyPackages, at most [MaxUpload]
	LastResort  []byte   // nil: keep the one that the pool has
	Signature   [ed25519.SignatureSize]byte
}

// Sign fills in device, time and signature.
func (q *UploadRequest) Sign(device ed25519.PrivateKey, now time.Time) {
	q.Device, q.Time = DeviceOf(device), uint64(max(now.Unix(), 0))
	q.Signature = [64]byte(ed25519.Sign(device, toBeSigned(labelUpload, q.content)))
}

// Verify checks signature, time and the number of packages, not the packages themselves, and
// not that the device is the account's.
func (q *UploadRequest) Verify(now time.Time) error {
	switch {
	case !signedBy(q.Device, toBeSigned(labelUpload, q.content), q.Signature[:]):
		return ErrDenied
	case len(q.Packages) == 0 && q.LastResort == nil:
		return fmt.Errorf("upload of nothing: %w", ErrInvalid)
	}
	return checkTime(q.Time, now)
}

func (q *UploadRequest) content(w *wire.Writer) {
	w.Raw(q.Account[:])
	w.Raw(q.Device[:])
	w.Uint16(uint16(q.Suite))
	w.Raw(q.Incarnation[:])
	w.Uint64(q.Time)
	wire.WriteVector(w, q.Packages, (*wire.Writer).Bytes)
	w.Bool(q.LastResort != nil)
	if q.LastResort != nil {
		w.Bytes(q.LastResort)
	}
}

// MarshalWire writes the request's body.
func (q *UploadRequest) MarshalWire(w *wire.Writer) {
	q.content(w)
	w.Raw(q.Signature[:])
}

// UnmarshalWire reads the request's body.
func (q *UploadRequest) UnmarshalWire(r *wire.Reader) {
	pack := func(r *wire.Reader) []byte { return atMost(r, MaxPackage) }
	r.Copy(q.Account[:])
	r.Copy(q.Device[:])
	q.Suite = mls.Suite(r.Uint16())
	r.Copy(q.Incarnation[:])
	q.Time = r.Uint64()
	q.Packages = vectorAtMost(r, MaxUpload, pack)
	if r.Bool() {
		q.LastResort = pack(r)
	}
	r.Copy(q.Signature[:])
}

// StockRequest asks a device's own stock of a suite (PROTOCOL.md section 4.6).
type StockRequest struct {
	Account   AccountID
	Device    DeviceID
	Suite     mls.Suite
	Time      uint64 // Unix seconds, within [MaxSkew] of the server's clock
	Signature [ed25519.SignatureSize]byte
}

// Sign fills in device, time and signature.
func (q *StockRequest) Sign(device ed25519.PrivateKey, now time.Time) {
	q.Device, q.Time = DeviceOf(device), uint64(max(now.Unix(), 0))
	q.Signature = [64]byte(ed25519.Sign(device, toBeSigned(labelStock, q.content)))
}

// Verify checks signature and time, not that the device is the account's.
func (q *StockRequest) Verify(now time.Time) error {
	if !signedBy(q.Device, toBeSigned(labelStock, q.content), q.Signature[:]) {
		return ErrDenied
	}
	return checkTime(q.Time, now)
}

func (q *StockRequest) content(w *wire.Writer) {
	w.Raw(q.Account[:])
	w.Raw(q.Device[:])
	w.Uint16(uint16(q.Suite))
	w.Uint64(q.Time)
}

// MarshalWire writes the request's body.
func (q *StockRequest) MarshalWire(w *wire.Writer) {
	q.content(w)
	w.Raw(q.Signature[:])
}

// UnmarshalWire reads the request's body.
func (q *StockRequest) UnmarshalWire(r *wire.Reader) {
	r.Copy(q.Account[:])
	r.Copy(q.Device[:])
	q.Suite = mls.Suite(r.Uint16())
	q.Time = r.Uint64()
	r.Copy(q.Signature[:])
}

// StockReply answers both [StockRequest] and [UploadRequest].
type StockReply struct {
	OneTime    uint16 // packages that are unused and not expired
	LastResort bool   // whether the pool has one that is not expired
	// Incarnation changes when the store has lost something or was restored. All one-time
	// packages are gone then; the device uploads fresh ones, never old ones.
	Incarnation [16]byte
}

// MarshalWire writes the answer's body.
func (p *StockReply) MarshalWire(w *wire.Writer) {
	w.Uint16(p.OneTime)
	w.Bool(p.LastResort)
	w.Raw(p.Incarnation[:])
}

// UnmarshalWire reads the answer's body.
func (p *StockReply) UnmarshalWire(r *wire.Reader) {
	p.OneTime = r.Uint16()
	p.LastResort = r.Bool()
	r.Copy(p.Incarnation[:])
}

// checkTime compares a signed request's time with the server's.
func checkTime(at uint64, now time.Time) error {
	skew, s := uint64(MaxSkew/time.Second), uint64(max(now.Unix(), 0))
	if at > s+skew || s > at && s-at > skew {
		return fmt.Errorf("the request's time is more than %s from the server's: %w", MaxSkew, ErrExpired)
	}
	return nil
}
