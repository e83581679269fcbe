package relayserver

import (
	"sync"

	"github.com/sealpost/sealpost/relay"
)

// blobs is what a session does with blobs. Files are read and written by a worker, which lives
// while there is something to do: neither the session's reader nor the storing goroutine ever
// waits for a disk. Requests keep their order, and of all workers only so many are at the
// disk at once. Jobs are bounded by the session's requests in flight.
type blobs struct {
	work sync.WaitGroup // the worker; Add under mu while not ended

	mu      sync.Mutex // guards all below
	room    sync.Cond  // data or ended has changed
	jobs    []job
	working bool
	ended   bool // the session is over
	uploads map[blobID]*upload
	data    int // bytes read and not yet written to the session
}

// job is one step at the disk. One that reads waits until the session has taken what was read
// before: whoever does not read its answers holds two parts, and no more.
type job struct {
	read bool
	run  func()
}

func newBlobs() *blobs {
	b := new(blobs)
	b.room.L = &b.mu
	return b
}

// reserve counts an upload that begins; false if there are too many. The same blob again takes
// the place of the first.
func (b *blobs) reserve(u *upload) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, again := b.uploads[u.id]; !again && len(b.uploads) >= relay.MaxUploads {
		return false
	}
	if b.uploads == nil {
		b.uploads = make(map[blobID]*upload) // most sessions never have one
	}
	b.uploads[u.id] = u
	return true
}

func (b *blobs) find(id blobID) *upload {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.uploads[id]
}

// end forgets an upload. What it has written stays.
func (b *blobs) end(u *upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uploads[u.id] == u {
		delete(b.uploads, u.id)
	}
}

// do has the worker do j, after what was given to it before. It never blocks.
func (b *blobs) do(s *Server, j job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return // nobody waits for the answer
	}
	b.jobs = append(b.jobs, j)
	if !b.working {
		b.working = true
		b.work.Go(func() { b.run(s) })
	}
}

func (b *blobs) run(s *Server) {
	for {
		b.mu.Lock()
		for len(b.jobs) > 0 && b.jobs[0].read && b.data >= maxBlobData && !b.ended {
			b.room.Wait()
		}
		if b.ended || len(b.jobs) == 0 {
			b.jobs, b.working = nil, false
			b.mu.Unlock()
			return
		}
		j := b.jobs[0]
		b.jobs = b.jobs[1:]
		b.mu.Unlock()
		s.disk <- struct{}{}
		j.run()
		<-s.disk
	}
}

// reading counts data that waits to be written to the session, written what was.
func (b *blobs) reading(n int) {
	b.mu.Lock()
	b.data += n
	b.mu.Unlock()
}

func (b *blobs) written(f relay.Frame) {
	if d, ok := f.(*relay.BlobData); ok && len(d.Data) > 0 {
		b.mu.Lock()
		b.data -= len(d.Data)
		b.mu.Unlock()
		b.room.Broadcast()
	}
}

// stop ends the session's part: what is not begun is dropped, and nothing of it runs on.
func (b *blobs) stop() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.room.Broadcast()
	b.work.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.uploads {
		if u.file != nil {
			u.file.Close()
		}
	}
}
