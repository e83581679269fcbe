package tsmls

import (
	"bytes"
	"fmt"
	"slices"
)

// say has one member write to all others.
func (s *session) say(by string) {
	s.t.Helper()
	s.sayInOrder(by, 0)
}

// sayInOrder has one member write as many messages as there are places, which all others get
// in that order.
func (s *session) sayInOrder(by string, order ...int) {
	s.t.Helper()
	messages := s.write(by, len(order))
	for _, name := range s.others(by) {
		s.read(name, by, messages, order...)
	}
}

// sayLate has one member write two messages in each of some epochs, which all others get when
// the epochs are over, the last one first.
func (s *session) sayLate(by string) {
	s.t.Helper()
	var epochs [][][]byte
	for range pastEpochs {
		epochs = append(epochs, s.write(by, 2))
		s.commit(by, manner{path: true})
	}
	slices.Reverse(epochs)
	for _, messages := range epochs {
		for _, name := range s.others(by) {
			s.read(name, by, messages, 1, 0)
		}
	}
}

func text(by string, i int) []byte { return fmt.Appendf(nil, "message %d of %s", i, by) }

func aadOf(by string) []byte { return []byte("written by " + by) }

func (s *session) write(by string, n int) (messages [][]byte) {
	s.t.Helper()
	for i := range n {
		msg, err := s.members[by].encrypt(text(by, i), aadOf(by))
		s.ok(by, err)
		messages = append(messages, msg)
	}
	return messages
}

func (s *session) read(name, by string, messages [][]byte, order ...int) {
	s.t.Helper()
	for _, i := range order {
		r, err := s.members[name].process(messages[i])
		s.ok(fmt.Sprintf("%s takes message %d of %s", name, i, by), err)
		if r.kind != "application" || !bytes.Equal(r.data, text(by, i)) || !bytes.Equal(r.aad, aadOf(by)) {
			s.t.Fatalf("%s: message %d of %s came out as %+v", name, i, by, r)
		}
	}
}
