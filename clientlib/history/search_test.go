package history

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/clientlib/internal/state"
)

func find(t testing.TB, tx *state.Tx, query string) string {
	t.Helper()
	found, err := Search(tx, query, 0)
	if err != nil {
		t.Errorf("%q: %v", query, err)
	}
	var texts []string
	for _, e := range found {
		texts = append(texts, e.Text)
	}
	return strings.Join(texts, " | ")
}

func TestSearchEveryScript(t *testing.T) {
	texts := []string{
		"Grüße aus Köln", "我们明天去北京吃烤鸭", "東京タワーで会いましょう", "안녕하세요 여러분", "السَّلامُ عليكم يا أحمد",
		"می\u200cخواهم بروم", "שָׁלוֹם עולם", "Привет, Ёжик", "สวัสดีครับ", "नमस्ते दुनिया", "party 🥳🎉 ok", "👨\u200d👩\u200d👧 family", "I ❤\ufe0f Go",
		`she said "hi" to 'me'`, `a AND b OR NOT c`, `x* ^y -z (q) {w} col:um`, "NEAR(a b, 5)", "100% _sure_ \\ back", "two\n\tlines", "ＦＵＬＬ width", "e\u0301cole",
		"Ὀδυσσεύς",
	}
	db := newStore(t)
	update(t, db, func(tx *state.Tx) error {
		for i, text := range texts {
			insert(t, tx, entry(text, uint64(i+1)))
		}
		return nil
	})
	cases := map[string]string{ // query: the text that it finds, alone
		"grüsse": "", "GRÜßE": texts[0], "koln": texts[0], "Ko\u0308ln": texts[0],
		"北京": texts[1], "明天去北京": texts[1], "京吃": texts[1], "鸭": texts[1], "タワー": texts[2], "東京": texts[2],
		"하세요": texts[3], "안녕": texts[3], "\u1112\u1161세요": texts[3],
		"السلام": texts[4], "احمد": texts[4], "يا": texts[4], "میخواهم": texts[5], "שלום": texts[6], "привет": texts[7], "ежик": texts[7], "ЁЖ": texts[7],
		"สวัส": texts[8], "नमस्ते": texts[9], "🥳🎉": texts[10], "🥳": texts[10], "🥳🎉 ok": texts[10], "👨👩👧": texts[11], "❤": texts[12], "❤ go": texts[12],
		`"hi"`: texts[13], `"`: texts[13], `'me'`: texts[13], `said "hi" to`: texts[13],
		"a AND b": texts[14], "AND": texts[14], "b OR NOT": texts[14], "AND NOT": "", "b a": "",
		"x*": texts[15], "x* ^y -z": texts[15], "(q) {w}": texts[15], "col:um": texts[15], "text:um": "", "gr*": "", "grü*": "",
		"NEAR(a b, 5)": texts[16], "100%": texts[17], "_sure_": texts[17], `\ back`: texts[17], "%": texts[17], "1%0": "",
		"two lines": texts[18], " TWO  LINES ": texts[18], "full WIDTH": texts[19], "ecole": texts[20], "ÉCOLE": texts[20], "οδυσσευσ": texts[21],
		`" OR "x`: "", `') OR 1=1 --`: "", "\x00": "", "": "", "   ": "", "\u200b": "", "\xff\xfe\xfd": "",
	}
	db.View(t.Context(), func(tx *state.Tx) error {
		for query, want := range cases {
			if got := find(t, tx, query); got != want {
				t.Errorf("%q finds %q, want %q", query, got, want)
			}
		}
		for _, text := range texts {
			for i := range text { // every part of every text finds it
				for _, j := range []int{i + 9, i + 24} {
					part := strings.ToValidUTF8(text[i:min(j, len(text))], "")
					if strings.TrimSpace(fold(part)) != "" && !strings.Contains(find(t, tx, part), text) {
						t.Errorf("%q is not found by %q", text, part)
					}
				}
			}
		}
		if _, err := Search(tx, strings.Repeat("x", maxQuery+1), 0); !errors.Is(err, ErrQuery) {
			t.Errorf("long query: %v", err)
		}
		return nil
	})
}

