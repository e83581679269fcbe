package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asProgram makes the test binary be the program, for tests that kill it.
const asProgram = "SEALPOST_TEST_IS_THE_PROGRAM"

// process is this program in a process of its own. The test's end kills it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr lockedBuffer
	ended  chan struct{}
}

// lockedBuffer is written by the process's copier while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// until waits until mark was written, or ended is closed.
func (b *lockedBuffer) until(t *testing.T, mark string, ended <-chan struct{}) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !strings.Contains(b.String(), mark) {
		select {
		case <-look.C:
		case <-ended:
			t.Fatalf("it ended without %q:\n%s", mark, b.String())
		}
	}
}

// start starts "sealpost args…" with a home folder of its own.
func start(t *testing.T, home string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "HOME="+home, "XDG_DATA_HOME=")
	p.cmd.Stderr = &p.stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = w
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	p.stdout = bufio.NewReader(r)
	go func() {
		defer close(p.ended)
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		r.Close()
		if t.Failed() {
			t.Logf("stderr of sealpost %s:\n%s", strings.Join(args, " "), p.stderr.String())
		}
	})
	return p
}

// say types one line.
func (p *process) say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// until reads standard output up to the first line that holds mark, and returns all of it.
func (p *process) until(mark string) string {
	p.t.Helper()
	var all strings.Builder
	for {
		line, err := p.stdout.ReadString('\n')
		all.WriteString(line)
		if strings.Contains(line, mark) {
			return all.String()
		}
		if err != nil {
			p.t.Fatalf("output ended without %q: %v\n%s", mark, err, all.String())
		}
	}
}

// wait waits for the end and returns the exit status and the rest of standard output.
func (p *process) wait() (int, string) {
	rest, _ := io.ReadAll(p.stdout)
	<-p.ended
	return p.cmd.ProcessState.ExitCode(), string(rest)
}

// logs waits until standard error holds mark, while the process runs.
func (p *process) logs(mark string) {
	p.t.Helper()
	p.stderr.until(p.t, mark, p.ended)
}

func (p *process) signal(s os.Signal) { p.cmd.Process.Signal(s) }

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}
