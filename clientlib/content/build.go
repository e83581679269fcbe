package content

import (
	"crypto/rand"
	"strings"
)

// Text returns a new message that says s, which is shown as it is: nothing in it is markup.
// Bytes that are not UTF-8 become U+FFFD.
func Text(s string) *Message { return newMessage(Render, s) }

// Reply returns a new message that says s in answer to the message to.
func Reply(to MessageID, s string) *Message {
	m := newMessage(Render, s)
	m.InReplyTo = &to
	return m
}

// Reaction returns a new message that reacts to the message to, usually with one emoji.
func Reaction(to MessageID, emoji string) *Message {
	m := newMessage(ReactionTo, emoji)
	m.InReplyTo = &to
	return m
}

func newMessage(d Disposition, s string) *Message {
	m := &Message{Body: Part{
		Disposition: d,
		Content:     Single{ContentType: PlainTextType, Data: []byte(strings.ToValidUTF8(s, "\ufffd"))},
	}}
	rand.Read(m.Salt[:]) // never fails
	return m
}
