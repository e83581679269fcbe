package directory

import (
	"bytes"
	"testing"

	"github.com/sealpost/sealpost/internal/shard"
)

// TestA14_BackupDropsOneTimePackages: packages that were handed out after a backup are in it, and
// whoever restores it hands none of them out again: only the last resort is left, and the owner
// is told by the incarnation to upload anew.
func TestA14_BackupDropsOneTimePackages(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	packages, last := bob.Packages(t, 3, w.Now()), bob.Draft(0, w.Now()).Package(t)
	w.mustUpload(bob, 0, packages, last)
	w.mustTake(bob, 1)
	type record struct{ key, sealed []byte }
	var all []record
	err := w.Backup(t.Context(), func(key, sealed []byte) error {
		all = append(all, record{bytes.Clone(key), bytes.Clone(sealed)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	given := w.mustTake(bob, 2)
	before := w.Incarnation()
	w.sound()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.cfg.Dir = t.TempDir()
	err = shard.Import(w.cfg.Dir, w.cfg.Key, func() (key, sealed []byte, err error) {
		if len(all) == 0 {
			return nil, nil, nil
		}
		key, sealed, all = all[0].key, all[0].sealed, all[1:]
		return key, sealed, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.open()
	if w.Incarnation() == before {
		t.Error("a restored directory goes on with its life")
	}
	for request := byte(3); request < 6; request++ {
		got := w.mustTake(bob, request)
		if len(got) != 1 || !got[0].LastResort || bytes.Equal(got[0].KeyPackage, given[0].KeyPackage) {
			t.Error("a restored directory hands out what may have been handed out")
		}
	}
	if n, _ := w.stock(bob, 0); n != 0 {
		t.Errorf("its owner is told that %d are left", n)
	}
	if got := w.mustTake(bob, 1); len(got) != 1 || !bytes.Equal(got[0].KeyPackage, packages[0]) {
		t.Error("a request from before the backup gets something else")
	}
}