func TestSearchNewestFirst(t *testing.T) {
	db := newStore(t)
	update(t, db, func(tx *state.Tx) error {
		for i, text := range []string{"pizza one", "pasta", "pizza two", "pi"} {
			e := entry(text, uint64(i+1))
			if i%2 == 0 {
				e.Conversation = otherChat
			}
			insert(t, tx, e)
		}
		if got := find(t, tx, "pizza"); got != "pizza two | pizza one" {
			t.Errorf("pizza: %s", got)
		}
		if got := find(t, tx, "pi"); got != "pi | pizza two | pizza one" {
			t.Errorf("pi: %s", got)
		}
		if found, err := Search(tx, "pi", 2); err != nil || len(found) != 2 || found[1].Text != "pizza two" {
			t.Errorf("two of them: %v, %v", found, err)
		}
		return nil
	})
}

// Deleting a message leaves none of its words in the index.
func TestDeleteRemovesFromIndex(t *testing.T) {
	db := newStore(t)
	secret, other := entry("Zanzibar is the secret", 1), entry("nothing to see", 2)
	update(t, db, func(tx *state.Tx) error { insert(t, tx, secret); insert(t, tx, other); return nil })
	update(t, db, func(tx *state.Tx) error {
		if ok, err := Delete(tx, secret.Key()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ok, err := Delete(tx, secret.Key()); ok || err != nil {
			t.Errorf("deleted twice: %v, %v", ok, err)
		}
		return nil
	})
	update(t, db, func(tx *state.Tx) error {
		for _, query := range []string{"zanzibar", "za", "secret"} {
			if got := find(t, tx, query); got != "" {
				t.Errorf("%q finds %q", query, got)
			}
		}
		if got := find(t, tx, "nothing"); got != other.Text {
			t.Errorf("the other message: %q", got)
		}
		if _, err := tx.Exec("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, message_index, row)"); err != nil {
			return err
		}
		terms := 0
		for row, err := range tx.Query("SELECT term FROM temp.words") {
			if err != nil {
				return err
			}
			if terms++; !strings.Contains(fold(other.Text), row.Text(0)) {
				t.Errorf("the index still holds %q", row.Text(0))
			}
		}
		if terms == 0 {
			t.Error("the index is empty")
		}
		for row, err := range tx.Query("SELECT block FROM message_index_data") {
			if err != nil || bytes.Contains(row.Bytes(0), []byte("ZAN")) || bytes.Contains(row.Bytes(0), []byte("ANZ")) {
				t.Errorf("the words are still stored, or %v", err)
			}
		}
		// The same message may come again, as from a backup.
		insert(t, tx, secret)
		if got := find(t, tx, "zanzibar"); got != secret.Text {
			t.Errorf("inserted again, it finds %q", got)
		}
		return nil
	})
}

// A peer cannot make everyone index half a megabyte; what is not indexed is kept all the same.
func TestLongTextsAreIndexedInPart(t *testing.T) {
	db := newStore(t)
	long := entry(strings.Repeat("界", maxIndexed/3)+"needle", 1)
	near := entry("needle "+strings.Repeat("x", maxIndexed), 2)
	update(t, db, func(tx *state.Tx) error {
		insert(t, tx, long)
		insert(t, tx, near)
		if got := find(t, tx, "needle"); got != near.Text {
			t.Errorf("found %d octets", len(got))
		}
		if e, _, err := Get(tx, long.Key()); err != nil || e.Text != long.Text {
			t.Errorf("%d octets kept, %v", len(e.Text), err)
		}
		return nil
	})
}

func FuzzSearchIsLiteral(f *testing.F) {
	for _, s := range []string{`"`, `a"b`, "AND OR NOT", "x*", "a:b", "^-+", "(", "NEAR(a)", "界界界", "\x00\xff", "e\u0301e\u0301e\u0301"} {
		f.Add("some "+s+" text", s)
	}
	db := newStore(f)
	f.Fuzz(func(t *testing.T, text, query string) {
		if len(query) > maxQuery || len(text) > maxIndexed {
			return
		}
		rollback := errors.New("done")
		err := db.Update(t.Context(), func(tx *state.Tx) error {
			insert(t, tx, entry(text, 1))
			folded := strings.TrimSpace(fold(query))
			want := folded != "" && strings.Contains(fold(text), folded)
			found, err := Search(tx, query, 0)
			if err != nil || (len(found) == 1) != want {
				t.Fatalf("%q in %q: %v, %v, want %v", query, text, found, err, want)
			}
			return rollback
		})
		if err != rollback {
			t.Fatal(err)
		}
	})
}
