package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// story is a small relay with some life in it: two groups that write, commit, ack and store blobs,
// and what they were promised.
type story struct {
	*rig
	*promises
	blobDir string
	random  *rand.Rand
	queues  []relay.QueueID
	commits map[relay.QueueID]int
	last    map[relay.QueueID]relay.Position // the last COMMIT
	turns   uint64
}

// tell begins a story in a folder of the test.
func tell(t testing.TB, seed uint64) *story {
	t.Helper()
	blobDir := filepath.Join(t.TempDir(), "blobs")
	files, err := blob.Open(blob.Config{Dir: blobDir, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	r := newRig(t, func(c *Config) { c.Blobs = files })
	s := &story{
		rig: r, promises: newPromises(r.Incarnation()), blobDir: blobDir, random: rand.New(rand.NewPCG(seed, 26)),
		commits: make(map[relay.QueueID]int), last: make(map[relay.QueueID]relay.Position),
	}
	for _, name := range []string{"town", "family"} {
		readers := []string{"alice", "bob"}
		q := queueID(name)
		s.queues = append(s.queues, q)
		s.logs[q] = &promisedLog{readers: readers, writer: "w0", asked: make(map[relay.Hash]bool), at: make(map[uint64]promisedEntry)}
		s.group(name, readers...)
		s.logs[q].asked[sha256.Sum256(envelope("one more", 512))] = true
	}
	return s
}

// submit submits all at once and waits for all answers.
func (s *story) submit(all ...relay.Mutation) {
	s.Helper()
	var answered sync.WaitGroup
	for _, m := range all {
		answered.Add(1)
		s.ask(m)
		s.SubmitFrom(new(Flow), m, Authority{}, func(a Answer) {
			defer answered.Done()
			if a.Err != nil {
				s.Errorf("%T: %v", m, a.Err)
				return
			}
			s.accept(m, a.Position)
		})
	}
	answered.Wait()
}

// chapter is what happens between two acks: entries of several sizes, a COMMIT, a blob.
func (s *story) chapter() {
	s.Helper()
	for _, q := range s.queues {
		l := s.logs[q]
		writer := l.writer
		for range 1 + s.random.IntN(3) {
			var batch []relay.Mutation
			for range 1 + s.random.IntN(6) {
				s.turns++
				b := make([]byte, relay.MinEnvelope<<s.random.IntN(5))
				binary.BigEndian.PutUint64(b, s.turns)
				for i := 8; i < len(b); i++ {
					b[i] = byte(s.random.Uint32())
				}
				batch = append(batch, &relay.Append{ID: s.id(), Queue: q, Writer: key(writer), Envelope: b})
			}
			s.submit(batch...)
		}
		s.blob(q)
		if s.commits[q] < 15 {
			s.commit1(q, l)
		}
	}
}

// commit1 makes a COMMIT, which replaces the writer.
func (s *story) commit1(q relay.QueueID, l *promisedLog) {
	s.Helper()
	s.commits[q]++
	next := fmt.Sprintf("w%d", s.commits[q])
	m := s.commit(q, "alice", s.last[q], next)
	m.Envelope = envelope(fmt.Sprint("commit ", s.commits[q]), 512)
	s.quietly(func() { l.next = next })
	s.submit(m)
	s.quietly(func() { s.last[q] = l.head })
}

// quietly runs fn while nobody looks at the promises.
func (s *story) quietly(fn func()) {
	s.promises.mu.Lock()
	defer s.promises.mu.Unlock()
	fn()
}

// blob stores a blob in three parts.
func (s *story) blob(q relay.QueueID) {
	s.Helper()
	data := make([]byte, 3000+s.random.IntN(9000))
	for i := range data {
		data[i] = byte(s.random.Uint32())
	}
	hash := relay.Hash(sha256.Sum256(data))
	s.quietly(func() { s.blobs[hash] = promisedBlob{queue: q, bytes: data} })
	c := make(chan BlobAnswer, 1)
	s.StoreBlob(new(Flow), &relay.StoreBlob{Queue: q, Key: key("alice"), Blob: hash, Size: uint64(len(data))}, func(a BlobAnswer) { c <- a })
	a := <-c
	if a.Err != nil {
		s.Fatal(a.Err)
	}
	u, _, err := s.cfg.Blobs.Begin(a.Name, int64(len(data)))
	for at := 0; err == nil && at < len(data); at += 2048 {
		err = u.Write(data[at:min(at+2048, len(data))], int64(at))
	}
	if err == nil {
		err = u.Finish(hash)
	}
	if err != nil {
		s.Fatal(err)
	}
	done := make(chan *relay.Refusal, 1)
	s.FinishBlob(new(Flow), a.Name, func(refusal *relay.Refusal) { done <- refusal })
	if refusal := <-done; refusal != nil {
		s.Fatal(refusal)
	}
	s.quietly(func() { s.blobs[hash] = promisedBlob{queue: q, bytes: data, complete: true} })
}

// ackMost has both readers ack most of what there is, and says what is gone once that is on disk.
func (s *story) ackMost() {
	s.Helper()
	upto := make(map[relay.QueueID]uint64)
	s.quietly(func() {
		for _, q := range s.queues {
			l := s.logs[q]
			l.acked = max(l.acked, l.head.Seq-min(l.head.Seq, uint64(s.random.IntN(6))))
			upto[q] = l.acked
		}
	})
	for q, seq := range upto {
		s.Ack(q, key("alice"), seq)
		s.Ack(q, key("bob"), seq)
	}
	s.flushAcks()
	s.quietly(func() {
		for q, seq := range upto {
			s.logs[q].gone = seq
		}
	})
}
