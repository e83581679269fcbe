package history

import (
	"encoding/binary"

	"github.com/sealpost/sealpost/clientlib/internal/state"
)

// logs is the bucket that numbers each conversation's logs in the order of appearance:
// conversation and group give the log's number, the conversation alone how many there are.
const logs = "history.logs"

// Insert stores e and indexes its text, if e's key is not there yet; RowID is ignored. A
// duplicate changes nothing, whatever else it says, and returns false.
func Insert(tx *state.Tx, e Entry) (inserted bool, err error) {
	if err := e.check(); err != nil {
		return false, err
	}
	key := e.Key()
	once := key.once(tx)
	for _, err := range tx.Query("SELECT 1 FROM message WHERE once = ?", once) {
		return false, err
	}
	if err := e.settle(tx); err != nil {
		return false, err
	}
	_, err = tx.Exec(`INSERT INTO message (once, conversation, era, place, position, message_id, log, sender,
		device, sent_at, received_at, status, body, text, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		once, e.Conversation[:], e.era, e.place, e.Position, e.MessageID[:], e.Group[:], e.Sender, e.Device,
		millis(e.SentAt), millis(e.ReceivedAt), int(e.Status), e.Body, e.Text, tx.MAC(labelRow, e.fields(once)...))
	if err != nil {
		return false, err
	}
	_, err = tx.Exec("INSERT INTO message_index (rowid, text) VALUES (?, ?)", tx.LastInsertID(), searchable(e.Text))
	return err == nil, err
}

// settle gives e its place in the conversation.
func (e *Entry) settle(tx *state.Tx) (err error) {
	switch {
	case e.Position > 0:
		e.place = int64(e.Position)
		e.era, err = era(tx, e.Conversation, e.Group)
	case e.Status == Failed:
		e.era, e.place, err = newest(tx, e.Conversation)
	default:
		e.era, e.place = waiting, waiting
	}
	return err
}

// era returns the number of a log in its conversation, the next one for a new log.
func era(tx *state.Tx, conversation, group [32]byte) (int64, error) {
	key := append(conversation[:], group[:]...)
	if b, found, err := tx.Get(logs, key); err != nil || found {
		return number(b, err)
	}
	b, _, err := tx.Get(logs, conversation[:])
	if err != nil {
		return 0, err
	}
	count, err := number(b, nil)
	if err != nil {
		return 0, err
	}
	next := binary.BigEndian.AppendUint64(nil, uint64(count+1))
	if err := tx.Put(logs, conversation[:], next); err != nil {
		return 0, err
	}
	return count + 1, tx.Put(logs, key, next)
}

// number decodes a value of the bucket; none is 0.
func number(b []byte, err error) (int64, error) {
	if err != nil || len(b) == 0 {
		return 0, err
	}
	if len(b) != 8 {
		return 0, &state.Corrupt{Where: "number of a log"}
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// newest returns where the conversation's last message with a place stands.
func newest(tx *state.Tx, conversation [32]byte) (era, place int64, err error) {
	for row, err := range tx.Query(`SELECT era, place FROM message WHERE conversation = ? AND era < ?
		ORDER BY era DESC, place DESC LIMIT 1`, conversation[:], int64(waiting)) {
		if err != nil {
			return 0, 0, err
		}
		return row.Int64(0), row.Int64(1), nil
	}
	return 0, 0, nil
}

// Get returns the message of key and whether there is one.
func Get(tx *state.Tx, key Key) (Entry, bool, error) {
	for row, err := range tx.Query("SELECT "+columns+" FROM message WHERE once = ?", key.once(tx)) {
		if err != nil {
			return Entry{}, false, err
		}
		e, err := scan(tx, row)
		return e, err == nil, err
	}
	return Entry{}, false, nil
}

// SetPosition records what became of an own message: accepted at position of group (which
// may be another than it was inserted with), or with position 0 failed or queued again. A
// message that is not there (the user deleted it) is no error.
func SetPosition(tx *state.Tx, key Key, group [32]byte, position uint64, status Status) error {
	e, found, err := Get(tx, key)
	if err != nil || !found {
		return err
	}
	e.Position, e.Status = position, status
	if position > 0 {
		e.Group = group
	}
	if err := e.check(); err != nil {
		return err
	}
	if err := e.settle(tx); err != nil {
		return err
	}
	_, err = tx.Exec("UPDATE message SET era = ?, place = ?, position = ?, log = ?, status = ?, mac = ? WHERE id = ?",
		e.era, e.place, e.Position, e.Group[:], int(e.Status), tx.MAC(labelRow, e.fields(key.once(tx))...), e.RowID)
	return err
}

// Delete removes the message of key, and its words from the index, and reports whether it was
// there. A damaged row is removed, too; words that it no longer has may then stay in the
// index, where they find nothing.
func Delete(tx *state.Tx, key Key) (bool, error) {
	var id int64
	var text string
	for row, err := range tx.Query("SELECT id, text FROM message WHERE once = ?", key.once(tx)) {
		if err != nil {
			return false, err
		}
		id, text = row.Int64(0), row.Text(1)
	}
	if id == 0 {
		return false, nil
	}
	// The index finds a message's trigrams by its text.
	_, err := tx.Exec("INSERT INTO message_index (message_index, rowid, text) VALUES ('delete', ?, ?)", id, searchable(text))
	if err != nil {
		return false, err
	}
	_, err = tx.Exec("DELETE FROM message WHERE id = ?", id)
	return err == nil, err
}
