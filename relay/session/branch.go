package session

import (
	"io"

	"github.com/flynn/noise"

	"github.com/sealpost/sealpost/relay"
)

// Send returns the sending end of a branch of s: a stream beside the session's own, from the
// server to the client, whose records are sealed under key (PROTOCOL.md, Streams). Only
// WriteFrames, SetTimeouts and Close of the result are of use. The key is for this one branch
// and reaches the client in a STREAM frame of s, so that whoever carries both can no more read
// or alter the one than the other.
func (s *Session) Send(stream io.ReadWriteCloser, key relay.StreamKey) *Session {
	b := s.branch(stream)
	b.maxWrite = s.maxWrite
	b.seal = noise.UnsafeNewCipherState(suite, key, 0)
	return b
}

// Receive returns the receiving end of a branch: see [Session.Send]. Only ReadFrame,
// SetTimeouts and Close of the result are of use. A branch that ends says nothing; what has
// to come comes as a frame.
func (s *Session) Receive(stream io.ReadWriteCloser, key relay.StreamKey) *Session {
	b := s.branch(stream)
	b.maxRead = s.mostRead()
	b.open = noise.UnsafeNewCipherState(suite, key, 0)
	return b
}

func (s *Session) branch(stream io.ReadWriteCloser) *Session {
	b := &Session{stream: stream, client: s.client, binding: s.binding, incarnation: s.incarnation}
	b.deadlines, _ = stream.(deadliner)
	return b
}
