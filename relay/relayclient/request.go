package relayclient

import (
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/relay"
)

// request is one numbered frame and who waits for its answer.
type request struct {
	frame  relay.Request
	size   int      // bytes of the frame, roughly
	proofs []*proof // that the relay must have accepted before it
	// answer is called once: with the answering frame, or with why there is
	// none. It must not block.
	answer func(relay.Frame, error)
}

// proof is one PROVE of this session.
type proof struct {
	refused error // set before the answers of requests that came after it
}

// proofName is what a proof is for; a second one would say nothing new.
type proofName struct {
	purpose relay.ProofPurpose
	queue   relay.QueueID
	key     relay.PublicKey
}

// overhead is what a request without its envelope, tickets or keys takes.
const overhead = 512

// submit queues r behind the PROVEs that it needs and that this session has not
// sent. It blocks only while maxWaiting requests, or maxWaitingBytes of them,
// wait to be sent. The answer comes even when it fails.
func (c *Conn) submit(r *request, needs []proofName, sign relay.Signer) {
	proves, err := c.proves(needs, sign)
	if err == nil {
		err = c.enqueue(r, needs, proves)
	}
	if err != nil {
		r.answer(nil, err)
	}
}

// proves makes the PROVE frames that are missing. Signing takes time, so it is
// not done under mu; enqueue drops those that another goroutine was faster with.
func (c *Conn) proves(needs []proofName, sign relay.Signer) (map[proofName]*relay.Prove, error) {
	var made map[proofName]*relay.Prove
	for _, n := range needs {
		c.mu.Lock()
		_, have := c.proofs[n]
		c.mu.Unlock()
		if have {
			continue
		}
		p := &relay.Prove{Purpose: n.purpose, Queue: n.queue, Key: n.key}
		if err := p.Sign(c.binding, sign); err != nil {
			return nil, fmt.Errorf("relayclient: %w", err)
		}
		if made == nil {
			made = make(map[proofName]*relay.Prove, len(needs))
		}
		made[n] = p
	}
	return made, nil
}

func (c *Conn) enqueue(r *request, needs []proofName, proves map[proofName]*relay.Prove) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.waiting) >= maxWaiting || c.waitingBytes >= maxWaitingBytes) && c.err == nil {
		c.room.Wait()
	}
	if c.err != nil {
		return disconnected(c.err)
	}
	for _, n := range needs {
		p := c.proofs[n]
		if p == nil {
			if len(c.proofs) >= relay.MaxProofs || proves[n] == nil {
				return ErrSessionFull
			}
			p = new(proof)
			c.proofs[n] = p
			c.push(&request{frame: proves[n], size: overhead, answer: p.answered})
		}
		r.proofs = append(r.proofs, p)
	}
	c.push(r)
	return nil
}

// push numbers r and appends it; the caller holds mu.
func (c *Conn) push(r *request) {
	c.lastRequest++
	r.frame.SetRequest(c.lastRequest)
	c.waiting = append(c.waiting, r)
	c.waitingBytes += r.size
	c.wakeWriter()
}

// answered keeps why a proof was refused, for the requests that stand on it. It
// runs under the Conn's handling, as do their answers.
func (p *proof) answered(f relay.Frame, err error) {
	if refused, ok := f.(*relay.Refused); ok {
		err = &refused.Refusal
	}
	p.refused = err
}

// refusal is the error that f means to r. A request whose proof was refused
// hears UNKNOWN, which would tell the caller that the queue is gone: it gets
// the proof's refusal instead.
func (r *request) refusal(f *relay.Refused) error {
	for _, p := range r.proofs {
		if p.refused != nil {
			return p.refused
		}
	}
	refusal := f.Refusal
	return &refusal
}

func disconnected(cause error) error {
	if errors.Is(cause, ErrDisconnected) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrDisconnected, cause)
}
