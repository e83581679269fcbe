package state

import "fmt"

// migrations lead from one schema version to the next; the version is how many have run.
// A released one never changes: append. Package history owns the message tables.
var migrations = []string{
	`CREATE TABLE kv (
		bucket TEXT NOT NULL,
		k BLOB NOT NULL,
		v BLOB NOT NULL, -- MAC, then the value
		PRIMARY KEY (bucket, k)
	) WITHOUT ROWID, STRICT;

	CREATE TABLE message (
		id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
		once BLOB NOT NULL UNIQUE,            -- MAC of (log, sender, device, message id)
		conversation BLOB NOT NULL,
		era INTEGER NOT NULL,                 -- which log of the conversation, in order of appearance
		place INTEGER NOT NULL,               -- position in the log, or where an unaccepted one stands
		position INTEGER NOT NULL,
		message_id BLOB NOT NULL,
		log BLOB NOT NULL,
		sender BLOB NOT NULL,
		device BLOB NOT NULL,
		sent_at INTEGER NOT NULL,             -- milliseconds since 1970
		received_at INTEGER NOT NULL,
		status INTEGER NOT NULL,
		body BLOB NOT NULL,
		text TEXT NOT NULL,
		mac BLOB NOT NULL
	) STRICT;
	CREATE INDEX message_order ON message (conversation, era, place);

	-- The index holds the trigrams of folded texts; the texts themselves stand in message alone.
	CREATE VIRTUAL TABLE message_index USING fts5(text,
		content='', columnsize=0, tokenize='trigram case_sensitive 1');
	-- Trigrams of a deleted message go at once and not when segments merge. (A table that is
	-- contentless_delete would only mark them.)
	INSERT INTO message_index (message_index, rank) VALUES ('secure-delete', 1);`,
}

// migrate brings the schema to this version, each step in a transaction of its own.
func (db *DB) migrate() error {
	stmt, _, err := db.conn.Prepare("PRAGMA user_version")
	if err != nil {
		return classify(err)
	}
	stmt.Step()
	version, err := stmt.ColumnInt(0), stmt.Err()
	stmt.Close()
	if err != nil {
		return classify(err)
	}
	if version > len(migrations) {
		return fmt.Errorf("%w: schema %d, this program knows %d", ErrNewerSchema, version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		// If this fails, closing rolls it back.
		err := db.conn.Exec(fmt.Sprintf("BEGIN; %s; PRAGMA user_version=%d; COMMIT", migrations[version], version+1))
		if err != nil {
			return classify(err)
		}
	}
	return nil
}
