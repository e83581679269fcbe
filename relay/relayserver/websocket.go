package relayserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// errWebSocket: the peer broke RFC 6455, sent text, or sent an unmasked frame.
var errWebSocket = errors.New("relayserver: websocket protocol violation")

// wsStream makes of a server's side of a WebSocket an ordered byte stream. Payloads are
// handed on as they arrive, so a message costs no memory however long it says it is; no
// extension is ever negotiated, so nothing is compressed. One goroutine reads; any number
// write and close.
type wsStream struct {
	conn net.Conn

	// Owned by the reader.
	early      []byte // what arrived behind the HTTP request
	head       [ws.MaxHeaderSize]byte
	left       int64 // bytes of the current data frame
	mask       [4]byte
	offset     int  // into the mask
	fragmented bool // a message goes on in the next data frame

	mu     sync.Mutex // guards writing: pongs come from the reader
	closed bool
}

// newWSStream takes over conn after its upgrade. Bytes that net/http read already are in br,
// whose buffer is let go.
func newWSStream(conn net.Conn, br *bufio.Reader) *wsStream {
	s := &wsStream{conn: conn}
	if n := br.Buffered(); n > 0 {
		b, _ := br.Peek(n) // cannot fail: n bytes are there
		s.early = append(s.early, b...)
	}
	return s
}

// source reads the raw bytes of the connection.
type source struct{ s *wsStream }

func (r source) Read(p []byte) (int, error) {
	if len(r.s.early) > 0 {
		n := copy(p, r.s.early)
		if r.s.early = r.s.early[n:]; len(r.s.early) == 0 {
			r.s.early = nil
		}
		return n, nil
	}
	return r.s.conn.Read(p)
}

// Read returns bytes of binary messages; their boundaries mean nothing. It answers pings.
// A close frame is io.EOF.
func (s *wsStream) Read(p []byte) (int, error) {
	for s.left == 0 {
		if err := s.nextFrame(); err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > s.left {
		p = p[:s.left]
	}
	n, err := source{s}.Read(p)
	ws.Cipher(p[:n], s.mask, s.offset)
	s.offset = (s.offset + n) % 4
	s.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextFrame reads a frame's header, and the whole frame if it is a control frame.
func (s *wsStream) nextFrame() error {
	h, err := ws.ReadHeaderBuffer(source{s}, s.head[:])
	if err != nil {
		return err
	}
	state := ws.StateServerSide
	if s.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if ws.CheckHeader(h, state) != nil || h.OpCode == ws.OpText {
		_ = s.control(ws.OpClose, ws.NewCloseFrameBody(ws.StatusProtocolError, ""))
		return errWebSocket
	}
	if h.OpCode.IsControl() {
		return s.readControl(h)
	}
	s.left, s.mask, s.offset, s.fragmented = h.Length, h.Mask, 0, !h.Fin
	return nil
}

func (s *wsStream) readControl(h ws.Header) error {
	payload := make([]byte, h.Length) // at most 125 bytes (CheckHeader)
	if _, err := io.ReadFull(source{s}, payload); err != nil {
		return err
	}
	ws.Cipher(payload, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPing:
		return s.control(ws.OpPong, payload)
	case ws.OpClose:
		_ = s.control(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
		return io.EOF
	}
	return nil
}

// control writes a control frame, with a deadline of its own: it may come from the reader.
func (s *wsStream) control(op ws.OpCode, payload []byte) error {
	b, err := ws.CompileFrame(ws.NewFrame(op, true, payload))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	_, err = s.conn.Write(b)
	return err
}

// frames lends buffers for a header and a whole record of a session.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// Write sends p as one binary message, in one write to the connection.
func (s *wsStream) Write(p []byte) (int, error) {
	buf := frames.Get().(*[]byte)
	defer frames.Put(buf)
	head := headBuffer{b: (*buf)[:0]}
	// Writing to memory cannot fail, and every length is valid.
	_ = ws.WriteHeader(&head, ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(len(p))})
	*buf = append(head.b, p...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.conn.Write(*buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

type headBuffer struct{ b []byte }

func (h *headBuffer) Write(p []byte) (int, error) {
	h.b = append(h.b, p...)
	return len(p), nil
}

// SetReadDeadline bounds the next reads.
func (s *wsStream) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// SetWriteDeadline bounds the next writes.
func (s *wsStream) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }

// Close closes the connection, with a close frame if no write is stuck. Safe to call twice.
func (s *wsStream) Close() error {
	if s.mu.TryLock() {
		if !s.closed {
			s.closed = true
			// A deadline would not do: the session's writer, waiting behind this one, has just
			// set its own, which is for the connection as a whole.
			cut := time.AfterFunc(closeWithin, func() { _ = s.conn.Close() })
			_, _ = s.conn.Write(goingAway)
			cut.Stop()
		}
		s.mu.Unlock()
	}
	return s.conn.Close()
}

var goingAway = ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
