package relayclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// faulted is a load on a relay that dies again and again, with a third reader who watches what is
// erased, uploads, and on demand megabytes of entries.
type faulted struct {
	*load
	logs    []*view
	heavy   atomic.Bool
	all     sync.WaitGroup // that end when no new message is written
	reading sync.WaitGroup // that end with done
	erased  uint64         // from the first entry on; used by auditing only, until it has ended
	audited uint64         // what the auditor has acked; the same
	blobs   []uint64       // numbers of those that are whole; used by uploading only, until it has ended
}

func newFaulted(ctx context.Context, t *testing.T, dir, addr string) *faulted {
	t.Helper()
	cert, err := certpin.OpenDevelopment(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &faulted{load: &load{
		t: t, write: overTCP, read: overTCP, queue: relay.QueueID(sha256.Sum256([]byte("R25 points"))), key: key("writer"),
		addr: relay.Address{Host: addr, Key: identity().Public(), Pin: new(relay.Hash(cert.Pin()))},
		stop: make(chan struct{}), done: ctx, written: make(map[message]relay.Position), more: []string{"auditor"},
	}}
}

// begin founds the queues and starts everybody.
func (f *faulted) begin() {
	f.t.Helper()
	start := f.create()
	f.foundStore()
	for w := range uint64(writers) {
		f.all.Go(func() { f.writing(w) })
	}
	f.all.Go(f.uploading)
	for i := range readers {
		v := &view{at: start, moved: make(chan struct{}, 1)}
		f.logs = append(f.logs, v)
		f.reading.Go(func() { f.load.reading(key(readerName(i)), v) })
	}
	f.reading.Go(f.auditing)
	f.reading.Go(f.hauling)
}

// end stops everybody, with a relay that serves, and compares.
func (f *faulted) end(cancel context.CancelFunc) {
	close(f.stop)
	f.all.Wait()
	if f.done.Err() != nil {
		f.t.Error("the test hung: nothing was accepted any more")
	}
	f.catchUp(f.logs)
	f.checkBlobs()
	cancel()
	f.reading.Wait()
	for _, v := range f.logs {
		f.compare(v)
	}
}

// auditing attaches from the beginning in each session: what it finds erased must stay so. It acks
// what it reads.
func (f *faulted) auditing() {
	f.sessions(f.read, func(c *relayclient.Conn) bool {
		s, err := c.Attach(f.queue, key("auditor"), nil, 64<<10).Result()
		if err != nil {
			if !errors.Is(err, relayclient.ErrDisconnected) {
				f.t.Errorf("the auditor's attach: %v", err)
			}
			return false
		}
		begins := true
		for {
			select {
			case e, open := <-s.Events():
				if !open {
					return false
				}
				f.audit(e, begins)
				begins = false
				s.Ack(f.audited)
			case <-f.done.Done():
				return true
			}
		}
	})
}

func (f *faulted) audit(e relayclient.Event, begins bool) {
	switch e := e.(type) {
	case relayclient.Gap:
		// What earlier sessions acked may be erased while this one reads.
		if e.Reason != relay.GapAcked || e.To > f.audited || begins && (e.From != 1 || e.To < f.erased) {
			f.t.Errorf("a gap from %d to %d, reason %d; up to %d was acked and up to %d erased before",
				e.From, e.To, e.Reason, f.audited, f.erased)
		}
		if e.From <= f.erased+1 {
			f.erased = max(f.erased, e.To)
		}
	case relayclient.Delivery:
		if first := e.Entries[0].Position.Seq; first <= f.erased {
			f.t.Errorf("entry %d was acked by all and erased, and is back", first)
		}
		f.audited = max(f.audited, e.Entries[len(e.Entries)-1].Position.Seq)
	case *relayclient.ChainBroken:
		f.t.Error(e)
	}
}

// The store of the uploads and of the heavy load: a queue of its own.
var haulQueue = relay.QueueID(sha256.Sum256([]byte("R25 haul")))

func (f *faulted) foundStore() {
	f.t.Helper()
	c, err := relayclient.Dial(f.done, f.addr, f.write)
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Create(relayclient.CreateParams{
		Queue: haulQueue, ID: relay.IdempotencyID{9}, Admin: key("admin"), Admins: []relay.PublicKey{public(key("admin"))},
		Writer: new(public(key("hauler"))), Readers: []relay.PublicKey{public(key("hauler reads"))},
	}).Result()
	if err != nil {
		f.t.Fatal(err)
	}
}

// blobOf is the how many-th blob.
func blobOf(n uint64) []byte {
	b := make([]byte, 150<<10)
	rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))).Read(b)
	return b
}

