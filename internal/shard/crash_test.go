package shard

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

const (
	crashDir = "SEALPOST_SHARD_CRASH_DIR"
	crashAt  = "SEALPOST_SHARD_CRASH_AT" // "point:n": it kills itself there, the n-th time
)

// TestMain runs the victim of TestR25 in a process of its own.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashVictim(dir)
		return
	}
	_ = flag.Set("rapid.checks", "25") // each case opens a store; the command line still rules
	os.Exit(m.Run())
}

// crashVictim puts random ids from several goroutines until it is killed, and prints each
// number and id once it is answered.
func crashVictim(dir string) {
	if at := os.Getenv(crashAt); at != "" {
		dieAt(at)
	}
	m := new(notebook)
	s, err := Open(Config{Dir: dir, Key: Key{1}, Machine: m, MinFree: 1})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	m.s = s
	for range 16 {
		go func() {
			for {
				id := rand.Uint64()
				s.Submit(put{id: id, size: rand.IntN(4000)}, func(a any, err error) {
					if err != nil {
						fmt.Println("put:", err)
						os.Exit(1)
					}
					_, _ = fmt.Fprintf(os.Stdout, "%d %d\n", a, id)
				})
			}
		}()
	}
	select {}
}

// TestR25_KillUnderLoad: a process is killed at random moments under load, ten times over
// one store. Everything it answered is there, once, and it is still the first incarnation.
func TestR25_KillUnderLoad(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	life := s.Incarnation()
	_ = s.Close()
	answered := make(map[uint64]uint64)
	for round := range 10 {
		killOnce(t, dir, 200+rand.IntN(1500), answered)
		s, _ := openNotebook(t, dir)
		got := contents(t, s)
		byID := make(map[uint64]int)
		for _, id := range got {
			byID[id]++
		}
		for n, id := range answered {
			if got[n] != id || byID[id] != 1 {
				t.Fatalf("round %d: answered number %d is there %v, its id %d times", round, n, got[n] == id, byID[id])
			}
		}
		if s.Incarnation() != life {
			t.Fatalf("round %d: SIGKILL loses nothing, yet a new incarnation began", round)
		}
		_ = s.Close()
	}
	t.Logf("%d answers survived", len(answered))
}

// killOnce runs the victim until it has answered so many operations and kills it. What it
// managed to print counts as answered.
func killOnce(t *testing.T, dir string, after int, answered map[uint64]uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill sync.Once
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		var number, id uint64
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &number, &id); err != nil {
			t.Fatalf("victim: %s", strings.TrimSpace(lines.Text()))
		}
		answered[number] = id
		if n >= after {
			kill.Do(func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
}
