package session

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// records lends buffers for whole records, and chunks for small ones. An idle session
// holds none.
var (
	records = sync.Pool{New: func() any { return new([maxRecord + 2]byte) }}
	chunks  = sync.Pool{New: func() any { return new([chunk]byte) }}
)

// ReadFrame returns the next frame of a type that it knows, which owns its memory. Frames
// of unknown types from 0x80 up are passed over.
//
// Errors are final and repeated by later calls: io.EOF if the stream ended between two
// frames, io.ErrUnexpectedEOF if within one, the errors of this package, and those of the
// stream. That the stream ended is no statement of the peer: whoever carries it can cut it.
func (s *Session) ReadFrame() (relay.Frame, error) {
	for s.readErr == nil {
		frame, err := s.next()
		if err != nil {
			s.readErr = err
			s.partial = nil
		} else if frame != nil {
			return frame, nil
		}
	}
	return nil, s.readErr
}

// next returns a frame, or nil after a frame to pass over.
func (s *Session) next() (relay.Frame, error) {
	s.frameBy = time.Time{}
	if err := s.fill(4); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(s.partial))
	if n < 1 {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, relay.ErrEmptyFrame)
	}
	if n > s.maxRead {
		return nil, ErrFrameTooLarge
	}
	if err := s.fill(4 + n); err != nil {
		return nil, err
	}
	typ := relay.FrameType(s.partial[4])
	known := typ.FromClient() && !s.client || typ.FromServer() && s.client
	if !known && !typ.Skippable() {
		return nil, fmt.Errorf("%w 0x%02x", ErrUnexpected, uint8(typ))
	}
	var frame relay.Frame
	if known {
		// A copy of its own: a frame that waits for the disk must not keep alive a whole
		// record which the peer filled with something else.
		body := make([]byte, n)
		copy(body, s.partial[4:])
		var err error
		if frame, err = relay.ParseFrame(body); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	s.consume(4 + n)
	return frame, nil
}

// consume drops n bytes from the front, and the memory when nothing is left.
func (s *Session) consume(n int) {
	if s.partial = s.partial[n:]; len(s.partial) == 0 {
		s.partial = nil
	}
}

// fill reads records until n bytes of plaintext are there. Memory grows with what has
// arrived, never with what was announced (ATTACKS R15).
func (s *Session) fill(n int) error {
	for len(s.partial) < n {
		if err := s.readRecord(); err != nil {
			if err == io.EOF && len(s.partial) > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// readRecord opens the next record onto the end of partial.
func (s *Session) readRecord() error {
	if err := s.setDeadline(); err != nil {
		return err
	}
	n, err := s.readLength()
	if err != nil {
		return err
	}
	if n <= sealTag {
		return fmt.Errorf("%w: %d bytes", ErrRecord, n)
	}
	small := chunks.Get().(*[chunk]byte)
	defer chunks.Put(small)
	if n <= chunk {
		if err := s.readFull(small[:n]); err != nil {
			return err
		}
		return s.openRecord(small[:n])
	}
	if err := s.readFull(small[:]); err != nil {
		return err
	}
	large := records.Get().(*[maxRecord + 2]byte)
	defer records.Put(large)
	copy(large[:], small[:])
	if err := s.readFull(large[chunk:n]); err != nil {
		return err
	}
	return s.openRecord(large[:n])
}

// setDeadline bounds the next record, and the frame that has begun: one that comes byte by
// byte would hold its memory for as long as its sender likes.
func (s *Session) setDeadline() error {
	if s.deadlines == nil || s.readTimeout <= 0 && s.frameWithin <= 0 {
		return nil
	}
	now := time.Now()
	var by time.Time
	if s.readTimeout > 0 {
		by = now.Add(s.readTimeout)
	}
	if s.frameWithin > 0 && len(s.partial) > 0 {
		if s.frameBy.IsZero() {
			s.frameBy = now.Add(s.frameWithin)
		}
		if by.IsZero() || s.frameBy.Before(by) {
			by = s.frameBy
		}
	}
	return s.deadlines.SetReadDeadline(by)
}

func (s *Session) openRecord(record []byte) error {
	plain, err := s.open.Decrypt(record[:0], nil, record)
	if err != nil {
		return ErrRecord
	}
	s.partial = append(s.partial, plain...)
	return nil
}

// readLength reads a record's length. The stream may end before it, and only there.
func (s *Session) readLength() (int, error) {
	if _, err := io.ReadFull(s.stream, s.length[:]); err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint16(s.length[:])), nil
}

func (s *Session) readFull(b []byte) error {
	_, err := io.ReadFull(s.stream, b)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
