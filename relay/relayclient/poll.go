//go:build !js

package relayclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// The specification's constants (PROTOCOL.md section 3.3).
const (
	pollPath  = relay.Path + "/poll"
	pollToken = 22               // characters
	pollMost  = 262144           // bytes of a body in either direction
	pollFirst = 65536            // bytes of the first body
	pollHeld  = 25 * time.Second // a GET that has nothing to bring
)

// poll is a byte stream over HTTP requests (PROTOCOL.md section 3.3): a GET is always under
// way for what comes, and each Write is a POST. A request that gets lost is repeated, so a
// connection that is cut does not end the session.
type poll struct {
	*requester // ends with Close
	again      func() *requester
	token      string // empty until the first Write, before which nothing is read

	// Owned by the reader.
	received int64
	answer   *answer // whose body is being read; nil between two
	arriving patience

	// Owned by the writer.
	sent    int64
	part    int // bytes of the next POST, unless there are fewer
	leaving patience
}

// newPoll makes a stream that connects when it is first written to.
func newPoll(addr relay.Address, opt Options) *poll {
	again := func() *requester { return newRequester(addr, opt) }
	return &poll{requester: again(), again: again, part: pollMost}
}

// Close gives up what is under way. The relay ends the session when it hears no more of it.
func (p *poll) Close() error {
	p.end()
	return nil
}

// finish ends the session at the relay, which has taken all that was written: a Write returns
// when it has. It is of use after Close, too: the loser of a race was closed by its context.
func (p *poll) finish() {
	if p.token == "" {
		return
	}
	r := p.requester
	if r.ctx.Err() != nil {
		r = p.again()
		defer r.end()
	}
	if a, err := r.do(http.MethodDelete, "/"+p.token, nil, closeTimeout); err == nil {
		a.close()
	}
}

// Write posts b, or opens the session with it.
func (p *poll) Write(b []byte) (int, error) {
	if p.token == "" {
		if err := p.open(b); err != nil {
			return 0, err
		}
		p.sent = int64(len(b))
		return len(b), nil
	}
	// net/http may read a body for some time after it has given the request up, and the caller
	// uses its buffer again: what a late request brings must be what it brought at first.
	b = bytes.Clone(b)
	written := 0
	for written < len(b) {
		part := b[written:min(len(b), written+max(p.part, leastPart))]
		a, err := p.do(http.MethodPost, "/"+p.token+"/"+strconv.FormatInt(p.sent, 10), part, postWithin)
		if err == nil {
			a.close()
			if a.status == http.StatusNoContent {
				p.sent, written, p.part = p.sent+int64(len(part)), written+len(part), min(2*max(p.part, leastPart), pollMost)
				p.leaving = patience{}
				continue
			}
			err = a.failure()
		}
		p.part = len(part) / 2 // a line that is cut over and over lets less through at a time
		if err := p.leaving.wait(p.ctx, err); err != nil {
			return written, err
		}
	}
	return written, nil
}

// open posts the first bytes. It is not repeated when the answer is lost: that would leave a
// session behind, and another transport is racing already.
func (p *poll) open(b []byte) error {
	if len(b) > pollFirst {
		return fmt.Errorf("relayclient: %d bytes to begin with", len(b)) // a handshake has 4096
	}
	a, err := p.do(http.MethodPost, "", b, dialTimeout)
	if err != nil {
		return err
	}
	defer a.close()
	if a.status != http.StatusCreated {
		return a.refusal
	}
	token, err := io.ReadAll(io.LimitReader(a, pollToken+1))
	if err != nil {
		return err
	}
	if !isToken(token) {
		return fmt.Errorf("%w: no token for long polling", ErrProtocol)
	}
	p.token = string(token)
	return nil
}

// isToken keeps what goes into a path to the characters of base64url.
func isToken(b []byte) bool {
	for _, c := range b {
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(b) == pollToken
}

// Read returns bytes as they arrive in the bodies of GETs.
func (p *poll) Read(b []byte) (int, error) {
	for {
		if p.answer == nil {
			if err := p.get(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := p.answer.Read(b)
		p.received += int64(n)
		if n > 0 {
			p.arriving = patience{}
		}
		if err != nil {
			empty := p.answer.size == 0
			p.answer.close()
			p.answer = nil
			switch {
			case err == io.EOF && empty:
				err = errEmpty
			case err == io.EOF || n > 0: // the next GET goes on behind what has arrived
				err = nil
			}
			if err := p.arriving.wait(p.ctx, err); err != nil {
				return 0, err
			}
		}
		if n > 0 {
			return n, nil
		}
	}
}

// get asks for what comes next. Afterwards there is an answer to read, or it is to be asked
// again.
func (p *poll) get() error {
	begun := time.Now()
	a, err := p.do(http.MethodGet, "/"+p.token+"/"+strconv.FormatInt(p.received, 10), nil, getWithin)
	if err == nil && a.status == http.StatusOK {
		p.answer = a
		return nil
	}
	if err == nil {
		a.close()
		err = a.failure()
		if a.status == http.StatusNoContent {
			p.arriving = patience{}
			err = nil
			if time.Since(begun) < pollHeld/2 { // nobody asks a server without pause
				err = errEmpty
			}
		}
	}
	return p.arriving.wait(p.ctx, err)
}
