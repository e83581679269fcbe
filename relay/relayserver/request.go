package relayserver

import (
	"time"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/internal/turns"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/queue"
)

// handle takes one frame; a nonzero code ends the session. The answer, now or later, goes
// through send.
func (p *peer) handle(f relay.Frame) relay.CloseCode {
	switch f := f.(type) {
	case *relay.Ack:
		return p.ack(f)
	case *relay.Detach:
		p.detach(f)
		return 0
	case *relay.Signal:
		p.pass(f)
		return 0
	}
	room, ok := p.inFlight.take(cost(f))
	if !ok {
		return 0 // the session is over; reading again says so
	}
	answer := func(f relay.Frame) { p.send(outgoing{frame: f, room: &room}) }
	switch f := f.(type) {
	case *relay.Ping:
		answer(&relay.Pong{Value: f.Value})
	case *relay.Prove:
		answer(p.prove(f))
	case *relay.Attach:
		p.attach(f, &room)
	case *relay.StoreBlob:
		p.storeBlob(f, answer)
	case *relay.PutBlob:
		p.putBlob(f, answer)
	case *relay.GetBlob:
		p.getBlob(f, answer)
	case relay.Mutation:
		p.mutate(f, answer)
	default:
		return relay.CloseProtocol
	}
	if p.badProofs > maxBadProofs {
		return relay.CloseProtocol
	}
	return 0
}

// cost is what a request counts for against maxInFlightBytes.
func cost(f relay.Frame) int {
	const base = 1 << 10
	switch f := f.(type) {
	case *relay.Append:
		return base + len(f.Envelope)
	case *relay.Commit:
		return 4*base + len(f.Envelope)
	case *relay.Knock:
		return base + len(f.Envelope)
	case *relay.PutBlob:
		return base + putCost*len(f.Data) // it stays in memory until the disk has it
	case *relay.Create, *relay.Configure:
		return 4 * base
	}
	return base
}

func refused(request uint64, err error) *relay.Refused {
	return &relay.Refused{Request: request, Refusal: *relay.AsRefusal(err)}
}

// verified counts failed signatures: each costs a verification and tells the peer nothing.
func (p *peer) verified(err error) error {
	if err != nil {
		p.badProofs++
	}
	return err
}

// show lets the session send whole frames: until it has shown that it holds a key, what it
// can make the server hold is small.
func (p *peer) show() {
	if !p.shown {
		p.shown = true
		p.session.LimitFrames(relay.MaxClientFrame, relay.FrameWithin)
	}
}

func (p *peer) prove(f *relay.Prove) relay.Frame {
	proven := proof{f.Purpose, f.Queue, f.Key}
	if _, again := p.proofs[proven]; !again && len(p.proofs) >= relay.MaxProofs {
		return refused(f.Request, &relay.Refusal{Code: relay.CodeLimit, Limit: relay.LimitProofs, RetryAfter: retryProofs})
	}
	if err := p.verified(p.inTurn(f)); err != nil {
		return refused(f.Request, err)
	}
	p.proofs[proven] = struct{}{}
	p.show()
	return &relay.Proved{Request: f.Request}
}

// inTurn verifies f when the session has its turn: a client that comes back proves all its
// queues at once. One that had no turn in time is verified all the same, for it has waited,
// and a refusal would only have the client ask again.
func (p *peer) inTurn(f *relay.Prove) error {
	if p.srv.turns.Take(p.prefix, turns.Begun, nil) == nil {
		defer p.srv.turns.Give()
	}
	return f.Verify(p.session.Binding())
}

func (p *peer) proven(purpose relay.ProofPurpose, queue relay.QueueID, key relay.PublicKey) bool {
	_, ok := p.proofs[proof{purpose, queue, key}]
	return ok
}

// mutate checks what can be checked without the queue, and submits. The room in flight was
// taken before draining is looked at, so a drain waits for whatever is submitted here.
func (p *peer) mutate(m relay.Mutation, answer func(relay.Frame)) {
	request := m.RequestNumber()
	authority, err := p.authorise(m)
	if err != nil {
		answer(refused(request, err))
		return
	}
	crashpoint.At(crashpoint.Received)
	p.srv.store.SubmitFrom(&p.flow, m, authority, func(a queue.Answer) {
		if a.Err != nil {
			answer(&relay.Refused{Request: request, Refusal: *a.Err})
			return
		}
		p.srv.metrics.Accepted(operationOf(m))
		answer(&relay.Accepted{Request: request, Position: a.Position})
	})
}

func (p *peer) authorise(m relay.Mutation) (queue.Authority, error) {
	if p.isDraining() {
		return queue.Authority{}, relay.ErrDraining
	}
	if err := m.Check(); err != nil {
		return queue.Authority{}, err
	}
	if err := p.verified(m.Verify(p.session.Binding())); err != nil {
		return queue.Authority{}, err
	}
	if _, unsigned := m.(*relay.Append); !unsigned {
		p.show()
	}
	switch m := m.(type) {
	case *relay.Append:
		// The same answer whether or not the queue exists: it is the session's own state.
		if !p.proven(relay.ProveWrite, m.Queue, m.Writer) {
			return queue.Authority{}, relay.ErrBadProof
		}
		if m.Reader == nil {
			break
		}
		if !p.proven(relay.ProveRead, m.Queue, *m.Reader) {
			return queue.Authority{}, relay.ErrBadProof
		}
		return queue.Authority{Reader: true}, nil
	case *relay.Create:
		if wait, ok := p.srv.creates.take(siteOf(p.prefix), time.Now()); !ok {
			return queue.Authority{}, &relay.Refusal{
				Code: relay.CodeLimit, Limit: relay.LimitCreate, RetryAfter: min(wait, retryCreate),
			}
		}
	}
	return queue.Authority{}, nil
}
