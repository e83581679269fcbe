package history

import (
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/clientlib/internal/state"
)

// trigram is the index's unit: a query of fewer characters reads the texts instead.
const trigram = 3

// Search returns up to limit messages of all conversations whose text contains query, newest
// first in the order of insertion. A limit outside 1 to 1000 is 1000; an empty query finds
// nothing; one of more than 1024 octets is [ErrQuery]. A query of one or two characters reads
// texts from the newest until it has found enough: cheap for common ones, else about as long
// as reading all of the history.
func Search(tx *state.Tx, query string, limit int) ([]Entry, error) {
	if len(query) > maxQuery {
		return nil, ErrQuery
	}
	folded, limit := strings.TrimSpace(fold(query)), bounded(limit)
	switch n := utf8.RuneCountInString(folded); {
	case n == 0:
		return nil, nil
	case n < trigram:
		return collect(tx, folded, limit, "SELECT id, text FROM message ORDER BY id DESC")
	}
	// One string in quotes is a phrase: nothing in it is an operator.
	phrase := `"` + strings.ReplaceAll(folded, `"`, `""`) + `"`
	return collect(tx, folded, limit, `SELECT i.rowid, m.text FROM message_index i LEFT JOIN message m ON m.id = i.rowid
		WHERE i.text MATCH ? ORDER BY i.rowid DESC`, phrase)
}

// collect runs a query for row ids and texts, and returns the messages whose text really
// contains folded: the index is not authenticated, the rows are.
func collect(tx *state.Tx, folded string, limit int, sql string, args ...any) (out []Entry, err error) {
	for row, err := range tx.Query(sql, args...) {
		if err != nil {
			return nil, err
		}
		if !strings.Contains(searchable(row.Text(1)), folded) {
			continue
		}
		for full, err := range tx.Query("SELECT "+columns+" FROM message WHERE id = ?", row.Int64(0)) {
			if err != nil {
				return nil, err
			}
			e, err := scan(tx, full)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		if len(out) == limit {
			break
		}
	}
	return out, nil
}
