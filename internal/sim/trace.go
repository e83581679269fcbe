package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"sync"
	"time"
)

// trace is what happened, one line a thing, with the time since the beginning. The hash is of that
// and of every arrival of bytes.
type trace struct {
	begin time.Time

	mu    sync.Mutex
	lines []string
	sum   hash.Hash
}

func newTrace() *trace { return &trace{begin: time.Now(), sum: sha256.New()} }

func (t *trace) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%14.6f  %s", time.Since(t.begin).Seconds(), fmt.Sprintf(format, args...))
	t.lines = append(t.lines, line)
	_, _ = t.sum.Write([]byte(line + "\n"))
}

// carried takes note of bytes that arrived: they count for the hash, and are lines only for who
// asked for them.
func (t *trace) carried(show bool, name, direction string, n int) {
	if show {
		t.add("%s, %s: %d bytes", name, direction, n)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.sum, time.Since(t.begin), name, direction, n)
}

func (t *trace) hash() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return hex.EncodeToString(t.sum.Sum(nil)[:8])
}

func (t *trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
