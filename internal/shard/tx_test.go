package shard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"pgregory.net/rapid"
)

// script is an operation made of a function.
type script func(tx *Tx)

func (script) Size() int { return 1 }

// foreseeing is a script that names keys, whether it gets them or not.
type foreseeing struct {
	script
	keys [][]byte
}

func (f foreseeing) Foresee(get func(key []byte)) {
	var one []byte
	for _, key := range f.keys {
		one = append(one[:0], key...)
		get(one)
	}
}

type scripted struct{}

func (scripted) Apply(tx *Tx, _ Env, op Op) any {
	if f, ok := op.(foreseeing); ok {
		op = f.script
	}
	op.(script)(tx)
	return nil
}

// TestTxSeesItsOwnWrites: over several batches of operations, some of which fail, reads and
// scans agree with a map, however little is kept of what was read before.
func TestTxSeesItsOwnWrites(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := t.TempDir()
		s, err := Open(Config{Dir: dir, Key: Key{3}, Machine: scripted{}, MinFree: 1})
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		s.recent.most = rapid.SampledFrom([]int{0, 100, 300, 700, maxRecent}).Draw(r, "kept") // nothing runs yet
		model := make(map[string]string)
		key := rapid.StringMatching(`k[abc]{0,2}`)
		for range rapid.IntRange(1, 12).Draw(r, "batches") {
			var ops []Op
			for range rapid.IntRange(1, 4).Draw(r, "ops") {
				var keys [][]byte
				for _, k := range rapid.SliceOfN(key, 0, 8).Draw(r, "foreseen") {
					keys = append(keys, []byte(k))
				}
				for i := range rapid.IntRange(0, 2*minForeseen).Draw(r, "foreseen and absent") {
					keys = append(keys, fmt.Appendf(nil, "z%d", i))
				}
				ops = append(ops, foreseeing{drawOp(r, model, key), keys})
			}
			runTogether(s, ops)
		}
		_ = s.View(func(v *Snapshot) error { checkState(r, v, model, "", ""); return nil })
	})
}

// drawOp draws an operation and applies it to the model as well.
func drawOp(r *rapid.T, model map[string]string, key *rapid.Generator[string]) script {
	type step struct{ k, v, prefix, from string }
	var steps []step
	fails := rapid.Bool().Draw(r, "fails")
	next := maps.Clone(model)
	var states []map[string]string
	for range rapid.IntRange(1, 5).Draw(r, "steps") {
		st := step{k: key.Draw(r, "k"), v: rapid.StringMatching(`[xyz]?`).Draw(r, "v"), prefix: key.Draw(r, "prefix"), from: key.Draw(r, "from")}
		if next[st.k] = st.v; st.v == "" {
			delete(next, st.k)
		}
		steps, states = append(steps, st), append(states, maps.Clone(next))
	}
	if !fails {
		maps.Copy(model, next)
		maps.DeleteFunc(model, func(k, _ string) bool { _, ok := next[k]; return !ok })
	}
	return func(tx *Tx) {
		for i, st := range steps {
			if st.v == "" {
				_ = tx.Delete([]byte(st.k))
			} else {
				_ = tx.Set([]byte(st.k), []byte(st.v))
			}
			checkState(r, tx, states[i], st.prefix, st.from)
		}
		if fails {
			_ = tx.Delete(nil)
		}
	}
}

// runTogether submits operations so that they can share a batch, and waits.
func runTogether(s *Store, ops []Op) {
	done := make(chan struct{}, len(ops))
	for _, op := range ops {
		s.Submit(op, func(any, error) { done <- struct{}{} })
	}
	for range ops {
		<-done
	}
}

