package shard

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

// dieAt has this process kill itself when it passes a point the how many-th time.
func dieAt(at string) {
	point, number, _ := strings.Cut(at, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		fmt.Println("dying:", err)
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

// TestR25_KilledWhileALifeBegins: a store finds that something is missing and is killed at each
// step of beginning a new incarnation. The next start begins or goes on with one: never with the
// one that lost something, and no number of it is given again.
func TestR25_KilledWhileALifeBegins(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	for id := range uint64(5) {
		do(t, s, put{id: id})
	}
	_ = s.Close()
	short := files(t, dir)
	s, _ = openNotebook(t, dir)
	life := s.Incarnation()
	var high uint64
	for id := range uint64(5) {
		high = do(t, s, put{id: 100 + id}).(uint64)
	}
	_ = s.Close()
	short = maps.Clone(short)
	short["mark"] = files(t, dir)["mark"]

	for _, at := range []string{
		at(crashpoint.Storing, 1), at(crashpoint.Committed, 1), at(crashpoint.Synced, 1), at(crashpoint.LifeStored, 1),
		at(crashpoint.MarkWritten, 1), at(crashpoint.MarkSynced, 1), at(crashpoint.MarkWritten, 2), at(crashpoint.MarkSynced, 2),
	} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			restore(t, dir, short)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), crashDir+"="+dir, crashAt+"="+at)
			if out, _ := cmd.Output(); ctx.Err() != nil || len(out) > 0 {
				t.Fatalf("it did not die while it was opening: %.100s", out)
			}
			s, _ := openNotebook(t, dir)
			if s.Incarnation() == life || s.Floor() < high {
				t.Errorf("incarnation changed: %v, floor %d, answered up to %d", s.Incarnation() != life, s.Floor(), high)
			}
			if n := do(t, s, put{id: 9}).(uint64); n <= high {
				t.Errorf("number %d was answered before the loss", n)
			}
			if got := contents(t, s); len(got) < 6 {
				t.Errorf("what survived: %v", got)
			}
		})
	}
}

func at(p crashpoint.Point, n int) string { return fmt.Sprintf("%s:%d", p, n) }
