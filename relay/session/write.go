package session

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// plaintexts lends buffers in which frames are encoded. An idle session holds none.
var plaintexts = sync.Pool{New: func() any { return new([]byte) }}

// keptPlaintext is the largest buffer, in bytes, that goes back to the pool: what a full
// batch of deliveries needs.
const keptPlaintext = 512 << 10

// WriteFrames sends frames in order: as many to a record as fit, each record in one write
// to the stream. If one cannot be encoded or is longer than the peer takes
// ([ErrFrameTooLarge]), nothing is sent and the session goes on; every other error is
// final and repeated by later calls. A nil error means handed to the stream, no more.
func (s *Session) WriteFrames(frames ...relay.Frame) error {
	buf := plaintexts.Get().(*[]byte)
	plain := (*buf)[:0]
	defer func() {
		if cap(plain) <= keptPlaintext {
			*buf = plain
			plaintexts.Put(buf)
		}
	}()
	for _, f := range frames {
		before := len(plain)
		var err error
		if plain, err = relay.AppendFrame(plain, f); err != nil {
			return err
		}
		if n := len(plain) - before - 4; n > s.maxWrite {
			return fmt.Errorf("%w: %T of %d bytes", ErrFrameTooLarge, f, n)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), maxPlain)
		if err := s.sealRecord(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// sealRecord seals and writes one record. After a failed write the peer cannot be in step
// any more, so the error sticks. Callers hold s.mu.
func (s *Session) sealRecord(plain []byte) error {
	if s.writeErr != nil {
		return s.writeErr
	}
	record := records.Get().(*[maxRecord + 2]byte)
	defer records.Put(record)
	binary.BigEndian.PutUint16(record[:], uint16(len(plain)+sealTag))
	out, err := s.seal.Encrypt(record[:2], nil, plain)
	if err == nil {
		err = s.writeStream(out)
	}
	s.writeErr = err
	return err
}

// writeRecord writes a handshake record.
func (s *Session) writeRecord(b []byte) error {
	return s.writeStream(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
}

func (s *Session) writeStream(b []byte) error {
	if s.writeTimeout > 0 && s.deadlines != nil {
		if err := s.deadlines.SetWriteDeadline(time.Now().Add(s.writeTimeout)); err != nil {
			return err
		}
	}
	_, err := s.stream.Write(b)
	return err
}
