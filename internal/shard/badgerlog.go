package shard

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

// badgerLog passes Badger's warnings and errors on: its words, the names of its files, numbers
// and errors. Some of them would show keys, which are names of records, or whole structures
// around keys; those are left out (ATTACKS R31).
type badgerLog struct {
	log       *slog.Logger
	awaitRoom func() // nil, or called before tables are merged into one that is written
}

func (b badgerLog) Errorf(f string, a ...any) { b.log.Error("badger: " + line(f, a)) }

func (b badgerLog) Warningf(f string, a ...any) { b.log.Warn("badger: " + line(f, a)) }

func (badgerLog) Infof(string, ...any) {}

// Debugf logs nothing. What Badger says there as it goes is where it is; what it says of merging is
// said by the goroutine that merges, before it writes. A test sees that it still does.
func (b badgerLog) Debugf(f string, _ ...any) {
	switch {
	case strings.HasPrefix(f, "Flushing memtable, "):
		crashpoint.At(crashpoint.TableFlush)
	case strings.Contains(f, "LOG Compact. Added "):
		crashpoint.At(crashpoint.Compacting)
		if b.awaitRoom != nil {
			b.awaitRoom()
		}
	}
}

// line formats a line with what may be shown of a.
func line(f string, a []any) string {
	shown := make([]any, len(a))
	for i, v := range a {
		shown[i] = leftOut{}
		if _, ok := v.(error); ok {
			shown[i] = v
			continue
		}
		switch k := reflect.ValueOf(v).Kind(); {
		case k >= reflect.Bool && k <= reflect.Float64, k == reflect.String: // all numbers are between the two
			shown[i] = v
		}
	}
	return fmt.Sprintf(f, shown...)
}

// leftOut prints as such, whatever the verb.
type leftOut struct{}

// Format implements [fmt.Formatter].
func (leftOut) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "(left out)") }
