package mls

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
)

func writeRecord(w *wire.Writer, r Record) {
	w.Bytes([]byte(r.Key))
	w.Bytes(r.Value)
}

func readRecord(r *wire.Reader) Record { return Record{Key: string(r.Bytes()), Value: r.Bytes()} }

// summed is records with a header that fits them, as one who damages them on purpose makes it.
func summed(records []Record) []Record {
	var sum recordSum
	var out []Record
	for _, r := range records {
		if r.Key == "" || r.Key == recordHeader {
			continue
		}
		if r.Key[:1] != recordNode {
			sum.add(digestRecord(r.Key, r.Value))
		}
		out = append(out, r)
	}
	return append(out, Record{Key: recordHeader, Value: sum.header()})
}

// FuzzLoadGroup: whatever the records are, also with a sum that fits, they load into a group
// that is stored in the same records, or are ErrCorrupt.
func FuzzLoadGroup(f *testing.F) {
	groups := trio(f)
	say(f, groups[0], groups, "x")
	must(groups[1].Propose(ProposalParams{Update: true}))(f)
	for _, g := range groups {
		var w wire.Writer
		wire.WriteVector(&w, stored(g), writeRecord)
		f.Add(must(w.Finish())(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		records := wire.Vector(r, readRecord)
		if r.Finish() != nil {
			return
		}
		records = summed(records)
		g, err := LoadGroup(records, Application{})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again := shelf{}
		again.put(t, stored(g))
		for _, r := range records {
			if !bytes.Equal(again[r.Key], r.Value) {
				t.Errorf("record %q is %x, and %x once it was loaded", r.Key, r.Value, again[r.Key])
			}
		}
		if len(again) != len(records) {
			t.Errorf("%d records become %d", len(records), len(again))
		}
		_, _ = g.Commit(CommitParams{IncludePending: true, Now: testNow}) // must not panic
	})
}
