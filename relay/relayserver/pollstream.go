package relayserver

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// pollStream makes of requests that a client sends one after the other an ordered byte stream
// (PROTOCOL.md, Long polling). What POSTs bring is handed to the session's reader as it
// arrives and kept nowhere; what the session writes is kept until a GET says that it arrived,
// so that a request or an answer may be lost or repeated, and come over any connection.
type pollStream struct {
	// Static.
	token  string
	in     net.Conn // where the session reads
	feed   net.Conn // what POSTs write to it: a write ends when all was read
	budget *budget  // of what all sessions keep

	mu        sync.Mutex    // guards all below
	changed   chan struct{} // closed, and replaced, when anything below has changed that somebody waits for
	taken     uint64        // bytes of the client's stream that the session has read
	kept      [][]byte      // what the client has not said that it has; no piece is ever written to again
	base, end uint64        // offsets of kept's first byte and behind its last
	moved     time.Time     // when the client last got on
	sent      uint64        // what lies before it stood in an answer that was sent as a whole
	ending    bool          // the session has ended; what it wrote last may still be fetched
	over      bool
	get, post *pollTurn   // under way
	absent    *time.Timer // runs while no GET is under way
}

// pollTurn is a request under way, from begin to leave.
type pollTurn struct {
	conn *http.ResponseController
	left chan struct{} // closed when it touches the stream no more

	// Guarded by the stream's mu.
	ended   bool // a newer one has come
	writing bool // its answer
}

var past = time.Unix(1, 0) // a deadline that is over

func newPollStream(b *budget) *pollStream {
	var token [16]byte
	_, _ = rand.Read(token[:]) // never fails
	p := &pollStream{
		token: base64.RawURLEncoding.EncodeToString(token[:]), budget: b,
		changed: make(chan struct{}), moved: time.Now(),
	}
	p.in, p.feed = net.Pipe()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.absent = time.AfterFunc(pollFirst, p.giveUp)
	return p
}

// tell wakes whoever waits. Callers hold mu.
func (p *pollStream) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Read returns bytes that POSTs brought.
func (p *pollStream) Read(b []byte) (int, error) { return p.in.Read(b) }

// Write keeps a copy of b for the GETs, as soon as there is room. It gives up when a client
// that others than itself cannot wait for has fetched nothing for pollAbsent.
func (p *pollStream) Write(b []byte) (int, error) {
	begin := time.Now()
	for {
		p.mu.Lock()
		if p.ending {
			p.mu.Unlock()
			return 0, io.ErrClosedPipe
		}
		kept := int(p.end - p.base)
		if kept == 0 || kept+len(b) <= pollKept && p.budget.take(kept, len(b)) {
			if kept == 0 {
				p.budget.add(len(b))
			}
			p.kept = append(p.kept, append([]byte(nil), b...))
			p.end += uint64(len(b))
			p.tell()
			p.mu.Unlock()
			return len(b), nil
		}
		since, changed := p.moved, p.changed
		p.mu.Unlock()
		if since.Before(begin) {
			since = begin
		}
		late := time.NewTimer(time.Until(since.Add(pollAbsent)))
		select {
		case <-changed:
			late.Stop()
		case <-late.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// SetReadDeadline bounds the next reads.
func (p *pollStream) SetReadDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }

// SetWriteDeadline does nothing: see Write. Without it there would be no deadlines at all.
func (p *pollStream) SetWriteDeadline(time.Time) error { return nil }

// Close ends the stream. Before that the last frames have heardWithin to be fetched, unless
// it is called again meanwhile.
func (p *pollStream) Close() error {
	p.mu.Lock()
	first := !p.ending
	p.ending = true
	p.tell()
	late := time.NewTimer(heardWithin)
	defer late.Stop()
	for waiting := first; waiting && !p.over && p.sent < p.end; {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-late.C:
			waiting = false
		}
		p.mu.Lock()
	}
	if !p.over {
		p.over = true
		p.drop(p.end)
		p.absent.Stop()
		p.tell()
	}
	p.mu.Unlock()
	_ = p.feed.Close()
	return p.in.Close()
}

// giveUp ends the session of a client that does not ask any more.
func (p *pollStream) giveUp() {
	p.mu.Lock()
	gone := p.get == nil // else one has come at this very moment
	p.mu.Unlock()
	if gone {
		p.cut()
	}
}

// cut ends the stream at once.
func (p *pollStream) cut() {
	p.mu.Lock()
	p.sent = p.end // nobody will fetch it
	p.mu.Unlock()
	_ = p.Close()
}

// drop forgets what lies before offset, which is not beyond the end. Callers hold mu.
func (p *pollStream) drop(offset uint64) {
	if offset == p.base {
		return
	}
	p.budget.give(int(offset - p.base))
	p.moved = time.Now()
	for p.base < offset {
		n := uint64(len(p.kept[0]))
		if n > offset-p.base {
			n = offset - p.base
			p.kept[0] = p.kept[0][n:]
		} else {
			p.kept[0] = nil
			p.kept = p.kept[1:]
		}
		p.base += n
	}
	if len(p.kept) == 0 {
		p.kept = nil
	}
}

// replace puts t into slot, and has the one before it, if there is one, end. Callers hold mu.
func (p *pollStream) replace(slot **pollTurn, t *pollTurn) (before *pollTurn) {
	before, *slot = *slot, t
	if before != nil {
		before.ended = true
		if before.writing {
			_ = before.conn.SetWriteDeadline(past)
		}
	}
	p.tell()
	return before
}

// leave is the end of a turn.
func (p *pollStream) leave(slot **pollTurn, t *pollTurn) {
	p.mu.Lock()
	if *slot == t {
		*slot = nil
		if slot == &p.get && !p.over {
			p.absent.Reset(pollAbsent)
		}
	}
	p.mu.Unlock()
	close(t.left)
}
