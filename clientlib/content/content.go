// Package content reads and writes MIMI content, the format of what people say to each
// other inside a conversation (draft-ietf-mimi-content-08, application/mimi-content).
//
// Start with [Text], [NewAttachment] and [Message.Encode] to send, with [Decode] to receive.
// [Message.Kind] says what a message does (a text, a reply, a reaction, an edit, a deletion,
// ...), [Message.PlainText] gives what a search index or a line of a terminal shows,
// [Message.Files] the files that it points to, and [Message.ID] computes the id by which later
// messages refer to it.
//
// A message is deterministic CBOR (RFC 8949 section 4.2.1): Decode refuses every other
// encoding of the same value, so decoding and encoding again gives the same bytes, and
// everyone computes the same message id. What a message says about other messages
// (replaces, in reply to) is a claim of its sender: whether the sender may edit or delete
// that message is for the caller to decide, who knows who sent which.
//
// Out of scope: storing, sending, fetching of external parts, rendering of Markdown and HTML,
// and the message status format. The package keeps no state; a Message is not safe for
// concurrent change.
package content

import (
	"errors"
	"time"
)

// The draft's constants.
const (
	// MediaType is the media type of an encoded message.
	MediaType = "application/mimi-content"

	SaltSize      = 16  // octets of a message's salt
	MessageIDSize = 32  // octets of a message id
	HashSHA256    = 1   // id of SHA-256 in the IANA Named Information registry
	maxPartDepth  = 4   // levels of nested parts (section 5.3)
	maxExtDepth   = 4   // levels of maps, arrays and tags in the extensions (section 5.3)
	maxKeyText    = 255 // octets of an extension's text key
	maxKeyInt     = 1<<53 - 1

	// What the draft's security considerations call nonsensical.
	maxTopic = 4096
	maxParts = 1024
)

// Our own limits.
const (
	// MaxSize is the largest encoded message in octets: nothing larger fits the largest
	// envelope, so a larger one was never sent by an honest client.
	MaxSize = 512 << 10
	// maxDepth bounds the recursion of the first pass over hostile bytes. The deepest legal
	// message needs 9: the message, four parts and the four lists between and below them.
	maxDepth = 12
)

// Errors of [Decode] and [Message.Encode]. All are final: the same bytes never decode, the
// same message never encodes.
var (
	ErrTruncated        = errors.New("content: message is truncated")
	ErrTrailing         = errors.New("content: bytes follow the message")
	ErrSyntax           = errors.New("content: not a mimi-content structure")
	ErrIndefinite       = errors.New("content: indefinite length")
	ErrNotDeterministic = errors.New("content: encoding is not deterministic")
	ErrDuplicateKey     = errors.New("content: map key occurs twice")
	ErrUTF8             = errors.New("content: text is not valid utf-8")
	ErrTooDeep          = errors.New("content: nested too deeply")
	ErrTooLarge         = errors.New("content: larger than the limits allow")
	ErrHash             = errors.New("content: message id of an unknown hash algorithm")
)

// A Message is one MIMI content message. [Text] and its siblings build valid ones.
type Message struct {
	Salt       [SaltSize]byte
	Replaces   *MessageID  // the first instance of the message that this one edits or deletes
	Topic      []byte      // messages with the same topic belong together; empty for none
	Expires    *Expiration // nil for never
	InReplyTo  *MessageID
	Extensions Extensions
	Body       Part
}

// Expiration is a sender's wish that receivers delete a message (section 3.1). It assures nothing.
type Expiration struct {
	Relative bool   // counted from when the message is read
	Seconds  uint32 // relative: a duration; absolute: since 1970
}

// At returns when a message read at read expires.
func (e Expiration) At(read time.Time) time.Time {
	if e.Relative {
		return read.Add(time.Duration(e.Seconds) * time.Second)
	}
	return time.Unix(int64(e.Seconds), 0)
}

// Plausible reports whether e lies within a year of now, which the draft's security
// considerations ask of a message that has just arrived.
func (e Expiration) Plausible(now time.Time) bool {
	const year = 366 * 24 * time.Hour
	d := e.At(now).Sub(now)
	return -year <= d && d <= year
}
