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

// trace is what happened, one line a thing, with the time since the beginning. No key or id is in
// it, so that the traces of two runs can be compared.
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
