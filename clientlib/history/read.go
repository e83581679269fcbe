package history

import (
	"iter"

	"github.com/sealpost/sealpost/clientlib/internal/state"
)

// allBatch is how many messages [All] reads before it hands them out.
const allBatch = 64

// Cursor is a place in a conversation. The zero Cursor is behind its newest message. A cursor
// of a message that has no position yet is good only until it gets one.
type Cursor struct{ era, place, id int64 }

// Cursor returns the entry's place. It is meaningful for entries that this package returned.
func (e *Entry) Cursor() Cursor { return Cursor{e.era, e.place, e.RowID} }

// List returns up to limit messages of the conversation that stand before the cursor, newest
// first. A limit outside 1 to 1000 is 1000. The next page starts before the last one's cursor.
func List(tx *state.Tx, conversation [32]byte, before Cursor, limit int) ([]Entry, error) {
	if before == (Cursor{}) {
		before = Cursor{waiting, waiting, waiting}
	}
	return page(tx, `SELECT `+columns+` FROM message WHERE conversation = ? AND (era, place, id) < (?, ?, ?)
		ORDER BY era DESC, place DESC, id DESC LIMIT ?`, conversation, before, bounded(limit))
}

// All iterates over the conversation, oldest first; an error is the last pair. The loop may
// change messages; whether it then meets one again that it moved is not specified.
func All(tx *state.Tx, conversation [32]byte) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		after := Cursor{era: -1}
		for {
			batch, err := page(tx, `SELECT `+columns+` FROM message WHERE conversation = ? AND (era, place, id) > (?, ?, ?)
				ORDER BY era, place, id LIMIT ?`, conversation, after, allBatch)
			for _, e := range batch {
				after = e.Cursor()
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if len(batch) < allBatch {
				return
			}
		}
	}
}

// page returns what precedes an error together with it.
func page(tx *state.Tx, sql string, conversation [32]byte, from Cursor, limit int) (out []Entry, err error) {
	for row, err := range tx.Query(sql, conversation[:], from.era, from.place, from.id, limit) {
		if err != nil {
			return out, err
		}
		e, err := scan(tx, row)
		if err != nil {
			return out, err
		}
		out = append(out, e)
	}
	return out, nil
}

func bounded(limit int) int {
	if limit < 1 || limit > maxResults {
		return maxResults
	}
	return limit
}
