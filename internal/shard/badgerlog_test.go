package shard

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestR31_BadgerNamesNoRecord: lines as Badger writes them, where it could not read a record or
// compact a table.
func TestR31_BadgerNamesNoRecord(t *testing.T) {
	var out strings.Builder
	b := badgerLog{log: slog.New(slog.NewTextHandler(&out, nil))}
	key := []byte("Q a record's name")
	b.Errorf("Unable to read: Key: %v, Version : %v, meta: %v", key, uint64(77), byte(3))
	b.Warningf("While reading key: %x, got error: %v", key, errors.New("checksum mismatch"))
	b.Warningf("While running compact def: %+v. Error: %v", struct{ Left, Right []byte }{key, key}, errors.New("no space"))
	b.Errorf("while deleting file: %s, err: %v", "00001.mem", errors.New("busy"))
	b.Errorf("%+v", &struct{ Key string }{string(key)})
	for _, shown := range []string{"Q a record", "81 32 97", "51206120", "5120", "[81"} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("the log shows %q:\n%s", shown, out.String())
		}
	}
	for _, want := range []string{"Version : 77", "meta: 3", "checksum mismatch", "no space", "00001.mem", "busy"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, out.String())
		}
	}
}
