package relayserver

import (
	"errors"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
	"github.com/sealpost/sealpost/relay/internal/queue"
)

// blobID names a blob in a session.
type blobID struct {
	queue relay.QueueID
	hash  relay.Hash
}

// upload is a STORE_BLOB of a session, from the request until the blob is complete, a part is
// refused or the session ends. file is nil while the upload is being begun; used by the
// session's worker only.
type upload struct {
	id   blobID
	size uint64
	name blob.Name
	file *blob.Upload
}

// storeBlob answers STORE_BLOB: the queue decides, then the worker looks what is on disk.
func (p *peer) storeBlob(f *relay.StoreBlob, answer func(relay.Frame)) {
	refuse := func(err error) { answer(refused(f.Request, err)) }
	switch {
	case p.isDraining():
		refuse(relay.ErrDraining)
	case f.Check() != nil:
		refuse(f.Check())
	case !p.proven(relay.ProveRead, f.Queue, f.Key) && !p.proven(relay.ProveWrite, f.Queue, f.Key):
		refuse(relay.ErrBadProof) // the same whether or not the queue exists
	case f.Size > p.srv.store.MaxBlob():
		refuse(relay.ErrTooLarge)
	default:
		u := &upload{id: blobID{f.Queue, f.Blob}, size: f.Size}
		if !p.blobs.reserve(u) {
			refuse(&relay.Refusal{Code: relay.CodeLimit, Limit: relay.LimitUploads, RetryAfter: retryOpen})
			return
		}
		unused, err := p.addBlob(f)
		if err != nil {
			p.blobs.end(u)
			refuse(err)
			return
		}
		p.srv.store.StoreBlob(&p.flow, f, func(a queue.BlobAnswer) {
			if !a.New {
				unused()
			}
			if a.Err != nil {
				p.blobs.end(u)
				refuse(a.Err)
				return
			}
			p.srv.metrics.Accepted(metrics.StoreBlob)
			u.name = a.Name
			p.blobs.do(p.srv, job{run: func() { p.begin(u, a.Complete, f.Request, answer) }})
		})
	}
}

// addBlob takes what a new blob counts for of what the client's network adds in a day, and
// returns what gives it back. What has its room already is gone on with whatever the network
// added; this machine may be a proxy, and has no bound.
func (p *peer) addBlob(f *relay.StoreBlob) (unused func(), err error) {
	site, n := siteOf(p.prefix), int(queue.RoomFor(f.Size))
	if site.Addr().IsLoopback() || p.srv.store.KnowsBlob(f.Queue, f.Blob) {
		return func() {}, nil
	}
	if wait, ok := p.srv.adds.takeMany(site, n, time.Now()); !ok {
		return nil, &relay.Refusal{Code: relay.CodeLimit, Limit: relay.LimitUploads, RetryAfter: wait}
	}
	return func() { p.srv.adds.give(site, n) }, nil
}

// begin opens the file of an upload, and puts right what a kill between file and record left.
func (p *peer) begin(u *upload, complete bool, request uint64, answer func(relay.Frame)) {
	file, there, err := p.srv.blobs.Begin(u.name, int64(u.size))
	switch {
	case err != nil:
		p.endUpload(u, err, request, answer)
	case there && complete:
		p.blobs.end(u)
		answer(&relay.Blob{Request: request, Stored: u.size, Complete: true})
	case there:
		p.finished(u, request, answer)
	default:
		if complete { // its file is lost
			lose := func() error { return p.srv.store.LoseBlob(u.name) }
			if err := p.srv.blobs.Missing(u.name, int64(u.size), lose); err != nil {
				p.endUpload(u, err, request, answer)
				return
			}
		}
		p.goOn(u, file, request, answer)
	}
}

// goOn tells where an upload goes on. One that has all its bytes already was cut off before
// they were verified; if they are wrong ones, it begins anew.
func (p *peer) goOn(u *upload, file *blob.Upload, request uint64, answer func(relay.Frame)) {
	if uint64(file.Stored()) == u.size {
		err := file.Finish(u.id.hash)
		if err == nil {
			p.finished(u, request, answer)
			return
		}
		if errors.Is(err, blob.ErrHash) {
			file, _, err = p.srv.blobs.Begin(u.name, int64(u.size))
		}
		if err != nil {
			p.endUpload(u, err, request, answer)
			return
		}
	}
	u.file = file
	answer(&relay.Blob{Request: request, Stored: uint64(file.Stored())})
}

