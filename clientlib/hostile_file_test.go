package clientlib

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/history"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
)

// exchanged is a conversation in which alice has sent bob a file, and the file.
func exchanged(t *testing.T, size int) (alice, bob *user, id ConversationID, file history.Entry, plain []byte) {
	t.Helper()
	s := startServers(t)
	alice, bob = s.register("alice"), s.register("bob")
	group8(&id, alice, bob)
	plain = randomBytes(size)
	need[MessageID](t)(alice.SendFile(alice.ctx(), id, "", content.File{Name: "a.bin"}, bytes.NewReader(plain)))
	bob.awaitKind(EventMessage, 1)
	return alice, bob, id, bob.files(id)[0], plain
}

// TestFileSavedByMany: an app saves one file many times at once. Each gets all of it, and none
// takes it away from another; the last one leaves nothing behind.
func TestFileSavedByMany(t *testing.T) {
	t.Parallel()
	_, bob, _, file, plain := exchanged(t, 100_000)
	for range 20 {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				var got bytes.Buffer
				if err := bob.SaveFile(bob.ctx(), file, 0, &got); err != nil || !bytes.Equal(got.Bytes(), plain) {
					t.Errorf("%d of %d bytes: %v", got.Len(), len(plain), err)
				}
			})
		}
		wg.Wait()
	}
	bob.until("the folder is empty", func() bool { return bob.spooled() == 0 })
}

// stuckWriter takes nothing until it is released.
type stuckWriter struct {
	once    sync.Once
	entered chan struct{}
	release chan struct{}
	written int
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.entered) })
	<-w.release
	w.written += len(b)
	return len(b), nil
}

// TestC22_WriterThatWaits: an app writes a file to where nobody reads, and meanwhile ends
// SaveFile's context or closes the client. Neither waits for the writer, which gets no more than
// it is busy with.
func TestC22_WriterThatWaits(t *testing.T) {
	t.Parallel()
	_, bob, _, file, _ := exchanged(t, 300_000)
	for name, end := range map[string]func(cancel func()){
		"cancelled": func(cancel func()) { cancel() },
		"closed":    func(func()) { bob.close() },
	} {
		if bob.Client == nil {
			bob.open()
		}
		ctx, cancel := context.WithCancel(bob.ctx())
		w := &stuckWriter{entered: make(chan struct{}), release: make(chan struct{})}
		saved, client := make(chan error, 1), bob.Client
		go func() { saved <- client.SaveFile(ctx, file, 0, w) }()
		<-w.entered
		ended := make(chan struct{})
		go func() {
			end(cancel)
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Errorf("%s: waits for the writer", name)
		}
		close(w.release)
		if err := <-saved; !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) || w.written > 64<<10 {
			t.Errorf("%s: %d bytes written, %v", name, w.written, err)
		}
		<-ended
		cancel()
	}
}

// TestFailingWriter: a writer that fails ends in its own error, and the file need not come again.
func TestFailingWriter(t *testing.T) {
	t.Parallel()
	_, bob, _, file, plain := exchanged(t, 5000)
	full := errors.New("no space")
	r, w := io.Pipe()
	r.CloseWithError(full)
	if err := bob.SaveFile(bob.ctx(), file, 0, w); !errors.Is(err, full) {
		t.Errorf("%v, want the writer's error", err)
	}
	if n := bob.spooled(); n != 1 {
		t.Errorf("%d files in the folder, want the one", n)
	}
	var got bytes.Buffer
	if err := bob.SaveFile(bob.ctx(), file, 0, &got); err != nil || !bytes.Equal(got.Bytes(), plain) {
		t.Errorf("again: %d bytes, %v", got.Len(), err)
	}
	bob.until("the folder is empty", func() bool { return bob.spooled() == 0 })
}

// TestFileGivenUpWhileItGoes: a relay does not take a file; meanwhile its sender can save it, and
// leaves the conversation. The upload ends, and the file does not stay on the disk.
func TestFileGivenUpWhileItGoes(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	l := s.liar(alice)
	l.lies(silent)
	plain := randomBytes(5000)
	need[MessageID](t)(alice.SendFile(alice.ctx(), id, "", content.File{}, bytes.NewReader(plain)))
	alice.until("the upload", func() bool { return l.asked.Load() > 0 })
	var got bytes.Buffer
	if err := alice.SaveFile(alice.ctx(), alice.files(id)[0], 0, &got); err != nil || !bytes.Equal(got.Bytes(), plain) {
		t.Errorf("the own file: %d bytes, %v", got.Len(), err)
	}
	if n := alice.spooled(); n != 1 {
		t.Errorf("%d files in the folder while one is on its way", n)
	}
	alice.must(alice.eng.call(alice.ctx(), func() error { alice.eng.leaveQueue(alice.eng.primary(id), "test"); return nil }))
	alice.awaitKind(EventFailed, 1)
	alice.until("the folder is empty", func() bool { return alice.spooled() == 0 })
}

// TestFileOfAMessageInTheLog: the message of a file has been encrypted, so the log may have it. A
// relay that does not take the file again then makes the client neither give the message up, nor
// forget that it is its own; one that lost something gets the file again.
func TestFileOfAMessageInTheLog(t *testing.T) {
	t.Parallel()
	alice, bob, id, _, _ := exchanged(t, 5000)
	alice.quiet()
	m := content.Text("the row")
	alice.must(alice.eng.call(alice.ctx(), func() (err error) {
		e, g := alice.eng, alice.eng.primary(id)
		message, err := m.ID(senderURI(e.id.Account), e.roomOf(id))
		if err != nil {
			return err
		}
		body := need[[]byte](t)(m.Encode())
		queue := g.rec.Queue
		err = e.update(func(tx *state.Tx) error {
			if _, err := e.remember(tx, g, id, message, body, m.PlainText()); err != nil {
				return err
			}
			return e.queueRow(tx, outRow{
				Conversation: id, Kind: payloadContent, ID: message, Body: body, State: rowQueued,
				File: &outFile{Hash: relay.Hash{1}, Plain: 1, Stored: true, Queue: queue},
			})
		})
		if err != nil {
			return err
		}
		r := e.rows[len(e.rows)-1]
		if err := e.sealRows(g, []*row{r}); err != nil {
			return err
		}
		own := r.rec.Group
		if r.rec.Group[0] ^= 1; !e.carries(g, &row{rec: outRow{State: rowQueued, Conversation: id}}) || e.carries(g, r) {
			t.Error("a row that is sealed for another group goes out here")
		}
		r.rec.Group = own
		e.uploaded(g, r, queue, relay.ErrUnknown)
		if e.rowByID(r.id) != r {
			t.Error("the row was given up")
		}
		if err := e.update(func(tx *state.Tx) error {
			if err := e.accept(tx, r); err != nil {
				return err
			}
			return e.sendAgain(tx, g)
		}); err != nil {
			return err
		}
		if r.rec.File.in(queue) {
			t.Error("the relay lost something, and the file is taken to be there")
		}
		e.uploaded(g, r, queue, nil) // it is there again
		return nil
	}))
	bob.awaitText("the row")
	alice.quiet()
}
