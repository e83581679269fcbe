package shard

import (
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The plain test is short.
var flips = flag.Int("flips", 6, "R28: how many bits are flipped in each file")

// restore writes files into an empty folder.
func restore(t testing.TB, dir string, fs map[string]string) {
	t.Helper()
	for name, content := range fs {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestR28_OlderBadgerUnderNewerMark: a store whose data is older than what it answered
// begins a new incarnation above the mark, and says so once.
func TestR28_OlderBadgerUnderNewerMark(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	for id := range uint64(5) {
		do(t, s, put{id: id})
	}
	_ = s.Close()
	old := files(t, dir)
	s, _ = openNotebook(t, dir)
	life := s.Incarnation()
	var high uint64
	for id := range uint64(5) {
		high = do(t, s, put{id: 100 + id}).(uint64)
	}
	_ = s.Close()
	mixed := maps.Clone(old)
	mixed["mark"] = files(t, dir)["mark"]
	dir = t.TempDir()
	restore(t, dir, mixed)
	s, _ = openNotebook(t, dir)
	if s.Incarnation() == life || s.Floor() < high {
		t.Fatalf("incarnation changed: %v, floor %d, answered up to %d", s.Incarnation() != life, s.Floor(), high)
	}
	if n := do(t, s, put{id: 9}).(uint64); n <= high {
		t.Errorf("number %d was answered before the loss", n)
	}
	if got := contents(t, s); len(got) != 6 {
		t.Errorf("what survived: %v", got)
	}
	second, floor := s.Incarnation(), s.Floor()
	_ = s.Close()
	s, _ = openNotebook(t, dir)
	if s.Incarnation() != second || s.Floor() != floor {
		t.Error("the same loss began another incarnation again")
	}
	_ = s.View(func(v *Snapshot) error {
		l := v.Incarnations()
		if len(l) != 2 || l[0].ID != life || l[1].ID != second {
			t.Errorf("incarnations: %d", len(l))
		}
		return nil
	})
}

// TestR28_EvidenceMissing: without a readable mark, or with an operator's word that the
// folder is a backup, the store does not trust what it has.
func TestR28_EvidenceMissing(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	for id := range uint64(4) {
		do(t, s, put{id: id})
	}
	life := s.Incarnation()
	_ = s.Close()
	whole := files(t, dir)
	newest := s.mark.next ^ 1
	flip := func(name string, at int) func(map[string]string) {
		return func(f map[string]string) {
			b := []byte(f[name])
			b[at] ^= 4
			f[name] = string(b)
		}
	}
	for name, c := range map[string]struct {
		change   func(map[string]string)
		restored bool
		same     bool
	}{
		"untouched":          {change: func(map[string]string) {}, same: true},
		"no mark":            {change: func(f map[string]string) { delete(f, "mark") }},
		"mark cut":           {change: func(f map[string]string) { f["mark"] = f["mark"][:50] }},
		"newest slot bad":    {change: flip("mark", newest*slotStride+40), same: true}, // Badger has that batch
		"older slot bad":     {change: flip("mark", (1-newest)*slotStride+40)},
		"manifest tail cut":  {change: func(f map[string]string) { m := f["badger/MANIFEST"]; f["badger/MANIFEST"] = m[:len(m)-3] }},
		"manifest tail torn": {change: func(f map[string]string) { f["badger/MANIFEST"] += "torn?" }},
		"no badger": {change: func(f map[string]string) {
			maps.DeleteFunc(f, func(n, _ string) bool { return n != "mark" })
		}},
		"restored": {change: func(map[string]string) {}, restored: true},
	} {
		t.Run(name, func(t *testing.T) {
			fs := maps.Clone(whole)
			c.change(fs)
			dir := t.TempDir()
			restore(t, dir, fs)
			s, _ := openNotebook(t, dir, func(cfg *Config) { cfg.Restored = c.restored })
			if same := s.Incarnation() == life; same != c.same {
				t.Fatalf("same incarnation: %v, want %v", same, c.same)
			}
			if n := do(t, s, put{id: 9}).(uint64); n <= 4 {
				t.Errorf("number %d was answered before", n)
			}
		})
	}
}

// TestTornMarkIsNoLoss: a crash while a slot is written tears it; Badger has the batch and
// nobody was answered, so nothing is lost and nothing changes.
func TestTornMarkIsNoLoss(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	do(t, s, put{id: 1})
	life := s.Incarnation()
	s.mark.sync = func(f *os.File) error {
		_, _ = f.WriteAt(make([]byte, 60), int64(s.mark.next)*slotStride+30)
		return errors.New("power cut")
	}
	if _, err := s.Do(t.Context(), put{id: 2}); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	_ = s.Close()
	for range 2 {
		s, _ = openNotebook(t, dir)
		if s.Incarnation() != life {
			t.Fatal("a torn slot began another incarnation")
		}
		if got := contents(t, s); len(got) != 2 {
			t.Errorf("contents %v", got)
		}
		_ = s.Close()
	}
}

// TestR28_BitFlips: one flipped bit, or a truncation, anywhere in the folder of a killed
// store: Open fails with a typed error, or a read does, or a new incarnation begins, or
// nothing at all is missing. What is answered is never silently wrong.
func TestR28_BitFlips(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	want := make(map[uint64]uint64)
	for id := range uint64(40) {
		want[do(t, s, put{id: id, size: 300}).(uint64)] = id
	}
	life := s.Incarnation()
	running := files(t, dir) // as SIGKILL leaves it: all data in the write-ahead log
	_ = s.Close()
	closed := files(t, dir) // all data in tables
	outcomes := make(map[string]int)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, fs := range []map[string]string{running, closed} {
		for _, name := range slices.Sorted(maps.Keys(fs)) {
			used := len(trimZeros(fs[name]))
			if used == 0 || name == "badger/LOCK" {
				continue
			}
			for i := range *flips {
				b := []byte(fs[name])
				if i == 0 {
					b = b[:rng.IntN(used)]
				} else {
					b[rng.IntN(used)] ^= 1 << rng.IntN(8)
				}
				damaged := maps.Clone(fs)
				damaged[name] = string(b)
				outcomes[filepath.Ext(name)+" "+damagedOutcome(t, name, damaged, life, want)]++
			}
		}
	}
	t.Log(outcomes)
	if outcomes[".mem new incarnation"] == 0 {
		t.Error("no flip in the write-ahead log was noticed: the test shows nothing")
	}
}

func trimZeros(s string) string {
	for len(s) > 0 && s[len(s)-1] == 0 {
		s = s[:len(s)-1]
	}
	return s
}

// damagedOutcome opens a damaged folder and says how the damage showed.
func damagedOutcome(t *testing.T, name string, fs map[string]string, life [16]byte, want map[uint64]uint64) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	restore(t, dir, fs)
	defer os.RemoveAll(dir)
	m := new(notebook)
	s, err := Open(Config{Dir: dir, Key: Key{1}, Machine: m, MinFree: 1})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrWrongKey) {
			t.Errorf("%s: Open: untyped error %v", name, err)
		}
		return "refused"
	}
	defer s.Close()
	m.s = s
	if s.Incarnation() != life {
		if n, err := s.Do(t.Context(), put{id: 9}); err == nil && n.(uint64) <= 40 {
			t.Errorf("%s: number %d answered twice", name, n)
		}
		return "new incarnation"
	}
	got := make(map[uint64]uint64)
	prefix := s.Name(1)
	err = s.View(func(v *Snapshot) error {
		for n := range want {
			b, ok, err := v.Get(append(prefix[:len(prefix):len(prefix)], u64(n)...))
			if err != nil {
				return err
			}
			if ok {
				got[n] = uint64(b[7])
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrCorrupt):
		return "read refused"
	case err != nil:
		t.Errorf("%s: untyped error %v", name, err)
	case !maps.Equal(got, want):
		t.Errorf("%s: silently wrong: %d of %d there", name, len(got), len(want))
	}
	return "harmless"
}
