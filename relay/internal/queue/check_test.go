package queue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// editor changes records behind the rules' back.
type editor struct{ edit func(tx *shard.Tx) }

func (editor) Size() int { return 1 }

// Apply implements [shard.Machine].
func (e *editor) Apply(tx *shard.Tx, _ shard.Env, _ shard.Op) any { e.edit(tx); return nil }

// edit changes a store that is closed.
func (r *rig) edit(fn func(tx *shard.Tx)) {
	r.Helper()
	e := &editor{fn}
	s, err := shard.Open(shard.Config{Dir: r.dir, Key: r.cfg.StorageKey, Machine: e, MinFree: 1, Clock: r.cfg.Clock})
	if err != nil {
		r.Fatal(err)
	}
	if _, err := s.Do(r.Context(), e); err != nil {
		r.Fatal(err)
	}
	if err := s.Close(); err != nil {
		r.Fatal(err)
	}
}

// change decodes a record, has it changed, and writes it.
func change[T any, P interface {
	*T
	wire.Marshaler
	wire.Unmarshaler
}](t testing.TB, tx *shard.Tx, key []byte, fn func(P)) {
	t.Helper()
	value, ok, err := tx.Get(key)
	if !ok || err != nil {
		t.Fatalf("no record %x: %v", key, err)
	}
	rec := P(new(T))
	if err := wire.Unmarshal(value, rec); err != nil {
		t.Fatal(err)
	}
	fn(rec)
	value, err = wire.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	_ = tx.Set(key, value)
}

// findings checks a store that is closed.
func (r *rig) findings() (found []string) {
	r.Helper()
	err := Check(r.Context(), r.dir, r.cfg.StorageKey, r.cfg.Blobs, func(f shard.Finding) {
		if f.Where == "" || f.Means == "" {
			r.Errorf("a finding without place or meaning: %+v", f)
		}
		found = append(found, f.Where+": "+f.What)
	})
	if err != nil {
		r.Fatal(err)
	}
	return found
}

// upload stores a blob that is what its hash says.
func (r *rig) upload(q relay.QueueID, who string, b []byte) relay.Hash {
	r.Helper()
	hash := relay.Hash(sha256.Sum256(b))
	stored := make(chan BlobAnswer, 1)
	r.StoreBlob(new(Flow), &relay.StoreBlob{Queue: q, Key: key(who), Blob: hash, Size: uint64(len(b))}, func(a BlobAnswer) { stored <- a })
	a := <-stored
	if a.Err != nil {
		r.Fatal(a.Err)
	}
	u, _, err := r.cfg.Blobs.Begin(a.Name, int64(len(b)))
	if err == nil {
		err = u.Write(b, 0)
	}
	if err == nil {
		err = u.Finish(hash)
	}
	if err != nil {
		r.Fatal(err)
	}
	finished := make(chan *relay.Refusal, 1)
	r.FinishBlob(new(Flow), a.Name, func(refusal *relay.Refusal) { finished <- refusal })
	if refusal := <-finished; refusal != nil {
		r.Fatal(refusal)
	}
	return hash
}

// digest is one hash of all files of a folder.
func digest(t testing.TB, dir string) [32]byte {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path, len(b))
		sum.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(sum.Sum(nil))
}

