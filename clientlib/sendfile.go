package clientlib

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/clientlib/internal/transfer"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

const (
	// maxFile is the largest sealed file in bytes that is sent: what relays take by default.
	maxFile = 100 << 20
	// fileDays is how long the relay is asked to keep a file, like a message.
	fileDays = relay.DefaultDays
	// partLife is how long the beginning of a download is kept that nobody goes on with.
	partLife = 7 * 24 * time.Hour
)

// Progress tells how far a file has come, in bytes of its sealed form. Done equals Size once:
// when the other end has the whole, verified and on disk.
type Progress struct {
	Conversation ConversationID
	Message      MessageID
	Upload       bool
	Done, Size   int64
}

// Progresses yields how far files are, from the call on, until ctx ends or the client is
// closed; then it yields that error, last. A caller that is slow loses the oldest.
func (c *Client) Progresses(ctx context.Context) iter.Seq2[Progress, error] {
	return listen(ctx, c.eng, c.eng.progress)
}

// SendFile sends what src holds, as a message with the given caption (which may be empty) and
// a file; of f only Name, Type, Description and Inline are used. It returns when the sealed
// file and the message are on disk; src is not needed any more then. The file goes to the
// relay in the background, over as many connections as it takes, and the message after it:
// EventSent tells that both are there, [Client.Progresses] how far the file is. What is sent
// meanwhile does not wait for it. The relay keeps a file for 30 days.
//
// ErrTooLarge: over 100 MiB, sealed.
func (c *Client) SendFile(ctx context.Context, id ConversationID, caption string, f content.File, src io.Reader) (MessageID, error) {
	e := c.eng
	if err := e.call(ctx, func() error { _, err := e.writable(id); return err }); err != nil {
		return MessageID{}, err
	}
	info, err := e.files.Stage(src, maxFile)
	if errors.Is(err, sealedfile.ErrTooLarge) {
		err = fmt.Errorf("%w: at most %d bytes with what sealing adds", ErrTooLarge, maxFile)
	}
	if err != nil {
		return MessageID{}, err
	}
	f.Size, f.Key, f.Hash = info.Plain, content.FileKey(info.Key), info.Hash
	f.Expires = time.Now().AddDate(0, 0, fileDays)
	m, err := content.NewAttachment(caption, f)
	if err != nil {
		e.removeFile(info.Hash)
		return MessageID{}, err
	}
	message, err := c.send(ctx, id, m, &outFile{Hash: info.Hash, Plain: info.Plain})
	if err != nil {
		// When ctx ended it may be queued all the same: a file that a row names stays.
		e.post(func() { e.dropFile(info.Hash) })
	}
	return message, err
}

// carries reports whether a row goes out in this group, or goes out there again. One that is
// sealed for another group may be in that one's log.
func (e *engine) carries(g *group, r *row) bool {
	return r.rec.State == rowQueued && e.target(r) == g || r.rec.State == rowSealed && r.rec.Group == g.id
}

// uploadFile brings a row's file to the queue that the row goes out in.
func (e *engine) uploadFile(l *link, g *group, r *row) {
	if r.uploading != nil {
		return
	}
	ctx, end := context.WithCancel(e.ctx)
	r.uploading = end
	queue := g.rec.Queue
	up := transfer.Upload{
		Dial: func(ctx context.Context) (*relayclient.Conn, error) {
			return relayclient.Dial(ctx, l.addr, e.dialOptions())
		},
		Queue: queue, Key: e.id.Secret.readerKey(queue, e.reader(g)), Days: fileDays,
		Info:     sealedfile.Info{Hash: r.rec.File.Hash, Plain: r.rec.File.Plain},
		Progress: e.tell(Progress{Conversation: r.rec.Conversation, Message: r.rec.ID, Upload: true}),
	}
	e.spawn(func(context.Context) {
		defer end()
		err := e.files.Upload(ctx, up)
		e.post(func() {
			r.uploading = nil
			e.uploaded(g, r, queue, err)
		})
	})
}

// uploaded goes on with a row when an upload of its file has ended.
func (e *engine) uploaded(g *group, r *row, queue relay.QueueID, err error) {
	switch {
	case e.ctx.Err() != nil:
		return
	case !slices.Contains(e.rows, r):
		e.dropFile(r.rec.File.Hash) // given up meanwhile; until now it was being moved
		return
	case err == nil:
		r.rec.File.Stored, r.rec.File.Queue = true, queue
		if e.update(func(tx *state.Tx) error { return e.saveRow(tx, r) }) != nil {
			return
		}
	case r.rec.State != rowQueued:
		// The log may have the message by now, so it is not given up.
		e.after(retryLongest, func() { e.advance(g) })
		return
	case e.target(r) == g:
		why := "the relay does not take the file: " + refusalName(err)
		_ = e.update(func(tx *state.Tx) error { return e.dropRow(tx, r, why) })
		return
	}
	if t := e.target(r); t != nil {
		e.advance(t) // which may be another group by now
	}
	e.advance(g)
}

// tell returns a function that passes a transfer's progress on to the app.
func (e *engine) tell(p Progress) func(done, size int64) {
	return func(done, size int64) {
		p := p
		p.Done, p.Size = done, size
		e.post(func() { e.progress.tell(p) })
	}
}

// dropFile removes a file of the folder that no row of the outbox and no SaveFile needs.
func (e *engine) dropFile(hash relay.Hash) {
	if e.saving[hash] == 0 &&
		!slices.ContainsFunc(e.rows, func(r *row) bool { return r.rec.File != nil && r.rec.File.Hash == hash }) {
		e.removeFile(hash)
	}
}

func (e *engine) removeFile(hash relay.Hash) {
	if err := e.files.Remove(hash); err != nil && !errors.Is(err, transfer.ErrBusy) { // who moves it removes it
		e.log.Warn("removing a sealed file failed") // it goes at the next start
	}
}

// sweepFiles removes what a crash left in the folder, and downloads that nobody goes on with.
func (e *engine) sweepFiles() error {
	files, err := e.files.Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Whole || time.Since(f.Modified) > partLife {
			e.dropFile(f.Hash)
		}
	}
	return nil
}
