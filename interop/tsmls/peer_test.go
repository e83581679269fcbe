package tsmls

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// The command run beside this file sets it once ts-mls is installed.
const enabled = "SEALPOST_TSMLS"

// patience bounds every exchange with the peer; P-521 and ML-DSA in JavaScript on a busy
// machine take seconds, a peer that hangs takes for ever.
const patience = 60 * time.Second

// maxLine bounds an answer: trees and Welcomes of small groups.
const maxLine = 1 << 24

// peer is a process of Node that runs any number of members on ts-mls.
type peer struct {
	in      io.WriteCloser
	answers chan []byte // closed with the process's output
	stderr  *tail
	made    int        // members
	mu      sync.Mutex // one exchange at a time
}

// startPeer starts the peer of one test, and ends it with the test.
func startPeer(t *testing.T) *peer {
	t.Helper()
	if os.Getenv(enabled) == "" {
		t.Skip("needs Node and ts-mls: interop/tsmls/run installs the one and runs this with the other")
	}
	cmd := exec.CommandContext(t.Context(), "node", "main.mjs")
	cmd.Dir = "peer"
	cmd.WaitDelay = patience
	p := &peer{answers: make(chan []byte), stderr: new(tail)}
	cmd.Stderr = p.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in = in
	gone := make(chan struct{})
	go func() {
		defer close(p.answers)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			select {
			case p.answers <- append([]byte(nil), lines.Bytes()...):
			case <-gone:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(gone)
		_ = in.Close()
		_ = cmd.Process.Kill()
		for range p.answers { // until the reader has left the pipe to Wait
		}
		_ = cmd.Wait() // says that it was killed
	})
	return p
}

// errPeer is what the peer answers to what it refuses.
var errPeer = errors.New("ts-mls")

// ask sends one request and reads its answer. An error of errPeer is the peer's own.
func (p *peer) ask(op, as string, fields map[string]any) (answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	request := map[string]any{"op": op, "as": as}
	maps.Copy(request, fields)
	line, err := json.Marshal(request)
	if err != nil {
		return answer{}, err
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	wrote := make(chan error, 1)
	go func() {
		_, err := p.in.Write(append(line, '\n'))
		wrote <- err
	}()
	select {
	case err := <-wrote:
		if err != nil {
			return answer{}, fmt.Errorf("peer: %w\n%s", err, p.stderr)
		}
	case <-timeout.C:
		return answer{}, fmt.Errorf("peer reads nothing for %v", patience)
	}
	select {
	case line, ok := <-p.answers:
		if !ok {
			return answer{}, fmt.Errorf("peer has ended\n%s", p.stderr)
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return answer{}, fmt.Errorf("peer: %w", err)
		}
		if a.Error != "" {
			return answer{}, fmt.Errorf("%w: %s", errPeer, a.Error)
		}
		return a, nil
	case <-timeout.C:
		return answer{}, fmt.Errorf("peer does not answer %s for %v\n%s", op, patience, p.stderr)
	}
}

// answer holds the fields of all answers.
type answer struct {
	Error  string
	Suites []struct {
		ID   mls.Suite
		Name string
	}
	KeyPackage octets
	Message    octets
	Welcome    octets
	Kind       string
	Data, AAD  octets
	Removed    bool
	view
}

// tail keeps the end of what the peer writes to stderr.
type tail struct {
	mu   sync.Mutex
	last []byte
}

func (w *tail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const keep = 4096
	w.last = append(w.last, b...)
	w.last = w.last[max(0, len(w.last)-keep):]
	return len(b), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.last)
}
