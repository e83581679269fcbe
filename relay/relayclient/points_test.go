package relayclient_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

// The plain test is short; the long one is
//
//	go test -run TestR25_KilledAtEveryPoint ./relay/relayclient -pointkills 200 -timeout 12h
var pointKills = flag.Int("pointkills", 1, "R25: how often the relay is killed at each crash point")

// killAt has the relay's process kill itself when it passes a point the how many-th time: "point:n".
const killAt = "SEALPOST_TEST_KILL_AT"

// killAtPoint is called in the relay's process, before anything else.
func killAtPoint(at string) {
	point, number, _ := strings.Cut(at, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var passed atomic.Int64
	crashpoint.Watch(func(p crashpoint.Point) {
		if string(p) == point && passed.Add(1) == n {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {} // nothing more happens here until the kernel is done
		}
	})
}

// A place is a crash point, and among how many passes the one to die at is drawn.
type place struct {
	crashpoint.Point
	among int
	heavy bool // passed only under a load of megabytes
}

// places are all points that a relay passes in its first life; the others have tests in
// internal/shard.
var places = []place{
	{crashpoint.Received, 200, false}, {crashpoint.Applied, 40, false}, {crashpoint.Storing, 40, false},
	{crashpoint.Committed, 40, false}, {crashpoint.Synced, 40, false}, {crashpoint.MarkWritten, 40, false},
	{crashpoint.MarkSynced, 40, false}, {crashpoint.Shown, 40, false}, {crashpoint.FannedOut, 40, false},
	{crashpoint.Answering, 40, false}, {crashpoint.Answered, 40, false}, {crashpoint.Delivered, 80, false},
	{crashpoint.AckNoted, 40, false}, {crashpoint.AckStoring, 2, false}, {crashpoint.Erasing, 3, false},
	{crashpoint.AckStored, 2, false}, {crashpoint.Sweeping, 2, false},
	{crashpoint.BlobWritten, 6, false}, {crashpoint.BlobVerified, 2, false}, {crashpoint.BlobRenamed, 2, false},
	{crashpoint.BlobPlaced, 2, false},
	{crashpoint.TableFlush, 1, true}, {crashpoint.LogBegun, 1, true}, {crashpoint.Compacting, 1, true},
}

// doomed starts a relay that is to kill itself, and returns when it has. reached is false if it
// lives on for too long; then it was killed from here.
func doomed(ctx context.Context, t *testing.T, dir, addr string, p place, n int) (reached bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), serveDir+"="+dir, serveAddr+"="+addr, fmt.Sprintf("%s=%s:%d", killAt, p.Point, n))
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	err = cmd.Run()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ctx.Err() == nil && (!status.Signaled() || status.Signal() != syscall.SIGKILL) {
		t.Errorf("the relay ended by itself before it passed %s: %v", p.Point, err)
	}
	return ctx.Err() == nil
}

// soonOver reports whether a test that may take hours has two minutes left of -timeout, in which it
// is to look at what there is.
func soonOver(t *testing.T) bool {
	end, ok := t.Deadline()
	return ok && time.Until(end) < 2*time.Minute
}

// TestR25_KilledAtEveryPoint: a relay under load is killed at each crash point. What was answered
// ACCEPTED is in the log, where the answer said, once; both readers see every seq once, in order;
// what was acked by all and erased stays so; and each blob that was answered as whole is.
func TestR25_KilledAtEveryPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("the relay is a process of its own, and starts for each point: too long with the race detector in it")
	}
	dir, addr := t.TempDir(), freeAddr(t)
	random := rand.New(rand.NewPCG(25, uint64(*pointKills)))
	first := startProcess(t, dir, addr)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(*pointKills*len(places))*40*time.Second)
	defer cancel()
	f := newFaulted(ctx, t, dir, addr)
	f.begin()
	first.kill(t)
	died := make(map[crashpoint.Point]int)
	for round := range *pointKills {
		if round > 0 {
			t.Logf("round %d of %d: died so far %v", round, *pointKills, died)
		}
		for _, p := range places {
			if soonOver(t) {
				break
			}
			f.heavy.Store(p.heavy)
			if doomed(ctx, t, dir, addr, p, 1+random.IntN(p.among)) {
				died[p.Point]++
			}
		}
	}
	f.heavy.Store(false)
	last := startProcess(t, dir, addr)
	f.end(cancel)
	if err := last.end(); err != nil {
		t.Errorf("the relay ended with %v", err)
	}
	for _, p := range places {
		if died[p.Point] == 0 {
			t.Errorf("the relay never came to %s", p.Point)
		}
	}
	t.Logf("killed at %d points, %v; accepted=%d blobs=%d erased=%d lost=0 back=0 twice=0, unless said above",
		len(died), died, len(f.written), len(f.blobs), f.erased)
}
