package directory

import (
	"os"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
)

// editor changes records behind the rules' back.
type editor struct{ edit func(tx *shard.Tx, n names) }

func (editor) Size() int { return 1 }

type editing struct{ name names }

// Apply implements [shard.Machine].
func (m *editing) Apply(tx *shard.Tx, _ shard.Env, op shard.Op) any {
	op.(editor).edit(tx, m.name)
	return nil
}

// TestR28_CheckFindsWhatIsWrong: each way in which accounts and pools can disagree is found and
// told in words; a sound store has no finding, and other kinds of records none because of one.
func TestR28_CheckFindsWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.person("bob"), w.person("carol")
	w.mustUpload(bob, 0, bob.Packages(t, 3, w.Now()), bob.Draft(0, w.Now()).Package(t))
	w.mustTake(bob, 1)
	w.sound()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	o := owner{bob.ID(), keyserver.DeviceOf(bob.Devices[0]), fixture.Suite}
	account := func(tx *shard.Tx, n names, change func(*accountRecord)) {
		rec, err := load[accountRecord](tx, n.account(bob.ID()))
		if err != nil || rec == nil {
			t.Fatal("no account", err)
		}
		change(rec)
		b, _ := wire.Marshal(rec)
		_ = tx.Set(n.account(bob.ID()), b)
	}
	garbage := []byte{9}
	for _, c := range []struct {
		says string
		edit func(tx *shard.Tx, n names)
	}{
		{"chain does not verify", func(tx *shard.Tx, n names) {
			account(tx, n, func(a *accountRecord) { a.entries[0][len(a.entries[0])-1] ^= 1 })
		}},
		{"devices are not noted as", func(tx *shard.Tx, n names) { account(tx, n, func(a *accountRecord) { a.devices = nil }) }},
		{"does not lead to it", func(tx *shard.Tx, n names) { _ = tx.Delete(n.handle("bob")) }},
		{"leads to no account that has it", func(tx *shard.Tx, n names) {
			id := carol.ID()
			_ = tx.Set(n.handle("nobody"), id[:])
		}},
		{"an account does not decode", func(tx *shard.Tx, n names) { _ = tx.Set(n.account(bob.ID()), garbage) }},
		{"in another's place", func(tx *shard.Tx, n names) {
			b, _, _ := tx.Get(n.account(carol.ID()))
			_ = tx.Set(n.account(bob.ID()), b)
		}},
		{"1 of 3 packages of a pool are missing", func(tx *shard.Tx, n names) { _ = tx.Delete(n.pack(o, 2)) }},
		{"a pool does not decode", func(tx *shard.Tx, n names) { _ = tx.Set(n.pool(o), garbage) }},
		{"in another device's place", func(tx *shard.Tx, n names) {
			b, _, _ := tx.Get(n.pack(o, 1))
			_ = tx.Set(n.pack(owner{carol.ID(), o.device, o.suite}, 1), b)
		}},
		{"the store's day", func(tx *shard.Tx, _ names) { _ = tx.Set(dayKey, garbage) }},
		{"a kind that this version does not know", func(tx *shard.Tx, _ names) { _ = tx.Set([]byte("~"), garbage) }},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(w.cfg.Dir)); err != nil {
			t.Fatal(err)
		}
		m := new(editing)
		s, err := shard.Open(shard.Config{Dir: dir, Key: w.cfg.Key, Machine: m, MinFree: 1})
		if err != nil {
			t.Fatal(err)
		}
		m.name = s.Name
		if _, err := s.Do(t.Context(), editor{c.edit}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var found []string
		err = Check(t.Context(), dir, w.cfg.Key, func(f shard.Finding) { found = append(found, f.What) })
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(found, "\n"), c.says) || len(found) > 3 {
			t.Errorf("want %q, found %q", c.says, found)
		}
	}
}