func checkState(r *rapid.T, rd Reader, want map[string]string, prefix, from string) {
	for k, v := range want {
		if got, ok, err := rd.Get([]byte(k)); err != nil || !ok || string(got) != v {
			r.Errorf("Get(%q) = %q %v %v, want %q", k, got, ok, err, v)
		}
	}
	for _, k := range []string{"k", "ka", "kab", "kbc", "kcc"} {
		if got, ok, err := rd.Get([]byte(k)); err != nil || ok != (want[k] != "") {
			r.Errorf("Get(%q) = %q %v %v, want %q", k, got, ok, err, want[k])
		}
	}
	var keys, got []string
	for k := range want {
		if strings.HasPrefix(k, prefix) && k >= from {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if prefix == "" {
		prefix = "k"
	}
	_ = rd.Scan([]byte(prefix), []byte(from), func(k, v []byte) bool {
		got = append(got, string(k))
		if want[string(k)] != string(v) {
			r.Errorf("Scan gives %q = %q, want %q", k, v, want[string(k)])
		}
		return true
	})
	if !slices.Equal(got, keys) {
		r.Errorf("Scan(%q, %q) = %q, want %q", prefix, from, got, keys)
	}
}

// TestTxOnTopOfABatchBeingStored: the same for batches that are applied while the one below is
// on its way to the disk, has just become visible, or was there before; nothing of a batch is
// stored with another.
func TestTxOnTopOfABatchBeingStored(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s, err := Open(Config{Dir: t.TempDir(), Key: Key{3}, Machine: scripted{}, MinFree: 1})
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		var gate chan struct{}
		defer func() {
			if gate != nil {
				select {
				case <-gate:
				default:
					close(gate)
				}
			}
		}()
		s.recent.most = rapid.SampledFrom([]int{0, 100, 200, 300, maxRecent}).Draw(r, "kept")
		commit := s.commit
		s.commit = func(txn *badger.Txn, batch uint64) error {
			<-gate
			return commit(txn, batch)
		}
		key := rapid.StringMatching(`k[abc]{0,2}`)
		model, lower := make(map[string]string), make(map[string]string) // lower is without the batch that is being stored
		var below *staged
		// What run does, one step after the other: nothing is submitted, so it sleeps.
		for range rapid.IntRange(1, 30).Draw(r, "batches") {
			before := maps.Clone(model)
			var items []item
			for range rapid.IntRange(1, 2).Draw(r, "ops") {
				op := foreseeing{script: drawOp(r, model, key)}
				for _, k := range rapid.SliceOfN(key, 0, 8).Draw(r, "foreseen") {
					op.keys = append(op.keys, []byte(k))
				}
				items = append(items, item{op, func(any, error) {}})
			}
			if below != nil && rapid.Bool().Draw(r, "visible before") {
				close(gate)
				<-below.stored
			} else {
				_ = s.View(func(v *Snapshot) error { checkState(r, v, lower, "", ""); return nil })
			}
			next := s.stage(items, below)
			if below != nil {
				select {
				case <-below.stored:
				default:
					close(gate)
					<-below.stored
				}
				s.recent.committed(below.tx)
			}
			gate = make(chan struct{})
			if below = s.storeNext(next); below != nil {
				lower = before
			} else {
				lower = maps.Clone(model)
			}
		}
		if below != nil {
			close(gate)
			<-below.stored
		}
		_ = s.View(func(v *Snapshot) error { checkState(r, v, model, "", ""); return nil })
	})
}

// TestForeseenBelow: what is read ahead of a record that the batch below has changed is not what
// a later batch gets.
func TestForeseenBelow(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), Key: Key{3}, Machine: scripted{}, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := []byte("k")
	set := func(k, v string) Op { return script(func(tx *Tx) { _ = tx.Set([]byte(k), []byte(v)) }) }
	runTogether(s, []Op{set("k", "first")})
	gate, commit := make(chan struct{}), s.commit
	s.commit = func(txn *badger.Txn, batch uint64) error {
		<-gate
		return commit(txn, batch)
	}
	stage := func(op Op, below *staged) *staged { return s.stage([]item{{op, func(any, error) {}}}, below) }
	lower := s.storeNext(stage(set("k", "second"), nil))
	upper := stage(foreseeing{set("other", "x").(script), [][]byte{key}}, lower)
	close(gate)
	<-lower.stored
	s.recent.committed(lower.tx)
	upper = s.storeNext(upper)
	<-upper.stored
	s.recent.committed(upper.tx)
	var got []byte
	runTogether(s, []Op{script(func(tx *Tx) { got, _, _ = tx.Get(key) })})
	if string(got) != "second" {
		t.Errorf("a later batch gets %q", got)
	}
}
