package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestScansAmongManyWrites: however many keys a batch has written since they were last put in
// order, a scan meets those of its prefix, each once and in order, the rewritten, the deleted and
// the undone ones too.
func TestScansAmongManyWrites(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), Key: Key{3}, Machine: scripted{}, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 2))
	model := make(map[string]string)
	var ops []Op
	for i := range 40 {
		ops = append(ops, script(func(tx *Tx) {
			before := maps.Clone(model)
			for range random.IntN(maxUnsorted) {
				key := fmt.Sprintf("%c%03d", 'k'+rune(random.IntN(3)), random.IntN(400))
				if random.IntN(4) == 0 {
					_ = tx.Delete([]byte(key))
					delete(model, key)
				} else {
					_ = tx.Set([]byte(key), []byte(key+"!"))
					model[key] = key + "!"
				}
			}
			if i%5 == 4 {
				_ = tx.Fail(ErrCorrupt)
			}
			prefix, from := string('k'+rune(random.IntN(3))), fmt.Sprintf("l%03d", random.IntN(400))
			var got, want []string
			_ = tx.Scan([]byte(prefix), []byte(from), func(key, value []byte) bool {
				got = append(got, string(key)+"="+string(value))
				return true
			})
			for key, value := range model {
				if strings.HasPrefix(key, prefix) && key >= from {
					want = append(want, key+"="+value)
				}
			}
			if slices.Sort(want); !slices.Equal(got, want) && !(len(got) == 0 && len(want) == 0) {
				t.Errorf("operation %d: %d of %q from %q, want %d", i, len(got), prefix, from, len(want))
			}
			if i%5 == 4 {
				model = before
			}
		}))
	}
	runTogether(s, ops)
}
