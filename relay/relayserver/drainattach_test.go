package relayserver

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// attaching returns a session of s that has proven alice for q and reads a single frame: an
// ATTACH from position.
func attaching(s *Server, q relay.QueueID, position *relay.Position) (p *peer, read func()) {
	p = newPeer(s, nil, netip.Prefix{})
	p.proofs[proof{relay.ProveRead, q, public(alice)}] = struct{}{}
	return p, func() {
		p.handle(&relay.Attach{Queue: q, Reader: public(alice), Position: position, Window: 1})
	}
}

// said takes the turns of p's writer until stop says that this one was the last to take, and
// names the frames.
func said(p *peer, drained *bool, stop func(turn) bool) string {
	var names []string
	for {
		next := p.next(drained)
		for _, f := range next.frames {
			names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", f), "*relay."))
		}
		p.inFlight.give(next.room)
		if stop(next) {
			return strings.Join(names, " ")
		}
		if len(next.frames) == 0 {
			<-p.wake
		}
	}
}

// TestR37_DrainFindsEveryAttachment: the drain begins in the moment in which a client hears
// ATTACHED. It hears DETACHED before GOAWAY all the same.
func TestR37_DrainFindsEveryAttachment(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	c, q := dial(t, listen(t, s)), queueID(211)
	c.must(create(q))
	for range 2000 {
		p, read := attaching(s, q, nil)
		var reader sync.WaitGroup
		reader.Go(read)
		drained := false
		if got := said(p, &drained, func(t turn) bool { return len(t.frames) > 0 }); got != "Attached" {
			t.Fatalf("the client hears %s", got)
		}
		p.drain(time.Second)
		got := said(p, &drained, func(t turn) bool { return t.last })
		reader.Wait()
		if got != "Detached GoAway Close" {
			t.Fatalf("after ATTACHED the client hears %s", got)
		}
	}
}

// drainsFirst is a carrier on which a drain begins whenever a branch is opened.
type drainsFirst struct{ p *peer }

func (d drainsFirst) branch() (io.ReadWriteCloser, error) {
	d.p.drain(time.Second)
	return unwritten{}, nil
}

// unwritten is a stream that nothing can be done with.
type unwritten struct{}

func (unwritten) Read([]byte) (int, error)  { return 0, errors.ErrUnsupported }
func (unwritten) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (unwritten) Close() error              { return errors.ErrUnsupported }

// TestR37_DrainBeforeBranch: a drain that begins while an attachment gets its branch has the
// ATTACH refused: behind GOAWAY there is no ATTACHED.
func TestR37_DrainBeforeBranch(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	c, q := dial(t, listen(t, s)), queueID(212)
	first := c.backlog(q, branchBacklog+1)
	p, read := attaching(s, q, &first)
	p.session, p.brancher = c.s, drainsFirst{p}
	read()
	if got := said(p, new(bool), func(t turn) bool { return t.last }); got != "Refused GoAway Close" {
		t.Errorf("the client hears %s", got)
	}
	if len(p.attachments) != 0 || p.branches != 0 {
		t.Errorf("%d attachments and %d branches are left", len(p.attachments), p.branches)
	}
}
