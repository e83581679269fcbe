package main

import (
	"flag"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

var (
	sessions = flag.Int("sessions", 100, "R09: how many sessions are held at once")
	hold     = flag.Duration("hold", 2*time.Second, "R09: for how long")
)

// settledWithin is how long a server's memory may grow behind its last newcomer: what
// handshakes left is collected, and given back, over some minutes.
const settledWithin = 2 * time.Minute

// TestR09_ManySessions: many sessions, each attached to a queue of its own, one in five of them
// over QUIC; ten of them send, a message each second. All live to the end, and the server's
// memory does not grow behind the first two minutes. Ten thousand of them, for ten minutes:
//
//	go test ./cmd/sealpost -run TestR09_ManySessions -sessions 10000 -hold 10m -v -timeout 30m
func TestR09_ManySessions(t *testing.T) {
	c := gather(t, *sessions, 5)
	defer c.leave()
	empty := c.server.resident(t)
	begin := time.Now()
	c.in(gently, func(*member) {})
	t.Logf("%d sessions in %v: %d MiB resident, %d before the first", *sessions, time.Since(begin).Round(time.Second), c.server.resident(t), empty)
	begin = time.Now()
	each := time.NewTicker(time.Second)
	defer each.Stop()
	settled := 0
	for n, next := uint64(1), begin; time.Since(begin) < *hold; n++ {
		for _, m := range c.all[:min(10, len(c.all))] {
			if err := m.say(n); err != nil {
				t.Fatalf("after %v: %v", time.Since(begin), err)
			}
		}
		if now := time.Now(); !now.Before(next) {
			is := c.server.resident(t)
			t.Logf("after %v: %d MiB", now.Sub(begin).Round(time.Second), is)
			if next = now.Add(30 * time.Second); now.Sub(begin) <= settledWithin {
				settled = max(settled, is)
			} else if is > settled+settled/20+32 { // a memtable more or less is 64 MiB at most, most of which is touched already
				t.Errorf("it grows: %d MiB, and %d were the most at first", is, settled)
			}
		}
		<-each.C
	}
	for _, m := range c.all {
		if err := m.conn.Err(); err != nil {
			t.Errorf("session %d has ended: %v", m.n, err)
		}
	}
}

var residentLine = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// resident returns the process's resident memory in MiB.
func (p *process) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	line := residentLine.FindSubmatch(text)
	if line == nil {
		t.Fatal("the process has no resident memory")
	}
	kib, err := strconv.Atoi(string(line[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}