// putBlob answers PUT_BLOB. Parts are written one after the other, in the order in which they came.
func (p *peer) putBlob(f *relay.PutBlob, answer func(relay.Frame)) {
	id := blobID{f.Queue, f.Blob}
	switch {
	case p.isDraining():
		answer(refused(f.Request, relay.ErrDraining))
	case f.Check() != nil:
		answer(refused(f.Request, f.Check()))
	case p.blobs.find(id) == nil:
		answer(refused(f.Request, relay.ErrUnknown))
	default:
		p.blobs.do(p.srv, job{run: func() {
			u := p.blobs.find(id) // a part before this one may have ended it
			if u == nil || u.file == nil {
				answer(refused(f.Request, relay.ErrUnknown))
				return
			}
			p.put(u, f, answer)
		}})
	}
}

func (p *peer) put(u *upload, f *relay.PutBlob, answer func(relay.Frame)) {
	if err := p.srv.store.MayPut(u.id.queue); err != nil {
		u.file.Close()
		p.endUpload(u, err, f.Request, answer)
		return
	}
	// An offset that is none of a file becomes a negative one, at which nothing is stored.
	if err := u.file.Write(f.Data, int64(f.Offset)); err != nil {
		p.endUpload(u, err, f.Request, answer)
		return
	}
	if stored := uint64(u.file.Stored()); stored < u.size {
		answer(&relay.Blob{Request: f.Request, Stored: stored})
		return
	}
	p.finish(u, f.Request, answer)
}

// finish verifies an upload that has all its bytes.
func (p *peer) finish(u *upload, request uint64, answer func(relay.Frame)) {
	err := u.file.Finish(u.id.hash)
	switch {
	case errors.Is(err, blob.ErrHash):
		p.blobs.end(u)
		p.srv.store.DropBlob(&p.flow, u.name, func(*relay.Refusal) { answer(refused(request, relay.ErrMalformed)) })
	case err != nil:
		p.endUpload(u, err, request, answer)
	default:
		p.finished(u, request, answer)
	}
}

// finished has the record say that the blob is complete, and then answers. Between file and
// record a kill leaves what begin puts right.
func (p *peer) finished(u *upload, request uint64, answer func(relay.Frame)) {
	p.blobs.end(u)
	p.srv.store.FinishBlob(&p.flow, u.name, func(refusal *relay.Refusal) {
		if refusal != nil {
			answer(refused(request, refusal))
			return
		}
		answer(&relay.Blob{Request: request, Stored: u.size, Complete: true})
	})
}

// endUpload ends an upload with a refusal: all parts behind this one are then UNKNOWN.
func (p *peer) endUpload(u *upload, err error, request uint64, answer func(relay.Frame)) {
	p.blobs.end(u)
	answer(refused(request, p.blobRefusal(err)))
}

// getBlob answers GET_BLOB, for whoever knows queue and hash.
func (p *peer) getBlob(f *relay.GetBlob, answer func(relay.Frame)) {
	switch {
	case p.isDraining():
		answer(refused(f.Request, relay.ErrDraining))
	case f.Check() != nil:
		answer(refused(f.Request, f.Check()))
	default:
		p.blobs.do(p.srv, job{read: true, run: func() {
			data, size, err := p.readBlob(f)
			if err != nil {
				answer(refused(f.Request, p.blobRefusal(err)))
				return
			}
			p.blobs.reading(len(data))
			answer(&relay.BlobData{Request: f.Request, Size: size, Data: data})
		}})
	}
}

func (p *peer) readBlob(f *relay.GetBlob) (data []byte, size uint64, err error) {
	name, size, err := p.srv.store.FindBlob(f.Queue, f.Blob)
	if err != nil || f.Offset >= size {
		return nil, size, err
	}
	data = make([]byte, min(uint64(f.Length), size-f.Offset))
	return data, size, p.srv.blobs.Read(name, int64(size), data, int64(f.Offset))
}

// blobRefusal tells a client what an error of the files, or of the queues, means for it.
func (p *peer) blobRefusal(err error) error {
	switch {
	case errors.Is(err, blob.ErrMissing), errors.Is(err, blob.ErrOver):
		return relay.ErrUnknown
	case errors.Is(err, blob.ErrOffset):
		return relay.ErrMalformed
	case errors.Is(err, blob.ErrFull):
		return &relay.Refusal{Code: relay.CodeBusy, RetryAfter: retryFull}
	}
	if _, ok := errors.AsType[*relay.Refusal](err); !ok {
		p.srv.log.Error("a blob cannot be stored or read", "err", err)
	}
	return err // BUSY, if it is no refusal
}
