package main

import (
	"crypto/tls"
	"encoding/binary"
	"testing"
	"time"

	"github.com/quic-go/quic-go/quicvarint"
)

// newConnectionID is a frame that gives the server an id, the one of so many, and has it let
// go of all before another.
func newConnectionID(n, retire uint64) []byte {
	b := quicvarint.Append(quicvarint.Append([]byte{0x18}, n), retire)
	b = binary.BigEndian.AppendUint64(append(b, 8), n)
	return append(b, make([]byte, 16)...)
}

// TestR13_FramesThatWantAnswers: a client that sends frames each of which has to be answered,
// and acknowledges nothing, so that hardly an answer can leave: connection ids that retire all
// before them (CVE-2024-22189), and challenges, from one new address after the other
// (CVE-2023-49295).
func TestR13_FramesThatWantAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		frame  func(n uint64) []byte
		answer uint64
		rounds int
		moves  bool
	}{
		"NEW_CONNECTION_ID": {frame: func(n uint64) []byte { return newConnectionID(n, n) }, answer: 0x19, rounds: 400},
		"PATH_CHALLENGE":    {frame: func(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{0x1a}, n) }, answer: 0x1b, rounds: 100, moves: true},
	} {
		t.Run(name, func(t *testing.T) {
			withstands(t, func(g greeting) {
				raw := dialRawQUIC(t, g)
				if c.moves {
					raw.send(tls.QUICEncryptionLevelApplication, append(append(newConnectionID(1, 0), newConnectionID(2, 0)...), newConnectionID(3, 0)...))
				}
				sent, answered, closed := uint64(0), 0, false
				for i := 0; i < c.rounds && !closed; i++ {
					if c.moves && i%4 == 0 {
						raw.move(g)
					}
					for range 32 { // as many as the server's socket holds
						var frames []byte
						for len(frames) < 1100 {
							sent++
							frames = append(frames, c.frame(sent)...)
						}
						raw.send(tls.QUICEncryptionLevelApplication, frames)
					}
					for _, f := range raw.hear(20 * time.Millisecond) {
						if f.typ == c.answer {
							answered++
						}
						closed = closed || f.typ == 0x1c || f.typ == 0x1d
					}
				}
				t.Logf("%d frames sent, %d answers heard, closed: %v", sent, answered, closed)
				if answered == 0 && !closed {
					t.Error("the server did not even read them")
				}
			})
		})
	}
}
