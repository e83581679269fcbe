package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The size of the file that goes over a cut line, and how the line is. The promise is for
// -file 100000000 -cut 3s, which takes a minute.
var (
	fileBytes = flag.Int64("file", 12_000_000, "bytes of the file that is sent over a line that is cut")
	cutEvery  = flag.Duration("cut", 400*time.Millisecond, "after how long every connection is cut")
	lineRate  = flag.Int("rate", 12_000_000, "bytes a second of the line, each way and connection")
)

// cutLine passes TCP on to the server, slowly, and cuts every connection after a while.
type cutLine struct {
	net.Listener
	to   string
	open sync.WaitGroup
	mu   sync.Mutex
	cuts int
}

func newCutLine(t *testing.T, to string) *cutLine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutLine{Listener: l, to: to}
	c.open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.open.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); c.open.Wait() })
	return c
}

func (c *cutLine) pass(conn net.Conn) {
	defer conn.Close()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer server.Close()
	cut := time.AfterFunc(*cutEvery, func() {
		c.mu.Lock()
		c.cuts++
		c.mu.Unlock()
		conn.Close()
		server.Close()
	})
	defer cut.Stop()
	var both sync.WaitGroup
	for _, ends := range [][2]net.Conn{{conn, server}, {server, conn}} {
		both.Go(func() {
			defer conn.Close()
			defer server.Close()
			slowly(ends[1], ends[0])
		})
	}
	both.Wait()
}

// slowly copies at the line's rate.
func slowly(dst io.Writer, src io.Reader) {
	const tick = 5 * time.Millisecond
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for buf := make([]byte, *lineRate/int(time.Second/tick)); ; <-clock.C {
		n, err := src.Read(buf)
		if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// peak is the most memory that a process has had resident, in bytes.
func (p *process) peak() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var kib int64
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	p.t.Fatal("no VmHWM")
	return 0
}

// TestFileOverALineThatIsCut: a large file arrives whole from one chat at the other, though
// every connection is cut again and again; neither they nor the server hold more memory for
// it than for a small one.
func TestFileOverALineThatIsCut(t *testing.T) {
	home := t.TempDir()
	server := start(t, home, "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, server)
	direct := g.relay
	line := newCutLine(t, direct.Host)
	g.relay.Host = line.Addr().String()
	chat := func(account, peer string) *process {
		return start(t, home, "chat", "--account", account, "--peer", peer, "--server", g.relay.String(), "--transport", "websocket")
	}
	alice, bob := chat("alice", "bob"), chat("bob", "alice")
	alice.say("hello")
	bob.until("alice: hello")
	small := filepath.Join(home, "small")
	if err := os.WriteFile(small, make([]byte, 300_000), 0o600); err != nil {
		t.Fatal(err)
	}
	alice.say("/send " + small)
	bob.until("alice: file 1: small")
	bob.say("/save 1 " + small + ".saved")
	bob.logs("saved " + small + ".saved")
	all := map[string]*process{"the server": server, "the sender": alice, "the receiver": bob}
	before := map[string]int64{}
	for name, p := range all {
		before[name] = p.peak()
	}

	large, want := filepath.Join(home, "large.bin"), sha256.New()
	out, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.MultiWriter(out, want), io.LimitReader(rand.NewChaCha8([32]byte{1}), *fileBytes)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	alice.say("/send " + large)
	alice.say("written after it")
	bob.until("alice: written after it") // which does not wait for the file
	bob.until("alice: file 2: large.bin")
	bob.say("/save 2 " + large + ".saved")
	bob.logs("saved " + large + ".saved")
	saved, err := os.Open(large + ".saved")
	if err != nil {
		t.Fatal(err)
	}
	defer saved.Close()
	got := sha256.New()
	if n, err := io.Copy(got, saved); err != nil || n != *fileBytes || string(got.Sum(nil)) != string(want.Sum(nil)) {
		t.Errorf("%d other bytes arrived (%v)", n, err)
	}
	line.mu.Lock()
	cuts := line.cuts
	line.mu.Unlock()
	if cuts < 2 {
		t.Errorf("the line was cut %d times", cuts)
	}
	for name, p := range all {
		more := p.peak() - before[name]
		t.Logf("%s: at most %d MiB resident, %d MiB of them since the small file", name, p.peak()>>20, more>>20)
		if more > 48<<20 {
			t.Errorf("%s took %d MiB more for a file of %d MB", name, more>>20, *fileBytes/1_000_000)
		}
	}
	t.Logf("the line was cut %d times", cuts)
}
