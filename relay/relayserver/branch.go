package relayserver

import (
	"crypto/rand"
	"io"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// brancher is a carrier that can open streams beside the session's own, to the client.
type brancher interface {
	// branch opens a stream, or fails at once if the client lets no more be opened. Only Write,
	// SetWriteDeadline and Close of it are used; Close ends it behind what was written.
	branch() (io.ReadWriteCloser, error)
}

// branch is the stream of one attachment (PROTOCOL.md, Branches), from ATTACHED to DETACHED.
// Its goroutine alone asks the attachment for entries and writes; it waits for this stream
// only, so that a client may leave a long backlog unread while it lives on with its others.
type branch struct {
	stream io.ReadWriteCloser
	sealed *session.Session
	name   [16]byte
	wake   chan struct{} // cap 1: there is something to look at

	// Used by the branch's goroutine.
	larger bool // what comes next is an entry larger than a turn
	alone  bool // of all branches of the session, this one may send such an entry now
}

func (b *branch) signal() {
	select {
	case b.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// open makes a branch and the frame that tells the client of it, or returns nil when the
// attachment is to stay on the session's stream: the client or the transport knows no
// branches, or all are in use, or its backlog is not worth one.
func (p *peer) open(head relay.Position, position *relay.Position) (*branch, *relay.Stream) {
	if p.brancher == nil || position == nil || head.Seq < position.Seq+branchBacklog {
		return nil, nil
	}
	p.mu.Lock()
	full := p.branches >= maxBranches
	p.mu.Unlock()
	if full { // only the reader adds to them
		return nil, nil
	}
	stream, err := p.brancher.branch()
	if err != nil {
		return nil, nil
	}
	var key relay.StreamKey
	b := &branch{stream: stream, wake: make(chan struct{}, 1)}
	_, _ = rand.Read(key[:]) // never fails
	_, _ = rand.Read(b.name[:])
	b.sealed = p.session.Send(stream, key)
	b.sealed.SetTimeouts(0, writeWithin)
	return b, &relay.Stream{Name: b.name, Key: key}
}

// grow starts the goroutine of a's branch.
func (p *peer) grow(a *attachment) {
	p.growing.Go(func() {
		if !p.writeBranch(a) {
			_ = p.session.Close() // the client would wait for the rest for ever
		}
		p.mu.Lock()
		p.branches--
		p.mu.Unlock()
		p.signal()
	})
}

// writeBranch sends what there is for a until its DETACHED, and ends the stream; false if it
// could not. It returns early when the session is over, which ends the stream as well.
func (p *peer) writeBranch(a *attachment) bool {
	b := a.branch
	if d, ok := b.stream.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(time.Now().Add(writeWithin))
	}
	if _, err := b.stream.Write(b.name[:]); err != nil {
		return false
	}
	for {
		var frames []relay.Frame
		var bytes int
		if p.isDraining() {
			frames = p.drop(a, relay.DetachDraining)
		} else {
			frames, bytes = p.deliver(a, p.srv.kept.room(maxBranches*branchTurn)/maxBranches)
		}
		var err error
		if len(frames) > 0 {
			err = p.writeCounted(b.sealed, frames, bytes)
		}
		if b.alone {
			b.alone = false
			<-p.large
		}
		if n := len(frames); n > 0 {
			if err != nil {
				return false
			}
			if _, last := frames[n-1].(*relay.Detached); last {
				return b.stream.Close() == nil
			}
			continue
		}
		if !p.branchWaits(b) {
			return true
		}
	}
}

// branchWaits waits until there is something to look at, or the turn of an entry that is larger
// than a turn: those of a session go one after the other, for a client may leave sixteen of them
// unread. It returns false when the session is over.
func (p *peer) branchWaits(b *branch) bool {
	var large chan<- struct{}
	if b.larger {
		large = p.large
	}
	select {
	case <-b.wake:
	case large <- struct{}{}:
		b.alone = true
	case <-p.over:
		return false
	}
	return true
}
