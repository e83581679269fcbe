package state

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"
)

// disk is a VFS under the encrypting one that records what reaches the disk, and can fail.
type disk struct {
	vfs.VFS
	ops      []diskOp
	syncErr  error
	writeErr error
}

type diskOp struct {
	file string
	data []byte // written at off; nil for a truncation to off
	off  int64
	sync bool
}

type diskFile struct {
	vfs.File
	disk *disk
	name string
}

func newDisk(t *testing.T) (*disk, string) {
	d := &disk{VFS: vfs.Find("")}
	name := "disk-" + t.Name()
	vfs.Register(name, adiantum.Wrap(d, nil))
	t.Cleanup(func() { vfs.Unregister(name) })
	return d, name
}

func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := d.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	return &diskFile{f, d, filepath.Base(name.String())}, flags, nil
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	if f.disk.writeErr != nil {
		return 0, f.disk.writeErr
	}
	f.disk.ops = append(f.disk.ops, diskOp{file: f.name, data: bytes.Clone(p), off: off})
	return f.File.WriteAt(p, off)
}

func (f *diskFile) Truncate(size int64) error {
	f.disk.ops = append(f.disk.ops, diskOp{file: f.name, off: size})
	return f.File.Truncate(size)
}

func (f *diskFile) Sync(flags vfs.SyncFlag) error {
	if f.disk.syncErr != nil {
		return f.disk.syncErr
	}
	f.disk.ops = append(f.disk.ops, diskOp{file: f.name, sync: true})
	return f.File.Sync(flags)
}

// afterPowerCut returns the files as a power cut after the given operations may leave them:
// what was synced is there; of the rest, each operation is there, or not, or torn.
func afterPowerCut(ops []diskOp, random *rand.Rand) map[string][]byte {
	synced := map[string]int{}
	for i, op := range ops {
		if op.sync {
			synced[op.file] = i
		}
	}
	files := map[string][]byte{}
	for i, op := range ops {
		data := op.data
		if i > synced[op.file] || synced[op.file] == 0 {
			switch random.IntN(3) {
			case 0:
				continue
			case 1:
				data = data[:random.IntN(len(data)/512+1)*512]
			}
		}
		b := files[op.file]
		switch {
		case op.sync:
		case op.data == nil && op.off < int64(len(b)):
			b = b[:op.off]
		default:
			if need := int(op.off) + len(data); need > len(b) {
				b = append(b, make([]byte, need-len(b))...)
			}
			copy(b[op.off:], data)
		}
		files[op.file] = b
	}
	return files
}

// R26: whatever the disk had not been told to keep may be gone after a power cut, and nothing
// that was acknowledged.
func TestR26_PowerCutLosesNothing(t *testing.T) {
	d, name := newDisk(t)
	db, err := open(filepath.Join(t.TempDir(), "device.db"), testKey, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var acknowledged []int // acknowledged[i] is how many operations there were when i+1 was
	for n := range uint64(8) {
		update(t, db, func(tx *Tx) error {
			if n%3 == 2 { // spill: pages are written while the transaction runs
				if _, err := tx.Exec("PRAGMA cache_size=2"); err != nil {
					return err
				}
			}
			return writeNumbered(tx, n+1)
		})
		acknowledged = append(acknowledged, len(d.ops))
	}
	random := rand.New(rand.NewPCG(5, 6))
	states := 250
	if testing.Short() {
		states = 50
	}
	for range states {
		cut := random.IntN(len(d.ops) + 1)
		path := filepath.Join(t.TempDir(), "device.db")
		for file, b := range afterPowerCut(d.ops[:cut], random) {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), file), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var want uint64
		for _, at := range acknowledged {
			if at <= cut {
				want++
			}
		}
		again, err := Open(path, testKey)
		if err != nil {
			t.Fatalf("cut after operation %d of %d: %v", cut, len(d.ops), err)
		}
		verifyNumbered(t, again, want)
		again.Close()
	}
}

// R27: a full disk refuses transactions, changes nothing, and is over when there is space again.
func TestR27_FullDiskRecoversAlone(t *testing.T) {
	d, name := newDisk(t)
	db, err := open(filepath.Join(t.TempDir(), "device.db"), testKey, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	update(t, db, func(tx *Tx) error { return writeNumbered(tx, 1) })
	d.writeErr = syscall.ENOSPC
	for range 2 {
		if err := db.Update(t.Context(), func(tx *Tx) error { return writeNumbered(tx, 2) }); !errors.Is(err, ErrFull) {
			t.Fatalf("full disk: %v", err)
		}
	}
	d.writeErr = nil
	verifyNumbered(t, db, 1)
	update(t, db, func(tx *Tx) error { return writeNumbered(tx, 2) })
	verifyNumbered(t, db, 2)
}

// R29: after a sync that failed nothing more is acknowledged until the file was opened again.
func TestR29_FailedSyncIsFatal(t *testing.T) {
	d, name := newDisk(t)
	path := filepath.Join(t.TempDir(), "device.db")
	db, err := open(path, testKey, name)
	if err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *Tx) error { return writeNumbered(tx, 1) })
	d.syncErr = syscall.EIO
	if err := db.Update(t.Context(), func(tx *Tx) error { return writeNumbered(tx, 2) }); !errors.Is(err, ErrFailed) {
		t.Fatalf("failed sync: %v", err)
	}
	d.syncErr = nil
	if err := db.Update(t.Context(), func(tx *Tx) error { return writeNumbered(tx, 2) }); !errors.Is(err, ErrFailed) {
		t.Errorf("after a failed sync: %v", err)
	}
	db.Close()
	verifyNumbered(t, openTest(t, path), 1)
}
