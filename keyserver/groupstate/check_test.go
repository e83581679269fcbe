package groupstate

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/shard"
)

// editor changes records behind the rules' back.
type editor struct{ edit func(tx *shard.Tx) }

func (editor) Size() int { return 1 }

type editing struct{}

// Apply implements [shard.Machine].
func (editing) Apply(tx *shard.Tx, _ shard.Env, op shard.Op) any { op.(editor).edit(tx); return nil }

// TestR28_CheckFindsWhatIsWrong: each way in which chunks and counts can disagree is found.
func TestR28_CheckFindsWhatIsWrong(t *testing.T) {
	for says, edit := range map[string]func(*shard.Store, *shard.Tx, [][]byte){
		"a chunk is another than": func(s *shard.Store, tx *shard.Tx, hashes [][]byte) {
			_ = tx.Set(s.Name(kindChunk, hashes[0]), []byte("anothe"))
		},
		"a chunk that was put is missing": func(s *shard.Store, tx *shard.Tx, hashes [][]byte) {
			_ = tx.Delete(s.Name(kindChunk, hashes[0]))
		},
		"no day on which it was put": func(s *shard.Store, tx *shard.Tx, hashes [][]byte) {
			_ = tx.Delete(s.Name(kindDay, hashes[1]))
		},
		"and 77 is noted": func(s *shard.Store, tx *shard.Tx, _ [][]byte) {
			_ = tx.Set(s.Name(kindTotal), []byte{0, 0, 0, 0, 0, 0, 0, 77})
		},
		"a day cannot be read": func(_ *shard.Store, tx *shard.Tx, _ [][]byte) { _ = tx.Set(dayKey, []byte{1}) },
		"a kind that this version does not know": func(_ *shard.Store, tx *shard.Tx, _ [][]byte) {
			_ = tx.Set([]byte("~"), nil)
		},
	} {
		cfg := Config{Dir: t.TempDir(), Key: shard.Key{1}, MinFree: 1}
		s := open(t, cfg)
		var hashes [][]byte
		for _, chunk := range []string{"chunk1", "chunk2"} {
			h := put(t, s, []byte(chunk))
			hashes = append(hashes, h[:])
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		raw, err := shard.Open(shard.Config{Dir: cfg.Dir, Key: cfg.Key, Machine: editing{}, MinFree: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Do(t.Context(), editor{func(tx *shard.Tx) { edit(raw, tx, hashes) }}); err != nil {
			t.Fatal(err)
		}
		if err := raw.Close(); err != nil {
			t.Fatal(err)
		}
		var found []string
		if err := Check(t.Context(), cfg.Dir, cfg.Key, func(f shard.Finding) { found = append(found, f.What) }); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(found, "\n"), says) || len(found) > 2 {
			t.Errorf("want %q, found %q", says, found)
		}
	}
}
