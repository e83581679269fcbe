package history

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
)

var (
	chat       = [32]byte{1}
	otherChat  = [32]byte{2}
	firstLog   = [32]byte{11}
	secondLog  = [32]byte{12}
	alice, bob = bytes.Repeat([]byte{0xa}, 32), bytes.Repeat([]byte{0xb}, 32)
)

func newStore(t testing.TB) *state.DB {
	t.Helper()
	db, err := state.Open(filepath.Join(t.TempDir(), "device.db"), [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func update(t testing.TB, db *state.DB, fn func(tx *state.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// entry makes a message with an id of its own; a position of 0 makes it an own one.
func entry(text string, position uint64) Entry {
	e := Entry{Conversation: chat, MessageID: sha256.Sum256([]byte(text)), Sender: bob, Device: bob, Group: firstLog,
		Position: position, Status: Received, ReceivedAt: time.UnixMilli(1_700_000_000_000), Body: []byte("body of " + text), Text: text}
	if position == 0 {
		e.Sender, e.Status = alice, Queued
	}
	return e
}

func insert(t testing.TB, tx *state.Tx, e Entry) {
	t.Helper()
	if ok, err := Insert(tx, e); err != nil || !ok {
		t.Fatalf("inserting %q: %v, %v", e.Text, ok, err)
	}
}

// order returns the texts of the conversation by All, after comparing them with pages of List.
func order(t testing.TB, tx *state.Tx) string {
	t.Helper()
	var all, pages []string
	for e, err := range All(tx, chat) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Text)
	}
	for cursor := (Cursor{}); ; {
		page, err := List(tx, chat, cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			pages = append([]string{e.Text}, pages...)
			cursor = e.Cursor()
		}
		if len(page) < 2 {
			break
		}
	}
	if !reflect.DeepEqual(all, pages) {
		t.Errorf("All gives %v, List %v", all, pages)
	}
	return strings.Join(all, " ")
}

func TestEntryRoundTrip(t *testing.T) {
	db := newStore(t)
	want := entry("über", 7)
	want.SentAt = time.UnixMilli(1_699_999_999_999)
	update(t, db, func(tx *state.Tx) error { insert(t, tx, want); return nil })
	db.View(t.Context(), func(tx *state.Tx) error {
		got, found, err := Get(tx, want.Key())
		if err != nil || !found {
			t.Fatal(found, err)
		}
		want.RowID, want.era, want.place = got.RowID, 1, 7
		if !reflect.DeepEqual(got, want) || got.RowID == 0 {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if _, found, err := Get(tx, Key{Conversation: chat, Sender: bob, Device: alice}); found || err != nil {
			t.Errorf("a message that is not there: %v, %v", found, err)
		}
		return nil
	})
	update(t, db, func(tx *state.Tx) error {
		for name, change := range map[string]func(*Entry){
			"no sender":     func(e *Entry) { e.Sender = nil },
			"long device":   func(e *Entry) { e.Device = make([]byte, 256) },
			"no status":     func(e *Entry) { e.Status = 0 },
			"odd status":    func(e *Entry) { e.Status = Failed + 1 },
			"huge position": func(e *Entry) { e.Position = 1 << 63 },
		} {
			e := entry(name, 1)
			change(&e)
			if ok, err := Insert(tx, e); ok || !errors.Is(err, ErrEntry) {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
		}
		return nil
	})
}

// A07: a message that comes again, in whatever dress, is there once and as it was.
func TestA07_MessageIsThereOnce(t *testing.T) {
	db := newStore(t)
	first := entry("once", 5)
	update(t, db, func(tx *state.Tx) error { insert(t, tx, first); return nil })
	update(t, db, func(tx *state.Tx) error {
		again := first
		again.Position, again.Text, again.Body, again.Group = 9, "forged words", []byte("x"), secondLog
		if ok, err := Insert(tx, again); ok || err != nil {
			t.Errorf("a duplicate: %v, %v", ok, err)
		}
		if found, err := Search(tx, "forged", 0); len(found) != 0 || err != nil {
			t.Errorf("a duplicate is found: %v, %v", found, err)
		}
		for _, change := range []func(*Entry){
			func(e *Entry) { e.Sender = alice }, func(e *Entry) { e.Device = alice },
			func(e *Entry) { e.Conversation = otherChat }, func(e *Entry) { e.MessageID[0]++ },
			// The same bytes, divided otherwise.
			func(e *Entry) { e.Sender, e.Device = append(bytes.Clone(bob), bob[0]), bob[1:] },
		} {
			other := first
			change(&other)
			insert(t, tx, other)
		}
		return nil
	})
	db.View(t.Context(), func(tx *state.Tx) error {
		if e, _, err := Get(tx, first.Key()); err != nil || e.Position != 5 || e.Text != "once" || e.Group != firstLog {
			t.Errorf("the first is now %+v, %v", e, err)
		}
		return nil
	})
}

func TestOrderIsTheLogs(t *testing.T) {
	db := newStore(t)
	step := func(want string, fn func(tx *state.Tx)) {
		t.Helper()
		update(t, db, func(tx *state.Tx) error {
			fn(tx)
			if got := order(t, tx); got != want {
				t.Errorf("order %q, want %q", got, want)
			}
			return nil
		})
	}
	accept := func(tx *state.Tx, text string, log [32]byte, position uint64, status Status) {
		t.Helper()
		own := entry(text, 0)
		if err := SetPosition(tx, own.Key(), log, position, status); err != nil {
			t.Fatal(err)
		}
	}
	step("mine1 mine2", func(tx *state.Tx) { insert(t, tx, entry("mine1", 0)); insert(t, tx, entry("mine2", 0)) })
	step("a b mine1 mine2", func(tx *state.Tx) { insert(t, tx, entry("a", 3)); insert(t, tx, entry("b", 5)) })
	step("a mine1 b mine2", func(tx *state.Tx) { accept(tx, "mine1", firstLog, 4, Sent) })
	step("a mine1 b c mine2", func(tx *state.Tx) { insert(t, tx, entry("c", 900)) })
	step("a mine1 b c mine3 mine2", func(tx *state.Tx) {
		insert(t, tx, entry("mine3", 0))
		accept(tx, "mine3", [32]byte{}, 0, Failed)
	})
	// A successor group: its positions start anew, all of it comes later.
	step("a mine1 b c mine3 e f mine2", func(tx *state.Tx) {
		for i, text := range []string{"f", "e"} {
			e := entry(text, uint64(2-i))
			e.Group = secondLog
			insert(t, tx, e)
		}
		other := entry("elsewhere", 1)
		other.Conversation = otherChat
		insert(t, tx, other)
	})
	step("a mine1 b c mine3 d e f mine2", func(tx *state.Tx) { insert(t, tx, entry("d", 901)) })
	// Encrypted again for the successor, which is another group than it was inserted with.
	step("a mine1 b c mine3 d e f mine2", func(tx *state.Tx) { accept(tx, "mine2", secondLog, 3, Sent) })
	step("a mine1 b c d e f mine2 mine3", func(tx *state.Tx) { accept(tx, "mine3", [32]byte{}, 0, Queued) })
	db.View(t.Context(), func(tx *state.Tx) error {
		mine := entry("mine2", 0)
		if e, _, err := Get(tx, mine.Key()); err != nil || e.Group != secondLog || e.Position != 3 || e.Status != Sent {
			t.Errorf("mine2 is %+v, %v", e, err)
		}
		return nil
	})
	update(t, db, func(tx *state.Tx) error { // deleted while it waited
		return SetPosition(tx, Key{Conversation: chat, Sender: alice, Device: bob}, firstLog, 1, Sent)
	})
}

func TestListIsBounded(t *testing.T) {
	db := newStore(t)
	update(t, db, func(tx *state.Tx) error {
		for i := range 200 {
			insert(t, tx, entry(fmt.Sprintf("message %d", i), uint64(i+1)))
		}
		for limit, want := range map[int]int{1: 1, 150: 150, 0: 200, -5: 200, 1 << 40: 200} {
			if page, err := List(tx, chat, Cursor{}, limit); err != nil || len(page) != want || page[0].Position != 200 {
				t.Errorf("limit %d gives %d, %v", limit, len(page), err)
			}
			if found, err := Search(tx, "message", limit); err != nil || len(found) != want || found[0].Position != 200 {
				t.Errorf("limit %d finds %d, %v", limit, len(found), err)
			}
		}
		n := uint64(0)
		for e, err := range All(tx, chat) {
			if n++; err != nil || e.Position != n {
				t.Fatalf("message %d: %d, %v", n, e.Position, err)
			}
		}
		return nil
	})
}

func TestTamperedRowIsCorrupt(t *testing.T) {
	for _, set := range []string{
		"body = x'00'", "text = 'a mesSage'", "status = 1", "position = 2", "place = 2", "era = 2",
		"sender = CAST(device || x'00' AS BLOB)", "device = x'0b'", "message_id = zeroblob(32)", "log = zeroblob(32)", "log = x'00'",
		"sent_at = 1", "received_at = 1", "mac = zeroblob(16)", "mac = x''", "conversation = zeroblob(32)",
		// The same bytes in other columns.
		"body = CAST(body || text AS BLOB), text = ''",
	} {
		db := newStore(t)
		e := entry("a message", 1)
		update(t, db, func(tx *state.Tx) error { insert(t, tx, e); return nil })
		update(t, db, func(tx *state.Tx) error {
			_, err := tx.Exec("UPDATE message SET " + set)
			return err
		})
		db.View(t.Context(), func(tx *state.Tx) error {
			if got, found, err := Get(tx, e.Key()); found || !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("%s: Get: %+v, %v", set, got, err)
			}
			if strings.HasPrefix(set, "conversation") {
				return nil
			}
			if page, err := List(tx, chat, Cursor{}, 10); len(page) != 0 || !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("%s: List: %v, %v", set, page, err)
			}
			for got, err := range All(tx, chat) {
				if !errors.Is(err, state.ErrCorrupt) {
					t.Errorf("%s: All: %v, %v", set, got, err)
				}
			}
			for _, query := range []string{"message", "me"} {
				if found, err := Search(tx, query, 10); len(found) != 0 || !errors.Is(err, state.ErrCorrupt) && !strings.Contains(set, "text = ''") {
					t.Errorf("%s: Search %s: %v, %v", set, query, found, err)
				}
			}
			return nil
		})
		update(t, db, func(tx *state.Tx) error { // what is damaged can still be removed
			if ok, err := Delete(tx, e.Key()); !ok || err != nil {
				t.Errorf("%s: Delete: %v, %v", set, ok, err)
			}
			return nil
		})
	}
}
