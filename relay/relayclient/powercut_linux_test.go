package relayclient_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The plain test is short; the long one, as root, is
//
//	go test -run TestR26_DiskThatLosesPower ./relay/relayclient -powercuts 5000 -timeout 12h
var powerCuts = flag.Int("powercuts", 2, "R26: how often the disk under the relay loses power")

// A partition is an ext4 file system in a file.
type partition struct {
	t    *testing.T
	file string
	dir  string // where it is mounted
}

// newPartition makes and mounts one of so many bytes, of which it takes what is written. Where
// that may not be done the test is skipped.
func newPartition(t *testing.T, size int64) *partition {
	t.Helper()
	p := &partition{t: t, file: filepath.Join(t.TempDir(), "disk"), dir: filepath.Join(t.TempDir(), "mounted")}
	if err := os.WriteFile(p.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Truncate(p.file, size), os.Mkdir(p.dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", p.file).CombinedOutput(); err != nil {
		t.Skipf("no file system can be made here: %v, %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", p.file, p.dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %v, %s", err, out)
	}
	t.Cleanup(func() { _ = syscall.Unmount(p.dir, syscall.MNT_DETACH) })
	return p
}

// cut takes the power away: from this moment on nothing is written to the disk, neither data nor
// what its journal holds in memory, and every sync fails.
func (p *partition) cut() {
	p.t.Helper()
	const shutdown, withoutJournal = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	d, err := os.Open(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	defer d.Close()
	if err := unix.IoctlSetPointerInt(int(d.Fd()), shutdown, withoutJournal); err != nil {
		p.t.Skip("this file system cannot be shut down: ", err)
	}
}

// comeBack mounts again what reached the disk. Nobody has a file open.
func (p *partition) comeBack() {
	p.t.Helper()
	if err := syscall.Unmount(p.dir, 0); err != nil {
		p.t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", p.file, p.dir).CombinedOutput(); err != nil {
		p.t.Fatalf("mounting again: %v, %s", err, out)
	}
}

// TestR26_DiskThatLosesPower: the disk under a relay with a load loses power again and again, with
// all that the kernel had not written to it: tables, manifest, logs, blobs and the names of files.
// What the relay answered is there, once and in its place, for every reader without a gap.
func TestR26_DiskThatLosesPower(t *testing.T) {
	disk := newPartition(t, 4<<30)
	dir, addr := filepath.Join(disk.dir, "relay"), freeAddr(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(26, uint64(*powerCuts)))
	relayProcess := startProcess(t, dir, addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(*powerCuts)*15*time.Second)
	defer cancel()
	f := newFaulted(ctx, t, dir, addr)
	f.begin()
	for n := range *powerCuts {
		f.heavy.Store(n%4 == 3) // so that tables are written out while the power goes
		before := f.accepted.Load()
		for f.accepted.Load() == before && ctx.Err() == nil {
			<-time.After(5 * time.Millisecond) // under load, not while it starts
		}
		<-time.After(time.Duration(random.IntN(600)) * time.Millisecond)
		disk.cut()
		relayProcess.kill(t)
		disk.comeBack()
		relayProcess = startProcess(t, dir, addr)
	}
	f.heavy.Store(false)
	f.end(cancel)
	if err := relayProcess.end(); err != nil {
		t.Errorf("the relay ended with %v", err)
	}
	t.Logf("powercuts=%d accepted=%d blobs=%d erased=%d lost=0 back=0 twice=0, unless said above",
		*powerCuts, len(f.written), len(f.blobs), f.erased)
}
