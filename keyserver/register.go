package keyserver

import (
	"crypto/ed25519"

	"github.com/sealpost/sealpost/internal/wire"
)

// RegisterRequest asks for a new account (PROTOCOL.md section 4.1). The device signs the
// handle too, so that nobody registers another's chain under a name of his own.
type RegisterRequest struct {
	Handle    string
	Root      []byte // the chain's first entry
	Signature [ed25519.SignatureSize]byte
}

// SignRegister makes the request for the account that root begins; device is root's.
func SignRegister(device ed25519.PrivateKey, handle string, root []byte) (*RegisterRequest, error) {
	if err := CheckHandle(handle); err != nil {
		return nil, err
	}
	q := &RegisterRequest{Handle: handle, Root: root}
	q.Signature = [64]byte(ed25519.Sign(device, q.signed()))
	_, err := q.Verify()
	return q, err
}

// Verify checks handle, root and signature, and returns the account.
func (q *RegisterRequest) Verify() (*Account, error) {
	if err := CheckHandle(q.Handle); err != nil {
		return nil, err
	}
	a, err := VerifyChain([][]byte{q.Root})
	if err != nil {
		return nil, err
	}
	if !signedBy(a.Devices[0], q.signed(), q.Signature[:]) {
		return nil, ErrDenied
	}
	return a, nil
}

func (q *RegisterRequest) signed() []byte {
	root := EntryHash(q.Root)
	return toBeSigned(labelRegister, func(w *wire.Writer) {
		w.Bytes([]byte(q.Handle))
		w.Raw(root[:])
	})
}

// MarshalWire writes the request's body.
func (q *RegisterRequest) MarshalWire(w *wire.Writer) {
	w.Bytes([]byte(q.Handle))
	w.Bytes(q.Root)
	w.Raw(q.Signature[:])
}

// UnmarshalWire reads the request's body.
func (q *RegisterRequest) UnmarshalWire(r *wire.Reader) {
	q.Handle = string(atMost(r, MaxHandle))
	q.Root = atMost(r, MaxEntry)
	r.Copy(q.Signature[:])
}

// RegisterReply names the account.
type RegisterReply struct{ Account AccountID }

// MarshalWire writes the answer's body.
func (p *RegisterReply) MarshalWire(w *wire.Writer) { w.Raw(p.Account[:]) }

// UnmarshalWire reads the answer's body.
func (p *RegisterReply) UnmarshalWire(r *wire.Reader) { r.Copy(p.Account[:]) }

// AppendRequest adds an entry to a chain (PROTOCOL.md section 4.2). The entry carries its
// own signatures, so the request needs none.
type AppendRequest struct {
	Account AccountID
	Entry   []byte
}

// MarshalWire writes the request's body.
func (q *AppendRequest) MarshalWire(w *wire.Writer) {
	w.Raw(q.Account[:])
	w.Bytes(q.Entry)
}

// UnmarshalWire reads the request's body.
func (q *AppendRequest) UnmarshalWire(r *wire.Reader) {
	r.Copy(q.Account[:])
	q.Entry = atMost(r, MaxEntry)
}

// AppendReply says where the chain ends now.
type AppendReply struct{ Head [32]byte }

// MarshalWire writes the answer's body.
func (p *AppendReply) MarshalWire(w *wire.Writer) { w.Raw(p.Head[:]) }

// UnmarshalWire reads the answer's body.
func (p *AppendReply) UnmarshalWire(r *wire.Reader) { r.Copy(p.Head[:]) }

// atMost reads opaque<V> of at most n bytes.
func atMost(r *wire.Reader, n int) []byte {
	b := r.Bytes()
	if len(b) > n {
		r.Fail(ErrTooLarge)
		return nil
	}
	return b
}
