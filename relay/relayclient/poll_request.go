//go:build !js

package relayclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// Our own limits.
const (
	// getWithin and postWithin bound one request up to the head of its answer: the relay holds
	// a GET for 25 seconds, and answers a POST when it has taken it. What takes longer is on a
	// connection that is dead, and is repeated over another.
	getWithin  = 35 * time.Second
	postWithin = 15 * time.Second
	// bodyWithin bounds the pauses within a body.
	bodyWithin = 10 * time.Second
	// repeatFor is how long one direction goes without a success before the session is given up.
	repeatFor = 30 * time.Second
	// The pauses between repetitions.
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	// leastPart is the least that a POST is made shorter to when it is repeated, in bytes.
	leastPart = 4 << 10
	// maxErrorBody is how much of an answer that nobody reads is taken, in bytes, so that the
	// connection can be used again.
	maxErrorBody = 4 << 10
)

var (
	// errPollOver: the relay does not know the session any more. Whoever carries it may have
	// said so, so it is no statement of the relay's.
	errPollOver = errors.New("relayclient: the relay has ended the long polling")
	errEmpty    = errors.New("relayclient: an empty answer, too early")
)

// requester makes the requests of one session, over connections that nobody else uses.
type requester struct {
	base   string
	http   *http.Client
	ctx    context.Context // of every request and connection
	cancel context.CancelFunc
}

func newRequester(addr relay.Address, opt Options) *requester {
	r := &requester{base: "https://" + addr.Host + pollPath}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	t := httpTransport(r.ctx, addr, opt)
	t.IdleConnTimeout = 2 * pingEvery // the connection of the POSTs lives on from PING to PING
	dial := t.DialTLSContext
	t.DialTLSContext = func(ctx context.Context, network, hostport string) (net.Conn, error) {
		conn, err := dial(ctx, network, hostport)
		if err != nil {
			return nil, err
		}
		return endingConn{conn, context.AfterFunc(r.ctx, func() { conn.(*tls.Conn).NetConn().Close() })}, nil
	}
	r.http = &http.Client{Transport: t, CheckRedirect: noRedirect}
	return r
}

// endingConn ends with its requester, also if net/http has just lost sight of it: a connection
// that was made for a request which is over is kept for the next.
type endingConn struct {
	net.Conn
	stop func() bool
}

func (c endingConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// end cuts off what is under way. Safe to call many times.
func (r *requester) end() {
	r.cancel()
	r.http.CloseIdleConnections()
}

// answer is one answer, whose head has arrived.
type answer struct {
	status  int
	refusal *UpgradeError // what it means if it is no success
	size    int           // bytes read of the body
	body    io.ReadCloser
	limit   *time.Timer // ends it
	cancel  context.CancelFunc
}

// do makes one request, whose answer begins within the time that is given.
func (r *requester) do(method, path string, body []byte, within time.Duration) (*answer, error) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	limit := time.AfterFunc(within, func() { cancel(ErrTimeout) })
	fail := func(err error) (*answer, error) {
		limit.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return fail(err)
	}
	if body == nil {
		req.Body = nil
	}
	req.Header.Set("User-Agent", "") // the library would name itself and its version
	resp, err := r.http.Do(req)
	if err != nil {
		// Without the URL, which names the session.
		if named, ok := errors.AsType[*url.Error](err); ok {
			err = named.Err
		}
		return fail(err)
	}
	if !limit.Stop() { // given up, which the other end may have noticed and answered
		resp.Body.Close()
		return fail(ErrTimeout)
	}
	limit.Reset(bodyWithin)
	return &answer{status: resp.StatusCode, refusal: upgradeError(resp), body: resp.Body, limit: limit, cancel: func() { cancel(nil) }}, nil
}

// Read reads the body. One that is longer than the protocol allows is an error.
func (a *answer) Read(b []byte) (int, error) {
	n, err := a.body.Read(b)
	if a.size += n; a.size > pollMost {
		return 0, fmt.Errorf("%w: %d bytes in a body", ErrProtocol, a.size)
	}
	if n > 0 {
		a.limit.Reset(bodyWithin)
	}
	return n, err
}

func (a *answer) close() {
	_, _ = io.CopyN(io.Discard, a.body, maxErrorBody)
	a.limit.Stop()
	a.cancel()
	_ = a.body.Close()
}

// failure is what an answer that is no success means.
func (a *answer) failure() error {
	if a.status == http.StatusNotFound {
		return errPollOver
	}
	return a.refusal
}

// patience is what one direction has left after its last success.
type patience struct {
	since time.Time // of the first failure
	pause time.Duration
}

// wait returns nil when a request that failed with err may be repeated, after a pause; at once
// if err is nil. It returns err, or ErrTimeout, when it may not.
func (p *patience) wait(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil || errors.Is(err, errPollOver) || errors.Is(err, ErrProtocol) || !repeatable(err) {
		return err
	}
	if p.since.IsZero() {
		p.since, p.pause = time.Now(), firstPause
	}
	if time.Since(p.since)+p.pause > repeatFor {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	select {
	case <-time.After(p.pause):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.pause = min(2*p.pause, lastPause)
	return nil
}

// repeatable: a status that says no is an answer; 409 is that of a request which a repetition
// overtook, and the others are those of proxies that lost the relay for a moment.
func repeatable(err error) bool {
	refused, ok := errors.AsType[*UpgradeError](err)
	return !ok || refused.Status == http.StatusConflict || refused.Status == http.StatusTooManyRequests || refused.Status >= 500
}
