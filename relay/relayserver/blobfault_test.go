package relayserver

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
	"github.com/sealpost/sealpost/relay/internal/queue"
)

// TestR25_EveryStepOfAnUpload: the server dies between any two steps of an upload, record and
// file, and the next one goes on.
func TestR25_EveryStepOfAnUpload(t *testing.T) {
	b, hash := blobOf(300_000, 1)
	q := queueID(6)
	reserve := func(t *testing.T, s *Server) queue.BlobAnswer {
		c := make(chan queue.BlobAnswer, 1)
		s.store.StoreBlob(new(queue.Flow), storeBlob(q, alice, b, hash), func(a queue.BlobAnswer) { c <- a })
		return <-c
	}
	write := func(t *testing.T, s *Server, n int, finish bool) {
		a := reserve(t, s)
		u, _, err := s.blobs.Begin(a.Name, int64(len(b)))
		if err == nil {
			err = u.Write(b[:n], 0)
		}
		if err == nil && finish {
			err = u.Finish(hash)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	whole := func(t *testing.T, s *Server) {
		c := dial(t, listen(t, s))
		c.must(proveRead(q, alice))
		c.stored(q, alice, len(b), 1)
	}
	for step, until := range map[string]struct {
		do     func(t *testing.T, s *Server)
		stored uint64
	}{
		"before the record":        {func(*testing.T, *Server) {}, 0},
		"after the record":         {func(t *testing.T, s *Server) { reserve(t, s) }, 0},
		"in the middle":            {func(t *testing.T, s *Server) { write(t, s, 100_000, false) }, 100_000},
		"before verifying":         {func(t *testing.T, s *Server) { write(t, s, len(b), false) }, 300_000},
		"after the rename":         {func(t *testing.T, s *Server) { write(t, s, len(b), true) }, 300_000},
		"after the whole":          {whole, 300_000},
		"after the file is lost":   {func(t *testing.T, s *Server) { whole(t, s); lose(t, s) }, 0},
		"while a wrong one is put": {func(t *testing.T, s *Server) { writeWrong(t, s, reserve(t, s), b) }, 0},
	} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, nil)
			c := dial(t, listen(t, s))
			c.must(create(q))
			until.do(t, s)
			if err := s.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, nil)
			if err := s.store.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			c = dial(t, listen(t, s))
			c.must(proveRead(q, alice))
			a := c.blob(storeBlob(q, alice, b, hash))
			if a.Stored != until.stored || a.Complete != (a.Stored == uint64(len(b))) {
				t.Errorf("the next one hears %+v", a)
			}
			if !a.Complete {
				a = c.put(q, b, hash, a.Stored, 100_000)
			}
			if !a.Complete || !bytes.Equal(c.get(q, hash, relay.MaxBlobPart), b) {
				t.Errorf("in the end: %+v", a)
			}
		})
	}
}

// lose removes all files of blobs.
func lose(t *testing.T, s *Server) {
	if err := s.blobs.Sweep(t.Context(), func(blob.Name, bool) (bool, error) { return false, nil }); err != nil {
		t.Fatal(err)
	}
}

// writeWrong writes bytes that a power cut has spoiled.
func writeWrong(t *testing.T, s *Server, a queue.BlobAnswer, b []byte) {
	u, _, err := s.blobs.Begin(a.Name, int64(len(b)))
	if err == nil {
		err = u.Write(make([]byte, len(b)), 0)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// TestR37_DrainAnswersBlobs: what was read before the drain is answered, what comes later is
// refused, and the upload goes on at the next server.
func TestR37_DrainAnswersBlobs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	c := dial(t, listen(t, s))
	q := queueID(7)
	c.must(create(q))
	c.must(proveRead(q, alice))
	b, hash := blobOf(500_000, 1)
	c.blob(storeBlob(q, alice, b, hash))
	for at := 0; at < len(b); at += 50_000 {
		c.write(c.sign(&relay.PutBlob{Queue: q, Blob: hash, Offset: uint64(at), Data: b[at : at+50_000]}))
	}
	first := c.request - 9
	if _, ok := c.answer(first).(*relay.Blob); !ok {
		t.Fatal("the first part is refused")
	}
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	answered := uint64(50_000)
	for f, err := c.s.ReadFrame(); err == nil; f, err = c.s.ReadFrame() {
		switch a := f.(type) {
		case *relay.Blob:
			answered = a.Stored
		case *relay.Refused:
			if a.Refusal.Code != relay.CodeDraining {
				t.Errorf("a part: %v", a.Refusal.Code)
			}
		}
	}
	if err := <-down; err != nil {
		t.Fatal(err)
	}
	c = dial(t, listen(t, open(t, dir, nil)))
	c.must(proveRead(q, alice))
	if a := c.blob(storeBlob(q, alice, b, hash)); a.Stored != answered {
		t.Errorf("%d bytes were answered, %d are there", answered, a.Stored)
	}
}
