package clientlib

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// awaited is a COMMIT entry whose blob is on its way, and what came behind it. The relay's
// window bounds that, since none of it is acked.
type awaited struct {
	stream  *relayclient.Stream
	entries []relayclient.Entry // from the COMMIT on
	later   []relayclient.Event
}

// fetchedCommit is the blob of the COMMIT that is processed next. It outlives a connection, so
// that a large one is fetched once, however often the log is delivered again. A nil content
// means that the relay gave something else under its name for too long.
type fetchedCommit struct {
	hash    relay.Hash
	content []byte
}

// commitTries is how often a blob that is not what its COMMIT says is fetched before the
// commit is taken for a dud.
const commitTries = 3

// errOtherBlob: the relay has something else under that name, or its author named it wrongly.
var errOtherBlob = errors.New("clientlib: the commit's blob is not what its entry says")

// needsBlob tells what has to be fetched before en can be processed.
func (e *engine) needsBlob(g *group, en *relayclient.Entry) *sealedfile.Info {
	if en.Kind != relay.KindCommit || len(en.Blobs) == 0 {
		return nil
	}
	if g.pend != nil && envelopeHash(g.pend.Envelope) == envelopeHash(en.Envelope) {
		return nil
	}
	c, err := discloseCommit(g.keys, en.Envelope, en.Blobs)
	if err != nil || c.blob == nil || g.fetched != nil && g.fetched.hash == c.blob.Hash {
		return nil
	}
	return c.blob
}

// awaitCommit fetches what a COMMIT needs and then goes on with entries, whose first it is.
func (e *engine) awaitCommit(g *group, s *relayclient.Stream, entries []relayclient.Entry, blob *sealedfile.Info) {
	held := &awaited{stream: s, entries: entries}
	g.await = held
	l, queue := e.linkTo(g.rec.Relay), g.rec.Queue
	if l == nil || g.fetching[blob.Hash] {
		return
	}
	if g.fetching == nil {
		g.fetching = map[relay.Hash]bool{}
	}
	g.fetching[blob.Hash] = true
	e.spawn(func(ctx context.Context) {
		content, err := e.fetchCommit(ctx, l, g, queue, blob)
		e.post(func() {
			delete(g.fetching, blob.Hash)
			if ctx.Err() != nil || !g.live() {
				return
			}
			if err != nil {
				e.withheld(g, err)
			}
			g.fetched = &fetchedCommit{blob.Hash, content}
			e.resume(g)
		})
	})
}

// resume processes what waited for a blob.
func (e *engine) resume(g *group) {
	held := g.await
	if held == nil || held.stream != g.stream {
		return // the connection is gone: what waited is delivered again
	}
	g.await = nil
	e.deliver(g, held.stream, held.entries)
	for i, ev := range held.later {
		if g.await != nil { // another one needs a blob
			g.await.later = append(g.await.later, held.later[i:]...)
			return
		}
		if g.stream != held.stream {
			return
		}
		e.streamEvent(g, held.stream, ev)
	}
}

// fetchCommit gets a commit's blob, however long it takes. The relay keeps it while it has
// the entry, so UNKNOWN is the relay's fault: it is told once and asked again. Other bytes
// than the name says may be the author's fault; they end in errOtherBlob.
func (e *engine) fetchCommit(ctx context.Context, l *link, g *group, queue relay.QueueID, blob *sealedfile.Info) ([]byte, error) {
	unknown, other := 0, 0
	var m memory
	err := untilDone(ctx, func() (bool, error) {
		err := e.getBlob(ctx, l.addr, queue, blob, &m)
		switch {
		case errors.Is(err, relay.ErrUnknown):
			if unknown++; unknown == commitTries {
				e.post(func() { e.withheld(g, err) })
			}
		case errors.Is(err, errOtherBlob):
			if other++; other == commitTries {
				return false, err
			}
		}
		return true, err
	})
	if err != nil {
		return nil, err
	}
	return m.b, nil
}

// withheld tells the app that a commit cannot be had as it was announced.
func (e *engine) withheld(g *group, why error) {
	if !g.live() {
		return
	}
	_ = e.update(func(tx *state.Tx) error {
		return e.emit(tx, Event{
			Kind: EventCannotFollow, Conversation: g.rec.Conversation, From: g.cursor.Seq + 1,
			Detail: fmt.Sprintf("a commit's blob is not to be had: %v", why),
		})
	})
}

// storeCommit brings the blob of the pending commit to the relay. It goes on while the link
// is away.
func (e *engine) storeCommit(l *link, g *group, pend *pendingCommit) {
	if g.storing == pend {
		return
	}
	g.storing = pend
	reader := e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
	queue := g.rec.Queue
	e.spawn(func(ctx context.Context) {
		err := untilDone(ctx, func() (bool, error) {
			err := e.putBlob(ctx, l.addr, queue, reader, pend.BlobHash, pend.Blob)
			return !finalForBlob(err), err
		})
		e.post(func() {
			if g.storing == pend {
				g.storing = nil
			}
			if g.pend != pend {
				return
			}
			if err != nil {
				if c := e.changeByID(pend.Change); c != nil {
					e.failChange(g, c, fmt.Errorf("storing a large commit: %w", err))
				}
				e.dropCommit(g)
				return
			}
			pend.Stored = true
			g.stored++
			e.advance(g)
		})
	})
}

// finalForBlob reports whether a relay that refuses a blob will go on doing so.
func finalForBlob(err error) bool {
	for _, final := range []error{
		relay.ErrTooLarge, relay.ErrMalformed, relay.ErrReused, relay.ErrClosed, relay.ErrForbidden, context.Canceled,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}
