package shard

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// ATTACKS R25: killed while a table was being written. The manifest does not list it yet,
// its content is still in the write-ahead log, and it is no damage, whatever is in it.
func TestR25_KilledWhileWritingATable(t *testing.T) {
	for name, table := range map[string][]byte{"empty": {}, "zeros": make([]byte, 4096), "half": []byte("a table's first block")} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := openNotebook(t, dir)
			want := make(map[uint64]uint64)
			for id := range uint64(5) {
				want[do(t, s, put{id: id}).(uint64)] = id
			}
			life := s.Incarnation()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "badger", "000999.sst"), table, 0o600); err != nil {
				t.Fatal(err)
			}
			s, _ = openNotebook(t, dir)
			if got := contents(t, s); !maps.Equal(got, want) {
				t.Errorf("after reopening: %v, want %v", got, want)
			}
			if s.Incarnation() != life {
				t.Error("a table that was never finished began another incarnation")
			}
		})
	}
}

// ATTACKS R25: killed between creating a log and giving it its size. Nothing was ever in it.
func TestR25_KilledWhileBeginningALog(t *testing.T) {
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := openNotebook(t, dir)
			want := map[uint64]uint64{do(t, s, put{id: 1}).(uint64): 1}
			life := s.Incarnation()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "badger", name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s, _ = openNotebook(t, dir)
			if got := contents(t, s); !maps.Equal(got, want) {
				t.Errorf("after reopening: %v, want %v", got, want)
			}
			if s.Incarnation() != life {
				t.Error("a log that was never begun began another incarnation")
			}
		})
	}
}
