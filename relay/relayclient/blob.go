package relayclient

import (
	"crypto/ed25519"
	"fmt"

	"github.com/sealpost/sealpost/relay"
)

// A BlobCall is a STORE_BLOB or PUT_BLOB on its way. It resolves like a [Call].
type BlobCall struct{ future[BlobState] }

// BlobState is how much of a blob the relay has.
type BlobState struct {
	Stored   uint64 // bytes; an upload goes on here
	Complete bool   // the whole blob is verified and on disk
}

// A BlobRead is a GET_BLOB on its way. It resolves like a [Call].
type BlobRead struct{ future[BlobPart] }

// BlobPart is a piece of a blob as the relay gives it; the caller checks the hash of the whole.
type BlobPart struct {
	Size uint64 // of the whole blob, in bytes
	Data []byte // as much as was asked for, less only at the end
}

// StoreBlobParams are the fields of a STORE_BLOB.
type StoreBlobParams struct {
	Queue relay.QueueID
	// Key is a reader's of the queue, or if Purpose is relay.ProveWrite a writer's. It is proven
	// first.
	Key     ed25519.PrivateKey
	Purpose relay.ProofPurpose // 0: relay.ProveRead
	Blob    relay.Hash         // SHA-256 of the sealed bytes
	Size    uint64             // bytes; at least 1
	Days    uint16             // how long the relay keeps it; 0 is its default
}

// StoreBlob begins an upload to a queue, or goes on with one that this or another session left.
// [Conn.Upload] is the whole of it.
//
// Errors: as of a Call. STORE_BLOB has no idempotency id and needs none: repeating it tells
// what the relay has.
func (c *Conn) StoreBlob(p StoreBlobParams) *BlobCall {
	if p.Purpose == 0 {
		p.Purpose = relay.ProveRead
	}
	m := &relay.StoreBlob{Queue: p.Queue, Key: public(p.Key), Blob: p.Blob, Size: p.Size, Days: p.Days}
	needs := []proofName{{p.Purpose, p.Queue, m.Key}}
	return c.blobCall(m, m.Check(), overhead, p.Size, needs, relay.Keys(p.Key))
}

// PutBlob sends the next 1 to relay.MaxBlobPart bytes of an upload that StoreBlob began in this
// Conn, in order. data must not change until the call resolves.
func (c *Conn) PutBlob(queue relay.QueueID, blob relay.Hash, offset uint64, data []byte) *BlobCall {
	m := &relay.PutBlob{Queue: queue, Blob: blob, Offset: offset, Data: data}
	return c.blobCall(m, m.Check(), overhead+len(data), 0, nil, nil)
}

// blobCall sends a request that BLOB answers. stored may not be above most, if that is not 0.
func (c *Conn) blobCall(m relay.Request, check error, size int, most uint64, needs []proofName, sign relay.Signer) *BlobCall {
	call := &BlobCall{newFuture[BlobState]()}
	r := &request{frame: m, size: size}
	r.answer = func(f relay.Frame, err error) {
		switch f := f.(type) {
		case *relay.Blob:
			if most > 0 && (f.Stored > most || f.Complete != (f.Stored == most)) {
				call.resolve(BlobState{}, c.lied("a blob of another size"))
				return
			}
			call.resolve(BlobState{Stored: f.Stored, Complete: f.Complete}, nil)
		case *relay.Refused:
			call.resolve(BlobState{}, r.refusal(f))
		default:
			call.resolve(BlobState{}, err)
		}
	}
	if check != nil {
		r.answer(nil, check)
		return call
	}
	c.submit(r, needs, sign)
	return call
}

// GetBlob asks for length bytes of a complete blob, 1 to relay.MaxBlobPart, from offset on.
// Queue and hash are the capability: no key is shown. The relay answers UNKNOWN for what it
// does not have, has not complete, or does not want to give.
func (c *Conn) GetBlob(queue relay.QueueID, blob relay.Hash, offset uint64, length uint32) *BlobRead {
	m := &relay.GetBlob{Queue: queue, Blob: blob, Offset: offset, Length: length}
	// What is asked for counts as in flight: it is about to be in memory here.
	call, r := &BlobRead{newFuture[BlobPart]()}, &request{frame: m, size: overhead + int(min(length, relay.MaxBlobPart))}
	r.answer = func(f relay.Frame, err error) {
		switch f := f.(type) {
		case *relay.BlobData:
			if !fits(f, offset, length) {
				call.resolve(BlobPart{}, c.lied("not the part of a blob that was asked for"))
				return
			}
			call.resolve(BlobPart{Size: f.Size, Data: f.Data}, nil)
		case *relay.Refused:
			call.resolve(BlobPart{}, r.refusal(f))
		default:
			call.resolve(BlobPart{}, err)
		}
	}
	if err := m.Check(); err != nil {
		r.answer(nil, err)
		return call
	}
	c.submit(r, nil, nil)
	return call
}

// fits reports whether f holds exactly the bytes of a blob of its size that were asked for.
func fits(f *relay.BlobData, offset uint64, length uint32) bool {
	var there uint64
	if f.Size > offset {
		there = f.Size - offset
	}
	return uint64(len(f.Data)) == min(there, uint64(length))
}

// lied ends the Conn over an answer that no relay of this protocol gives.
func (c *Conn) lied(what string) error {
	err := fmt.Errorf("%w: %s", ErrProtocol, what)
	c.fail(err)
	return disconnected(err)
}
