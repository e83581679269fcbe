package relayserver

import (
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/queue"
	"github.com/sealpost/sealpost/relay/session"
)

// proof is what a PROVE of this session has shown.
type proof struct {
	purpose relay.ProofPurpose
	queue   relay.QueueID
	key     relay.PublicKey
}

// outgoing is a frame for the writer. The answer to a request holds its room in flight
// until it is written.
type outgoing struct {
	frame relay.Frame
	then  relay.Frame // directly behind it, or nil
	room  *place      // nil for what answers nothing
}

// peer is one session. Its reader goroutine (run) and its writer goroutine, which is there only
// while there is something to send, own a direction each; answers come in from the store's
// goroutines.
type peer struct {
	// Static.
	srv      *Server
	session  *session.Session
	prefix   netip.Prefix
	inFlight *inFlight
	wake     chan struct{}  // cap 1: the writer has something to look at
	over     chan struct{}  // closed when the reader has ended
	written  chan struct{}  // closed when the last writer has
	live     atomic.Bool    // run has begun
	writing  atomic.Bool    // there is a writer
	brancher brancher       // nil if the client takes no branches, or the carrier has none
	growing  sync.WaitGroup // one for each branch
	large    chan struct{}  // cap 1: taken by the branch that sends an entry larger than a turn
	blobs    *blobs
	flow     queue.Flow // of what the session asks the store to do

	// Owned by the writer.
	drained bool // it has sent GOAWAY

	// Owned by the reader.
	proofs    map[proof]struct{}
	badProofs int
	shown     bool   // a signature of this session has verified
	lastID    uint64 // of an attachment

	mu          sync.Mutex // guards all below
	out         []outgoing // at most MaxInFlight answers, one DETACHED for each attachment, and a GOAWAY
	attachments map[uint64]*attachment
	ready       []*attachment // for the writer to look at; each at most once
	branches    int
	signals     []signal // on their way to this session, at most maxSignals
	draining    bool
	reconnect   time.Duration   // advice for the end of a drain
	closing     relay.CloseCode // the writer sends what there is, then this, and ends
}

func newPeer(s *Server, sess *session.Session, prefix netip.Prefix) *peer {
	return &peer{
		srv: s, session: sess, prefix: prefix, inFlight: newInFlight(),
		wake: make(chan struct{}, 1), over: make(chan struct{}), written: make(chan struct{}), large: make(chan struct{}, 1), blobs: newBlobs(),
		proofs: make(map[proof]struct{}), attachments: make(map[uint64]*attachment),
	}
}

// run reads until the session ends, and returns when nothing of it is left.
func (p *peer) run() {
	p.live.Store(true)
	p.signal()
	code, err := p.read()
	p.srv.log.Debug("session ends", "code", uint16(code), "err", err)
	if code == 0 {
		_ = p.session.Close() // a writer that is stuck on a dead connection gives up now
	}
	p.mu.Lock()
	p.closing = code
	p.mu.Unlock()
	close(p.over)
	p.signal()
	<-p.written
	p.blobs.stop()
	p.growing.Wait()
	p.mu.Lock()
	left := p.attachments
	p.attachments = nil // answers that come later find nothing to attach to
	p.mu.Unlock()
	for _, a := range left {
		a.source.Close()
	}
}

// read handles frames until the session ends; code is nonzero if the peer is to hear why.
func (p *peer) read() (relay.CloseCode, error) {
	for {
		f, err := p.session.ReadFrame()
		if err != nil {
			return closeCode(err), err
		}
		if code := p.handle(f); code != 0 {
			return code, nil
		}
	}
}

// closeCode returns what CLOSE says about err; 0 for a stream that is dead or tampered
// with, over which nothing more is said.
func closeCode(err error) relay.CloseCode {
	switch {
	case errors.Is(err, session.ErrFrameTooLarge):
		return relay.CloseTooLarge
	case errors.Is(err, session.ErrMalformed):
		return relay.CloseMalformed
	case errors.Is(err, session.ErrUnexpected):
		return relay.CloseProtocol
	case errors.Is(err, os.ErrDeadlineExceeded):
		return relay.CloseIdle
	}
	return 0
}

// send gives the writer a frame. It never blocks, so the store's goroutines may call it.
func (p *peer) send(o outgoing) {
	p.countOut(o.frame)
	p.mu.Lock()
	p.out = append(p.out, o)
	p.mu.Unlock()
	p.signal()
}

// signal has the writer look, whether there is one or not.
func (p *peer) signal() {
	select {
	case p.wake <- struct{}{}:
	default: // it will look anyway
	}
	if p.live.Load() && p.writing.CompareAndSwap(false, true) {
		go p.write()
	}
}

// look has the writer, or that of its branch, look at a, which has entries, room in its
// window, or an end. It never blocks. Before a stands among the attachments and after it has
// ended, there is nothing to look at.
func (p *peer) look(a *attachment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.attachments[a.id] != a:
	case a.branch != nil:
		a.branch.signal()
	case !a.queued:
		a.queued = true
		p.ready = append(p.ready, a)
		p.signal()
	}
}

// drain begins the end of the session: see [Server.Shutdown]. The client is told to come back
// after so long. Requests that are taken from here on find the session draining.
func (p *peer) drain(reconnect time.Duration) {
	p.mu.Lock()
	p.draining, p.reconnect = true, reconnect
	p.mu.Unlock()
	p.inFlight.drain()
	p.signal()
}

func (p *peer) isDraining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.draining
}
