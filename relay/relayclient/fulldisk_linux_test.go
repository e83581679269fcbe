package relayclient_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The plain test is short; the long one, as root, is
//
//	go test -run TestR27_OthersFillTheDisk ./relay/relayclient -fills 100 -timeout 2h
var fills = flag.Int("fills", 2, "R27: how often the disk under the relay is filled")

// TestR27_OthersFillTheDisk: while members write and read, another program fills the disk to the
// last block, and goes away again. The relay says BUSY and lives, readers go on, it takes new
// messages by itself when there is room, and nothing that it accepted is missing. Only what is
// being written in the moment in which the disk fills may end it; then nothing is missing either.
func TestR27_OthersFillTheDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of megabytes are written")
	}
	disk, size := t.TempDir(), "size=448m"
	if *fills > 2 {
		size = "size=1536m" // for megabytes that come in, and what Badger has not merged away
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, size); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	dir, addr := filepath.Join(disk, "relay"), freeAddr(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	relayProcess := startProcess(t, dir, addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(*fills)*20*time.Second)
	defer cancel()
	f := newFaulted(ctx, t, dir, addr)
	f.begin()
	died := 0
	for n := range *fills {
		// In the long run, each fourth time megabytes come in, so that Badger writes tables while the
		// disk fills.
		heavy := n%4 == 3
		f.heavy.Store(heavy)
		first := f.accepted.Load()
		enough := first
		if heavy {
			enough += 2000 // meanwhile memtables fill
		}
		f.until(func() bool { return f.accepted.Load() > enough }, "nothing is accepted")
		ballast := filepath.Join(disk, "ballast")
		fillUp(t, ballast)
		refused := f.refused.Load()
		// Each writer asks again some forty times: long enough for acks, which are stored after a
		// second, to come to the disk as well.
		f.until(func() bool { return f.refused.Load() > refused+40*writers || relayProcess.ended(t) }, "nobody hears BUSY")
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if relayProcess.ended(t) {
			// By a SIGBUS, in the middle of a batch or a table for which there was room when it
			// was begun: whatever watches over it starts it again.
			died++
			_ = relayProcess.end()
			relayProcess = startProcess(t, dir, addr)
		}
		f.heavy.Store(false)
		before := f.accepted.Load()
		f.until(func() bool { return f.accepted.Load() > before }, "it does not recover by itself")
	}
	f.heavy.Store(false)
	if died > *fills/2 {
		t.Errorf("the relay died in %d of %d fills", died, *fills)
	}
	f.end(cancel)
	if err := relayProcess.end(); err != nil {
		t.Errorf("the relay ended with %v", err)
	}
	t.Logf("fills=%d died=%d busy=%d accepted=%d erased=%d lost=0 back=0 twice=0, unless said above",
		*fills, died, f.refused.Load(), len(f.written), f.erased)
}

// until waits for something, as long as the test may take.
func (f *faulted) until(done func() bool, otherwise string) {
	f.t.Helper()
	for !done() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-f.done.Done():
			f.t.Fatal(otherwise)
		}
	}
}

// fillUp writes until there is no room.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{1 << 20, 4 << 10, 1} {
		for chunk := make([]byte, n); err == nil; {
			_, err = f.Write(chunk)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

// ended reports whether the relay's process has ended.
func (p *process) ended(t *testing.T) bool {
	t.Helper()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	return info.Signo != 0
}
