// Package history keeps the messages of a device's conversations and searches them.
//
// Start with [Insert], [All] and [Search]. Every function works inside a transaction of
// package state, together with whatever else changes there, and knows neither MLS nor the
// relay: a message's group is 32 bytes in which positions count.
//
// Order. A conversation's messages stand in the order of its log, not of arrival: an own
// message that waited in the outbox takes the place that the log gave it. If a conversation
// goes on in another log (a successor group), all of the second log's messages come after the
// first's. Own messages without a position come last, in the order of their insertion; one
// that failed keeps its place behind what was there when it failed.
//
// Search is for text as it is, in every script: case, accents and vowel points, width and
// invisible characters do not matter, and nothing in a query is an operator.
//
// Every row carries a MAC over all of its columns: what was changed on disk is
// state.ErrCorrupt and never returned. The search index has none; a damaged one can hide
// messages from a search, never show wrong ones.
package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
)

// Status is where a message stands.
type Status uint8

// The statuses.
const (
	Queued   Status = iota + 1 // own, not accepted yet
	Sent                       // own, accepted
	Received                   // somebody else's
	Failed                     // own, given up
)

// Our own limits.
const (
	maxID      = 255  // octets of an account or device id: it goes into an index
	maxResults = 1000 // of one search or page: more than anyone looks at, little enough to hold
	maxQuery   = 1024 // octets: a longer one would cost a lookup for each of its characters
	// maxIndexed bounds what a peer can make everyone index with one message, in octets of
	// text. What follows is kept and shown but not found.
	maxIndexed = 32 << 10
)

// Errors of the caller.
var (
	ErrEntry = errors.New("history: entry cannot be stored")
	ErrQuery = errors.New("history: query is too long")
)

// Entry is a message.
type Entry struct {
	RowID        int64 // given by Insert in the order of insertion, never used twice
	Conversation [32]byte
	MessageID    [32]byte
	Sender       []byte // account, 1 to 255 octets
	Device       []byte // 1 to 255 octets
	Group        [32]byte
	Position     uint64    // in the group's log; 0 while it has none
	SentAt       time.Time // by the sender's clock, in milliseconds; zero if unknown
	ReceivedAt   time.Time // by ours
	Status       Status
	Body         []byte // the encoded content
	Text         string // what is searched

	era, place int64
}

// Key names a message: one message id of one device in one conversation is one message,
// through whichever of the conversation's groups it came.
type Key struct {
	Conversation [32]byte
	Sender       []byte
	Device       []byte
	MessageID    [32]byte
}

// Key returns the entry's key.
func (e *Entry) Key() Key { return Key{e.Conversation, e.Sender, e.Device, e.MessageID} }

// Columns of the row and of its MAC, in one order everywhere.
const columns = `id, once, conversation, era, place, position, message_id, log, sender, device,
	sent_at, received_at, status, body, text, mac`

const (
	labelOnce = "message once v1"
	labelRow  = "message v1"
)

// waiting is the era and place of what has no position: behind everything.
const waiting = math.MaxInt64

// once is the row's unique key. It is a MAC, so nobody can aim for a collision.
func (k *Key) once(tx *state.Tx) []byte {
	return tx.MAC(labelOnce, k.Conversation[:], k.Sender, k.Device, k.MessageID[:])
}

// fields are what the row's MAC covers; the row id is left out because SQLite gives it.
func (e *Entry) fields(once []byte) [][]byte {
	numbers := make([]byte, 0, 6*8)
	for _, n := range []int64{e.era, e.place, int64(e.Position), millis(e.SentAt), millis(e.ReceivedAt), int64(e.Status)} {
		numbers = binary.BigEndian.AppendUint64(numbers, uint64(n))
	}
	return [][]byte{once, e.Conversation[:], numbers, e.MessageID[:], e.Group[:], e.Sender, e.Device, e.Body, []byte(e.Text)}
}

// scan reads and authenticates one row of columns.
func scan(tx *state.Tx, row state.Row) (Entry, error) {
	e := Entry{
		RowID: row.Int64(0), era: row.Int64(3), place: row.Int64(4), Position: uint64(row.Int64(5)),
		Sender: row.Bytes(8), Device: row.Bytes(9), SentAt: when(row.Int64(10)), ReceivedAt: when(row.Int64(11)),
		Status: Status(row.Int64(12)), Body: row.Bytes(13), Text: row.Text(14),
	}
	for col, id := range map[int]*[32]byte{2: &e.Conversation, 6: &e.MessageID, 7: &e.Group} {
		b := row.Bytes(col)
		if len(b) != len(id) {
			return Entry{}, &state.Corrupt{Where: "row of message"}
		}
		copy(id[:], b)
	}
	if err := tx.VerifyMAC(row.Bytes(15), labelRow, e.fields(row.Bytes(1))...); err != nil {
		return Entry{}, err
	}
	return e, nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func when(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func (e *Entry) check() error {
	switch {
	case len(e.Sender) == 0 || len(e.Sender) > maxID || len(e.Device) == 0 || len(e.Device) > maxID:
		return fmt.Errorf("%w: sender of %d and device of %d octets", ErrEntry, len(e.Sender), len(e.Device))
	case e.Position >= waiting:
		return fmt.Errorf("%w: position is beyond 63 bits", ErrEntry)
	case e.Status < Queued || e.Status > Failed:
		return fmt.Errorf("%w: unknown status", ErrEntry)
	}
	return nil
}