// lived is a closed store with some of everything: a group whose log has a gap, commits, a blob
// that one of them names, tickets and a removed reader; and an inbox with contacts and strangers.
func lived(t *testing.T) (r *rig, group, inbox []byte, file string) {
	blobs := t.TempDir()
	files, err := blob.Open(blob.Config{Dir: blobs, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	r = newRig(t, func(c *Config) { c.Blobs = files })
	g := r.group("g", "alice", "bob", "carol")
	r.must(r.append(g, "w0", "one"))
	r.must(r.append(g, "w0", "two"))
	for _, who := range []string{"alice", "bob", "carol"} {
		r.Ack(g, key(who), 2)
	}
	r.flushAcks()
	b := r.upload(g, "alice", []byte("sealed bytes"))
	c := r.commit(g, "alice", relay.Position{}, "w1", "dave")
	c.Blobs = []relay.Hash{b}
	r.must(c)
	for i := range 4 {
		r.must(r.append(g, "w1", fmt.Sprint("m", i)))
	}
	r.must(r.configure(g, "admin", relay.RemoveReader{Key: key("carol")}))
	i := r.inbox("i")
	r.must(r.configure(i, "admin", relay.AddWriter{Key: key("contact")}))
	r.must(r.append(i, "contact", "hello"))
	r.must(r.append(i, "request", "a stranger's"))
	r.must(r.append(i, "request", "another's"))
	group, inbox = queueName(r.shard, g), queueName(r.shard, i)
	if err := r.Store.Close(); err != nil {
		t.Fatal(err)
	}
	list, err := filepath.Glob(filepath.Join(blobs, "*"))
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return r, group, inbox, list[0]
}

// wrong is one way in which a store's records disagree, and what a check says of it.
type wrong struct {
	says string
	edit func(tx *shard.Tx)
}

func recordOf(kind byte, name []byte) []byte { return append([]byte{kind}, name...) }

func seqRecord(kind byte, name []byte, seq uint64) []byte { return seqKey(recordOf(kind, name), seq) }

func firstRecord(tx *shard.Tx, prefix []byte) (key []byte) {
	_ = tx.Keys(prefix, nil, func(k []byte) bool { key = k; return false })
	return key
}

var garbage = []byte{9, 9}

// wrongLogs are those of a queue's header and log.
func wrongLogs(t *testing.T, group, inbox []byte) []wrong {
	return []wrong{
		{"entries 5 to 5 are missing", func(tx *shard.Tx) { _ = tx.Delete(seqRecord(kindEntry, group, 5)) }},
		{"entries 7 to 7 are missing", func(tx *shard.Tx) { _ = tx.Delete(seqRecord(kindEntry, group, 7)) }},
		{"entries 1 to 2 are missing", func(tx *shard.Tx) { _ = tx.Delete(seqRecord(kindGap, group, 2)) }},
		{"entry 5 does not follow", func(tx *shard.Tx) {
			change(t, tx, seqRecord(kindEntry, group, 5), func(e *entry) { e.Envelope[0] ^= 1 })
		}},
		{"entry 5 cannot be read", func(tx *shard.Tx) { _ = tx.Set(seqRecord(kindEntry, group, 5), garbage) }},
		{"entry 7 lies above its head", func(tx *shard.Tx) { change(t, tx, recordOf(kindHeader, group), func(h *header) { h.Seq = 6 }) }},
		{"its head is not what", func(tx *shard.Tx) { change(t, tx, recordOf(kindHeader, group), func(h *header) { h.Chain[0] ^= 1 }) }},
		{"header cannot be read", func(tx *shard.Tx) { _ = tx.Set(recordOf(kindHeader, group), garbage) }},
		{"header is missing", func(tx *shard.Tx) { _ = tx.Delete(recordOf(kindHeader, inbox)) }},
		{"state that this version does not know", func(tx *shard.Tx) { change(t, tx, recordOf(kindHeader, group), func(h *header) { h.State = 77 }) }},
		{"numbers contradict each other", func(tx *shard.Tx) { change(t, tx, recordOf(kindHeader, group), func(h *header) { h.Swept = 99 }) }},
		{"header names a life", func(tx *shard.Tx) {
			change(t, tx, recordOf(kindHeader, group), func(h *header) { h.Incarnation[0] ^= 1 })
		}},
		{"admins and limits", func(tx *shard.Tx) { _ = tx.Delete(recordOf(kindAuthority, group)) }},
		{"admins and limits", func(tx *shard.Tx) { _ = tx.Set(recordOf(kindAuthority, inbox), garbage) }},
		{"lies in a gap", func(tx *shard.Tx) {
			var g gap
			v, _, _ := tx.Get(seqRecord(kindGap, group, 2))
			_ = wire.Unmarshal(v, &g)
			b, _ := wire.Marshal(&g)
			_ = tx.Set(seqRecord(kindGap, group, 4), b)
		}},
		{"gap that ends at 2 cannot be read", func(tx *shard.Tx) { _ = tx.Set(seqRecord(kindGap, group, 2), garbage) }},
		{"names a life that the store never had", func(tx *shard.Tx) {
			change(t, tx, seqRecord(kindGap, group, 2), func(g *gap) { g.Incarnation[3] ^= 1 })
		}},
		{"is not the last commit", func(tx *shard.Tx) {
			change(t, tx, recordOf(kindHeader, group), func(h *header) { h.LastCommit.Seq = 4 })
		}},
		{"names its reader, and names none", func(tx *shard.Tx) {
			change(t, tx, seqRecord(kindEntry, group, 3), func(e *entry) { e.Reader = nil })
		}},
		{"its header counts 6 with", func(tx *shard.Tx) { change(t, tx, recordOf(kindHeader, group), func(h *header) { h.Entries++ }) }},
	}
}

// wrongPlaces are those of readers, writers and blobs, and of what belongs to no queue.
func wrongPlaces(t *testing.T, group, inbox []byte) []wrong {
	return []wrong{
		{"1 of 3 entries from strangers are missing", func(tx *shard.Tx) {
			change(t, tx, recordOf(kindHeader, inbox), func(h *header) { h.Requests = append(h.Requests, 9) })
		}},
		{"a reader's record cannot be read", func(tx *shard.Tx) { _ = tx.Set(firstRecord(tx, recordOf(kindReader, inbox)), garbage) }},
		{"a reader stands beyond its head", func(tx *shard.Tx) {
			change(t, tx, firstRecord(tx, recordOf(kindReader, inbox)), func(p *reader) { p.Acked = 99 })
		}},
		{"readers and tickets and counts 8", func(tx *shard.Tx) {
			change(t, tx, recordOf(kindAuthority, inbox), func(a *authority) { a.Readers = 8 })
		}},
		{"contact writers and counts 7", func(tx *shard.Tx) {
			change(t, tx, recordOf(kindAuthority, inbox), func(a *authority) { a.Writers = 7 })
		}},
		{"contact writer's record", func(tx *shard.Tx) { _ = tx.Set(firstRecord(tx, recordOf(kindWriter, inbox)), garbage) }},
		{"parts of its log from earlier lives", func(tx *shard.Tx) {
			change(t, tx, recordOf(kindAuthority, group), func(a *authority) { a.Segments = []segment{{Base: 5, Last: 4}} })
		}},
		{"its header says 0", func(tx *shard.Tx) { change(t, tx, recordOf(kindHeader, group), func(h *header) { h.Blobs = 0 }) }},
		{"all blobs count for", func(tx *shard.Tx) { _ = tx.Delete([]byte{kindStored}) }},
		{"a blob's record cannot be read", func(tx *shard.Tx) { _ = tx.Set(firstRecord(tx, []byte{kindBlob}), garbage) }},
		{"1 commits name a blob that counts 4", func(tx *shard.Tx) {
			change(t, tx, firstRecord(tx, []byte{kindBlob}), func(b *blobRecord) { b.Pins = 4 })
		}},
		{"a blob that has no record", func(tx *shard.Tx) { _ = tx.Delete(firstRecord(tx, []byte{kindBlob})) }},
		{"the record does not decode", func(tx *shard.Tx) { _ = tx.Set(firstRecord(tx, []byte{kindShort}), garbage) }},
		{"the record does not decode", func(tx *shard.Tx) { _ = tx.Set([]byte{kindMeta}, garbage) }},
		{"of a kind that this version does not know", func(tx *shard.Tx) { _ = tx.Set([]byte("zebra"), garbage) }},
	}
}

// TestR28_CheckFindsWhatIsWrong: each way in which records can disagree is found and told in
// words, whether the store is open or not; and a check changes nothing.
func TestR28_CheckFindsWhatIsWrong(t *testing.T) {
	r, group, inbox, file := lived(t)
	r.spoilt = true
	if found := r.findings(); len(found) > 0 {
		t.Fatalf("in a sound store: %q", found)
	}
	whole := r.dir
	for _, c := range append(wrongLogs(t, group, inbox), wrongPlaces(t, group, inbox)...) {
		r.dir = t.TempDir()
		copyDir(t, whole, r.dir)
		r.edit(c.edit)
		before := digest(t, r.dir)
		found := r.findings()
		if !strings.Contains(strings.Join(found, "\n"), c.says) {
			t.Errorf("not found: %q; found %q", c.says, found)
		}
		if n := len(found); n > 6 {
			t.Errorf("%q: one thing wrong makes %d findings: %q", c.says, n, found)
		}
		if digest(t, r.dir) != before {
			t.Errorf("%q: the check has changed files", c.says)
		}
	}
	r.dir = whole
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for says, damage := range map[string]func() error{
		"bytes of a blob are damaged": func() error { return os.WriteFile(file, append([]byte{1}, b[1:]...), 0o600) },
		"missing, or of another size": func() error { return os.Truncate(file, 3) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if found := r.findings(); len(found) != 1 || !strings.Contains(found[0], says) {
			t.Errorf("%s: found %q", says, found)
		}
	}
}

// TestR28_CheckFindsWhatDoesNotOpen: a value in the place of another, which only its seal tells.
func TestR28_CheckFindsWhatDoesNotOpen(t *testing.T) {
	r, group, _, _ := lived(t)
	r.spoilt = true
	db, err := badger.OpenManaged(shard.Options(filepath.Join(r.dir, "badger")).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	version := db.MaxVersion()
	txn := db.NewTransactionAt(version, true)
	prefix := append([]byte{kindEntry}, group...)
	item, err := txn.Get(seqKey(prefix, 5))
	if err != nil {
		t.Fatal(err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := txn.Set(seqKey(prefix, 6), value); err != nil {
		t.Fatal(err)
	}
	if err := txn.CommitAt(version, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if found := r.findings(); len(found) == 0 || !strings.Contains(found[0], "entry 6 cannot be read") {
		t.Errorf("found %q", found)
	}
}

// TestCheckOfARunningStore: writing goes on, and the check sees one moment.
func TestCheckOfARunningStore(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = r.try(r.append(q, "w0", "m"))
			}
		}
	}()
	for range 20 {
		if err := r.Check(t.Context(), nil, func(f shard.Finding) { t.Errorf("%+v", f) }); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-ended
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Check(ctx, nil, func(shard.Finding) {}); err == nil {
		t.Error("a check that was called off says that all is well")
	}
}

// TestCheckHoldsBlobs: a sweep for which nothing is worth keeping comes in the middle of a check, and
// no blob is said to be missing for it.
func TestCheckHoldsBlobs(t *testing.T) {
	r := newRig(t, withFiles(t))
	q, other := r.group("g", "alice"), r.group("other", "bob")
	r.upload(q, "alice", []byte("sealed bytes"))
	r.spoil(other, kindAuthority)
	swept := 0
	var found []string
	err := r.Check(t.Context(), r.cfg.Blobs, func(f shard.Finding) {
		found = append(found, f.What)
		swept++
		if err := r.cfg.Blobs.Sweep(t.Context(), func(blob.Name, bool) (bool, error) { return false, nil }); err != nil {
			t.Error(err)
		}
	})
	if err != nil || swept != 1 {
		t.Errorf("found %q: %v", found, err)
	}
}

// TestR28_StartFindsContradictions: a record of a queue that was written last is older than the
// rest: the store begins a new life, once, and what was answered is never given again.
func TestR28_StartFindsContradictions(t *testing.T) {
	for name, edit := range map[string]func(tx *shard.Tx, group []byte){
		"an older header": func(tx *shard.Tx, group []byte) {
			var before entry
			v, _, _ := tx.Get(seqKey(append([]byte{kindEntry}, group...), 6))
			_ = wire.Unmarshal(v, &before)
			change(t, tx, append([]byte{kindHeader}, group...), func(h *header) { h.Seq, h.Chain = 6, before.Chain })
		},
		"no newest entry": func(tx *shard.Tx, group []byte) { _ = tx.Delete(seqKey(append([]byte{kindEntry}, group...), 7)) },
		"another entry in its place": func(tx *shard.Tx, group []byte) {
			change(t, tx, seqKey(append([]byte{kindEntry}, group...), 6), func(e *entry) { e.Envelope[5] ^= 1 })
		},
	} {
		r, group, _, _ := lived(t)
		r.spoilt = true
		r.open()
		life := r.Incarnation()
		if err := r.Store.Close(); err != nil {
			t.Fatal(err)
		}
		r.edit(func(tx *shard.Tx) { edit(tx, group) })
		set := metrics.New() // as every server has: one group for both times that the store is opened
		r.cfg.Metrics = set.Store(metrics.RelayStore)
		r.open()
		r.cfg.Metrics = nil
		var counted strings.Builder
		if set.Write(&counted); !strings.Contains(counted.String(), `sealpost_store_incarnations{store="relay"} 2`+"\n") {
			t.Errorf("%s: the metrics do not tell of two lives", name)
		}
		second := r.Incarnation()
		if second == life {
			t.Errorf("%s: the store goes on with its life", name)
		}
		r.reopen()
		if r.Incarnation() != second {
			t.Errorf("%s: another life at every start", name)
		}
		if p := r.must(r.append(queueID("g"), "w1", "after")); p.Seq <= 7 {
			t.Errorf("%s: number %d is given again", name, p.Seq)
		}
		r.reopen()
		if r.Incarnation() != second {
			t.Errorf("%s: another life after the queue was written", name)
		}
	}
}
