package clientlib

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// maxLater bounds the events that are held back with it. An honest relay's window holds fewer.
const maxLater = 4096

// fetchedCommit is the blob of the COMMIT that is processed next. It outlives a connection, so
// that a large one is fetched once, however often the log is delivered again.
type fetchedCommit struct {
	hash    relay.Hash
	size    int64  // of what the hash names
	content []byte // nil if that is not the size that the commit tells
}

// answers reports whether it decides what a COMMIT's blob is.
func (f *fetchedCommit) answers(blob *sealedfile.Info) bool {
	return f != nil && f.hash == blob.Hash && (f.content != nil || f.size != blob.Size())
}

// commitTries is how often the relay fails to give a blob before the app is told.
const commitTries = 3

// errPassed: the log goes on without the COMMIT that the blob was for.
var errPassed = errors.New("clientlib: the blob is not needed any more")

// needsBlob tells what has to be fetched before en can be processed.
func (e *engine) needsBlob(g *group, en *relayclient.Entry) *sealedfile.Info {
	if en.Kind != relay.KindCommit || len(en.Blobs) == 0 {
		return nil
	}
	if g.pend != nil && g.pend.is(en) {
		return nil
	}
	c, err := discloseCommit(g.keys, en.Envelope, en.Blobs)
	if err != nil || c.blob == nil || g.fetched.answers(c.blob) {
		return nil
	}
	return c.blob
}

// is reports whether en is this commit and counts for the others, by the same rule as theirs:
// the envelope alone does not make it count where its blob is not kept.
func (p *pendingCommit) is(en *relayclient.Entry) bool {
	return envelopeHash(p.Envelope) == envelopeHash(en.Envelope) &&
		(len(p.Blob) == 0 || slices.Contains(en.Blobs, p.BlobHash))
}

// awaitCommit fetches what a COMMIT needs and then goes on with entries, whose first it is.
func (e *engine) awaitCommit(g *group, s *relayclient.Stream, entries []relayclient.Entry, blob *sealedfile.Info) {
	g.await = &awaited{stream: s, entries: entries}
	// Nothing is sent or committed in an epoch that may be over.
	if at := entries[len(entries)-1].Position; at.Incarnation == g.head.Incarnation && at.Seq > g.head.Seq {
		g.head = at
	}
	l, queue, seq := e.linkTo(g.rec.Relay), g.rec.Queue, entries[0].Position.Seq
	if l == nil || g.fetching[blob.Hash] {
		return
	}
	if g.fetching == nil {
		g.fetching = map[relay.Hash]bool{}
	}
	g.fetching[blob.Hash] = true
	wanted := func() bool { return g.live() && g.cursor.Seq < seq }
	e.spawn(func(ctx context.Context) {
		fetched, err := e.fetchCommit(ctx, l, g, queue, blob, wanted)
		e.post(func() {
			delete(g.fetching, blob.Hash)
			if !g.live() {
				return
			}
			if err == nil && wanted() {
				g.fetched = fetched
			}
			e.resume(g) // a later COMMIT may wait for the same blob: then it is fetched again
		})
	})
}

// heldBack keeps an event of the log for after the COMMIT that waits for its blob. A relay that
// sends more than it may meanwhile is left for some time.
func (e *engine) heldBack(g *group, s *relayclient.Stream, ev relayclient.Event) bool {
	if _, ok := ev.(relayclient.Signalled); ok || g.await == nil {
		return false
	}
	if len(g.await.later) < maxLater {
		g.await.later = append(g.await.later, ev)
		return true
	}
	g.stream, g.await = nil, nil
	s.Detach()
	e.after(retryLongest, func() { e.advance(g) })
	return true
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

// fetchCommit gets what a commit's hash names, however long it takes. The relay took the COMMIT
// with that blob complete and keeps it while it has the entry: UNKNOWN, other bytes and silence
// are its fault. They are told, and it is asked again; else a relay could make this device pass
// over a commit that the others follow. That the blob has another size than its author said is
// known when all of it has the hash.
func (e *engine) fetchCommit(ctx context.Context, l *link, g *group, queue relay.QueueID, blob *sealedfile.Info, wanted func() bool) (*fetchedCommit, error) {
	faults := 0
	a := &arriving{want: uint64(blob.Size())}
	err := untilDone(ctx, func() (bool, error) {
		if err := e.still(ctx, wanted); err != nil {
			return false, err
		}
		err := l.inTurn(ctx, func() error { return e.getBlob(ctx, l.addr, queue, blob.Hash, a) })
		if relayFault(err) {
			if faults++; faults == commitTries {
				e.post(func() { e.withheld(g, err) })
			}
		}
		return true, err
	})
	if err != nil {
		return nil, err
	}
	return &fetchedCommit{hash: blob.Hash, size: int64(a.size), content: a.kept}, nil
}

// still asks run whether what a goroutine works for is wanted; errPassed if it is not.
func (e *engine) still(ctx context.Context, wanted func() bool) error {
	return e.call(ctx, func() error {
		if !wanted() {
			return errPassed
		}
		return nil
	})
}

// relayFault reports whether err says that the relay does not give what it has to.
func relayFault(err error) bool {
	if r, ok := errors.AsType[*relay.Refusal](err); ok {
		return r.Code != relay.CodeLimit && r.Code != relay.CodeBusy && r.Code != relay.CodeDraining
	}
	return errors.Is(err, errOtherBlob) || errors.Is(err, errStalled) || errors.Is(err, relayclient.ErrProtocol)
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
	queue, inEnvelope := g.rec.Queue, len(pend.Blob) <= maxInEnvelope
	e.spawn(func(ctx context.Context) {
		spoiled := false
		err := untilDone(ctx, func() (bool, error) {
			if err := e.still(ctx, func() bool { return g.pend == pend }); err != nil {
				return false, err
			}
			err := e.putBlob(ctx, l.addr, queue, reader, pend.BlobHash, pend.Blob)
			switch {
			case errors.Is(err, relay.ErrQuota) && inEnvelope:
				return false, err
			case errors.Is(err, relay.ErrMalformed) && !spoiled:
				spoiled = true // a power cut there may have spoiled what an earlier session stored
				return true, err
			}
			return !finalForBlob(err), err
		})
		e.post(func() {
			if g.storing == pend {
				g.storing = nil
			}
			if g.pend == pend {
				e.commitStored(g, pend, err)
			}
		})
	})
}

// commitStored goes on when the blob of the pending commit is at the relay, or cannot be.
func (e *engine) commitStored(g *group, pend *pendingCommit, err error) {
	switch {
	case errors.Is(err, relay.ErrQuota):
		g.noRoom = true // staged again, it goes in an envelope
		e.dropCommit(g)
	case err != nil:
		if c := e.changeByID(pend.Change); c != nil {
			e.failChange(g, c, fmt.Errorf("storing a large commit: %w", err))
		}
		e.dropCommit(g)
	default:
		pend.Stored = true
		g.stored++
		if e.update(func(tx *state.Tx) error { return putRecord(tx, bucketPending, g.id[:], pend) }) == nil {
			e.advance(g)
		}
	}
}

// inline is the largest commit that is put in its envelope.
func (g *group) inline() int {
	if g.noRoom {
		return maxInEnvelope
	}
	return maxInline
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