// uploading stores one blob after the other. The relay has room for so many.
func (f *faulted) uploading() {
	const most = 2000
	n := uint64(0)
	f.sessions(f.write, func(c *relayclient.Conn) bool {
		for {
			select {
			case <-f.stop:
				return true
			case <-time.After(20 * time.Millisecond):
			}
			if n == most {
				<-f.stop
				return true
			}
			b := blobOf(n)
			err := c.Upload(f.done, relayclient.UploadParams{
				Queue: haulQueue, Key: key("hauler reads"), Blob: sha256.Sum256(b), Size: uint64(len(b)), Source: bytes.NewReader(b),
			})
			// MALFORMED: the beginning was spoilt by a power cut, and is erased with the rest.
			expected := errors.Is(err, relay.ErrLimit) || errors.Is(err, relay.ErrBusy) || errors.Is(err, relay.ErrMalformed)
			if _, refused := errors.AsType[*relay.Refusal](err); refused && !expected {
				f.t.Errorf("blob %d: %v", n, err)
			}
			if err != nil {
				return false
			}
			f.blobs = append(f.blobs, n)
			n++
		}
	})
}

// checkBlobs fetches what was answered as whole.
func (f *faulted) checkBlobs() {
	c, err := relayclient.Dial(f.done, f.addr, f.write)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer c.Close()
	for _, n := range f.blobs {
		want := blobOf(n)
		if got, err := fetch(c, f.t, haulQueue, sha256.Sum256(want), len(want)); err != nil || !bytes.Equal(got, want) {
			f.t.Errorf("blob %d, which was whole: %v", n, err)
		}
	}
}

// hauling writes the largest envelopes while that is asked for, and acks them, so that Badger's
// memtables fill and its tables are merged.
func (f *faulted) hauling() {
	envelope := slices.Repeat([]byte{7}, relay.MaxEnvelope)
	n := uint64(0)
	f.sessions(f.write, func(c *relayclient.Conn) bool {
		var calls []*relayclient.Call
		for f.done.Err() == nil {
			if !f.heavy.Load() {
				select {
				case <-time.After(50 * time.Millisecond):
					if c.Err() != nil {
						return false
					}
					continue
				case <-f.done.Done():
					return true
				}
			}
			for len(calls) < 4 {
				n++
				id := message{^uint64(0), n}.id()
				calls = append(calls, c.Append(haulQueue, id, key("hauler"), envelope))
			}
			_, err := calls[0].Result()
			calls = calls[1:]
			switch {
			case errors.Is(err, relay.ErrQuota):
				f.empty(c)
			case err != nil:
				return false
			}
		}
		return true
	})
}

// empty reads and acks all that was hauled.
func (f *faulted) empty(c *relayclient.Conn) {
	s, err := c.Attach(haulQueue, key("hauler reads"), nil, 0).Result()
	if err != nil {
		return
	}
	defer s.Detach()
	for e := range s.Events() { // which end with c
		switch e := e.(type) {
		case *relayclient.ChainBroken:
			f.t.Error(e)
		case relayclient.Delivery:
			last := e.Entries[len(e.Entries)-1].Position.Seq
			if s.Ack(last); last >= s.Head.Seq {
				return
			}
		}
	}
}
