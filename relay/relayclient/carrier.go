package relayclient

import (
	"io"
	"sync"
	"time"
)

// carrier is the ordered byte stream that a session runs over, of whichever transport, with
// the deadlines that all of them keep. Read and Write may be called concurrently with each
// other, not with themselves; Close with anything.
type carrier struct {
	stream io.ReadWriteCloser
	kind   Transport

	// dead fires when no byte was read for deadAfter, slow when one write takes
	// longer than writeTimeout. Both end the connection.
	dead, slow *time.Timer

	mu    sync.Mutex // guards all below
	cause error      // why it ended by itself
	heard time.Time  // when the last byte came
}

// A finisher is a stream whose Close may lose what was just written. finish tells the relay
// that nothing more comes, and returns when that has arrived, or when the stream is closed.
type finisher interface{ finish() }

// newCarrier takes over stream: its Read, Write and Close are as net.Conn's.
func newCarrier(stream io.ReadWriteCloser, kind Transport) *carrier {
	c := &carrier{stream: stream, kind: kind, heard: time.Now()}
	c.dead = time.AfterFunc(deadAfter, c.expire)
	c.slow = time.AfterFunc(writeTimeout, c.expire)
	c.slow.Stop()
	return c
}

func (c *carrier) expire() {
	c.mu.Lock()
	c.cause = ErrTimeout
	c.mu.Unlock()
	c.Close()
}

// Close ends the connection without a closing handshake: whoever waits in Read
// or Write gets an error now. Safe to call many times.
func (c *carrier) Close() error {
	c.dead.Stop()
	c.slow.Stop()
	return c.stream.Close()
}

// finish is Close's polite companion, called before it and by nobody who is in a hurry.
func (c *carrier) finish() {
	if f, ok := c.stream.(finisher); ok {
		f.finish()
	}
}

// abandon ends a connection that nobody will use. Of long polling the relay is told, which
// would keep its half of the session for a while.
func (c *carrier) abandon() {
	if c.kind == LongPolling {
		c.finish()
	}
	c.Close()
}

// explain replaces an error that only tells that the connection was closed by
// the reason for closing it.
func (c *carrier) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.cause != nil {
		return c.cause
	}
	return err
}

func (c *carrier) Read(p []byte) (int, error) {
	n, err := c.stream.Read(p)
	if n > 0 {
		c.alive()
	}
	return n, c.explain(err)
}

// brancher returns what accepts branches, nil over a transport that has no streams.
func (c *carrier) brancher() brancher {
	b, _ := c.stream.(brancher)
	return b
}

// noticing returns s, whose bytes are a sign of life as those of the session's own stream.
func (c *carrier) noticing(s branchStream) branchStream { return noticed{s, c} }

type noticed struct {
	branchStream
	carrier *carrier
}

func (n noticed) Read(p []byte) (int, error) {
	got, err := n.branchStream.Read(p)
	if got > 0 {
		n.carrier.alive()
	}
	return got, err
}

// alive notes that a byte came.
func (c *carrier) alive() {
	c.dead.Reset(deadAfter)
	c.mu.Lock()
	c.heard = time.Now()
	c.mu.Unlock()
}

// silent tells for how long no byte has come.
func (c *carrier) silent() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.heard)
}

func (c *carrier) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		chunk := p[:min(len(p), writeChunk)]
		c.slow.Reset(writeTimeout)
		_, err := c.stream.Write(chunk)
		c.slow.Stop()
		if err != nil {
			return written, c.explain(err)
		}
		written += len(chunk)
		p = p[len(chunk):]
	}
	return written, nil
}
