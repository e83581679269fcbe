package clientlib

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/history"
	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/clientlib/internal/transfer"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// Errors of SaveFile. Both are final.
var (
	// ErrNoFile: the message has no such file, or its conversation is not in this store.
	ErrNoFile = errors.New("clientlib: message has no such file")
	// ErrFileGone: the relay does not have the file any more.
	ErrFileGone = errors.New("clientlib: the relay has the file no more")
	// ErrBadFile: what the relay has is not the file that the message tells of.
	ErrBadFile = errors.New("clientlib: the file is not the one that the message tells of")
)

// Message returns the history's entry of the message that an event is about.
func (c *Client) Message(ctx context.Context, ev Event) (en history.Entry, found bool, err error) {
	err = c.db.View(ctx, func(tx *state.Tx) error {
		en, found, err = history.Get(tx, history.Key{
			Conversation: ev.Conversation, Sender: ev.Account[:], Device: ev.Device[:], MessageID: [32]byte(ev.Message),
		})
		return err
	})
	return en, found, err
}

// SaveFile fetches a file of a message, files counted from 0 as content's Message.Files does,
// and writes it to dst. It goes on over as many connections as it takes, until ctx ends; called
// again, also in another run of the program, it goes on where it was. Nothing is written to
// dst before all of the file has come and its hash was right. [Client.Progresses] tells how
// far it is. Downloads of several files may be under way at once; apps ask their users before
// they begin one, since the relay sees that somebody does.
//
// Errors: [ErrNoFile], [ErrFileGone], [ErrBadFile], dst's, and those of the network and the
// disk that do not pass.
func (c *Client) SaveFile(ctx context.Context, en history.Entry, file int, dst io.Writer) error {
	e := c.eng
	info, err := fileOf(en, file)
	if err != nil {
		return err
	}
	fetched := make(chan error, 1)
	err = e.call(ctx, func() error {
		down, err := e.download(en, info)
		if err == nil {
			e.saving[info.Hash]++
			// Close waits for it: the folder is closed after.
			e.spawn(func(context.Context) { fetched <- e.fetchFile(ctx, down) })
		}
		return err
	})
	if err != nil {
		return err
	}
	keep := true
	defer func() { e.post(func() { e.saved(info.Hash, keep) }) }()
	if err := <-fetched; err != nil {
		return err
	}
	// Here and not in a goroutine of the engine, since dst may wait for whoever calls Close.
	err = e.unseal(ctx, dst, info)
	keep = err != nil && !errors.Is(err, ErrBadFile) // of dst: the file is here and need not come again
	return err
}

// bounded returns a context that ends with the caller's and with the engine's.
func (e *engine) bounded(ctx context.Context) (both context.Context, end func()) {
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.ctx, func() { cancel(ErrClosed) })
	return both, func() { stop(); cancel(nil) }
}

func (e *engine) fetchFile(ctx context.Context, down transfer.Download) error {
	ctx, end := e.bounded(ctx)
	defer end()
	err := e.files.Download(ctx, down)
	switch {
	case errors.Is(err, relay.ErrUnknown):
		return ErrFileGone
	case errors.Is(err, sealedfile.ErrDamaged), errors.Is(err, relayclient.ErrProtocol):
		return fmt.Errorf("%w: %w", ErrBadFile, err)
	}
	return err
}

func (e *engine) unseal(ctx context.Context, dst io.Writer, info sealedfile.Info) error {
	ctx, end := e.bounded(ctx)
	defer end()
	err := e.files.Unseal(&endingWriter{ctx, dst}, info)
	for _, bad := range []error{sealedfile.ErrDamaged, sealedfile.ErrSegment, sealedfile.ErrLength, sealedfile.ErrPadding} {
		if errors.Is(err, bad) {
			return fmt.Errorf("%w: %w", ErrBadFile, err)
		}
	}
	if err != nil && e.ctx.Err() != nil {
		return e.reason() // the folder is closed, or about to be
	}
	return err
}

// saved ends a SaveFile. The file goes with the last one, unless one of its readers failed.
func (e *engine) saved(hash relay.Hash, keep bool) {
	if e.saving[hash]--; e.saving[hash] == 0 {
		delete(e.saving, hash)
	}
	if !keep {
		e.dropFile(hash)
	}
}

// endingWriter ends writing when ctx does.
type endingWriter struct {
	ctx context.Context
	dst io.Writer
}

// Write implements io.Writer.
func (w *endingWriter) Write(b []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.dst.Write(b)
}

// fileOf says what opens a file of a message.
func fileOf(en history.Entry, file int) (sealedfile.Info, error) {
	m, err := content.Decode(en.Body)
	if err != nil {
		return sealedfile.Info{}, ErrNoFile
	}
	files := m.Files()
	if file < 0 || file >= len(files) {
		return sealedfile.Info{}, ErrNoFile
	}
	f := files[file]
	return sealedfile.Info{Key: sealedfile.Key(f.Key), Hash: f.Hash, Plain: f.Size}, nil
}

// download says where a file is: in the queue that its message stands in, and nowhere else.
func (e *engine) download(en history.Entry, info sealedfile.Info) (transfer.Download, error) {
	g := e.groups[groupID(en.Group)]
	if g == nil {
		return transfer.Download{}, ErrNoFile
	}
	addr, err := relay.ParseAddress(g.rec.Relay)
	if err != nil {
		return transfer.Download{}, err
	}
	return transfer.Download{
		Dial: func(ctx context.Context) (*relayclient.Conn, error) {
			return relayclient.Dial(ctx, addr, e.dialOptions())
		},
		Queue: g.rec.Queue, Info: info,
		Progress: e.tell(Progress{Conversation: ConversationID(en.Conversation), Message: MessageID(en.MessageID)}),
	}, nil
}
