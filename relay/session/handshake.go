package session

import (
	"fmt"
	"io"

	"github.com/flynn/noise"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// suite is what seals records. A handshake has another with its own keys (see dh).
var suite = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)

// newHandshake begins a handshake, of the relay that holds key, or of a client, who has none,
// with the relay of the public key peer.
func newHandshake(random io.Reader, key PrivateKey, peer []byte) (*noise.HandshakeState, error) {
	keys, static, initiator := &dh{static: key.key}, noise.DHKey{}, key.key == nil
	if !initiator {
		static = noise.DHKey{Private: staticName, Public: key.key.PublicKey().Bytes()}
	}
	return noise.NewHandshakeState(noise.Config{
		CipherSuite:   noise.NewCipherSuite(keys, noise.CipherChaChaPoly, noise.HashSHA256),
		Random:        random,
		Pattern:       noise.HandshakeNK,
		Initiator:     initiator,
		Prologue:      []byte(prologue),
		StaticKeypair: static,
		PeerStatic:    peer,
	})
}

// clientHandshake sends e, es and reads e, ee (Noise section 7.5, pattern NK).
func (s *Session) clientHandshake(relayKey relay.RelayKey) error {
	state, err := newHandshake(s.random, PrivateKey{}, relayKey[:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	hello, err := wire.Marshal(ownHello(s.features))
	if err != nil {
		return err
	}
	first, _, _, err := state.WriteMessage(nil, hello)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHandshake, err) // a relay key that is no point
	}
	if err := s.writeRecord(first); err != nil {
		return err
	}
	second, err := s.readHandshakeRecord()
	if err != nil {
		return err
	}
	payload, send, receive, err := state.ReadMessage(nil, second)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	var answer serverHello
	if err := wire.Unmarshal(payload, &answer); err != nil {
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	if answer.version != relay.Version || answer.maxFrame < relay.MaxClientFrame {
		return ErrVersion
	}
	s.incarnation = answer.incarnation
	s.maxRead, s.maxWrite = relay.MaxServerFrame, relay.MaxClientFrame
	s.seal, s.open = send, receive
	s.binding.Handshake = relay.Hash(state.ChannelBinding())
	return nil
}

// serverHandshake reads e, es and sends e, ee. Its ephemeral key is fresh, so a recorded
// session that is played to it again stops opening at its third record (ATTACKS R04).
func (s *Session) serverHandshake(key PrivateKey, take func() error, give func()) error {
	first, err := s.readHandshakeRecord()
	if err != nil {
		return err
	}
	if err := take(); err != nil {
		return err
	}
	second, version, err := s.answerHello(key, first)
	give()
	if err != nil {
		return err
	}
	if err := s.writeRecord(second); err != nil {
		return err
	}
	if version == 0 {
		return ErrVersion
	}
	return nil
}

// answerHello computes the second record of the first, and what follows from both. A version
// of zero is that of a client with none in common with us, who is told so.
func (s *Session) answerHello(key PrivateKey, first []byte) (second []byte, version uint16, err error) {
	state, err := newHandshake(s.random, key, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	payload, _, _, err := state.ReadMessage(nil, first)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	var hello clientHello
	if err := wire.Unmarshal(payload, &hello); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	answer := hello.answer(s.incarnation)
	reply, err := wire.Marshal(answer)
	if err != nil {
		return nil, 0, err
	}
	second, receive, send, err := state.WriteMessage(nil, reply)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	s.features = hello.features()
	s.maxRead = relay.MaxClientFrame
	s.maxWrite = int(min(hello.maxFrame, relay.MaxServerFrame))
	s.seal, s.open = send, receive
	s.binding.Handshake = relay.Hash(state.ChannelBinding())
	return second, answer.version, nil
}

// readHandshakeRecord reads a record of the length that a hello can have. Anything else is
// refused before it is read.
func (s *Session) readHandshakeRecord() ([]byte, error) {
	n, err := s.readLength()
	if err != nil {
		return nil, err
	}
	if n < leastHello || n > maxHello {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrHandshake, n)
	}
	record := make([]byte, n)
	if err := s.readFull(record); err != nil {
		return nil, err
	}
	return record, nil
}
