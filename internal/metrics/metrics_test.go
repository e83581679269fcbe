package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// all returns a Set with every group.
func all() (*Set, *Relay, *Store, *Connections, *Keys) {
	s := New()
	zero := func() float64 { return 0 }
	relay, store, conns, keys := s.Relay(), s.Store(RelayStore), s.Connections(), s.Keys()
	relay.Measure(RelayGauges{zero, zero, zero, zero})
	store.Opened(1, zero)
	conns.Measure(zero)
	return s, relay, store, conns, keys
}

func written(s *Set) string {
	var b strings.Builder
	s.Write(&b)
	return b.String()
}

// names returns the series that are written, without their values.
func names(text string) (out []string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			name, _, _ := strings.Cut(line, " ")
			out = append(out, name)
		}
	}
	return out
}

// TestR32_NothingAddsASeries: a million numbers that a peer might choose, through everything
// that counts, leave the series as they were.
func TestR32_NothingAddsASeries(t *testing.T) {
	s, relay, store, conns, keys := all()
	before := names(written(s))
	for i := range 1_000_000 {
		relay.Accepted(Operation(i))
		relay.Refused(uint16(i), uint8(i>>3))
		relay.Gap(uint8(i))
		relay.Signal(Fate(i))
		relay.TurnedAway(Turned(i))
		relay.SessionBegins(Transport(i))
		relay.SessionEnds(Transport(i))
		conns.TurnedAway(Turned(i))
		keys.Request(Route(i), i)
		keys.Request(Route(i>>8), -i)
	}
	store.Stored(1<<30, time.Hour)
	if after := names(written(s)); !slices.Equal(before, after) {
		t.Errorf("%d series became %d", len(before), len(after))
	}
}

// Whatever Prometheus reads is one type line for each name, and each series once.
func TestWhatIsWrittenIsWellFormed(t *testing.T) {
	s, relay, store, _, _ := all()
	store.Stored(3, 2*time.Millisecond)
	relay.Refused(codeLimit, 2)
	relay.Refused(1, 0)
	relay.Refused(999, 0)
	text := written(s)
	line := regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="[^"{},]*"(,[a-z]+="[^"{},]*")*\})? [-+0-9.e]+$`)
	seen, typed := map[string]bool{}, map[string]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if name, ok := strings.CutPrefix(l, "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			if typed[name] {
				t.Errorf("%s has two types", name)
			}
			typed[name] = true
			continue
		}
		if strings.HasPrefix(l, "#") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Errorf("not a series: %q", l)
			continue
		}
		name, _, _ := strings.Cut(l, " ")
		if seen[name] {
			t.Errorf("%s is written twice", name)
		}
		seen[name] = true
		family := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m[1], "")
		if !typed[m[1]] && !typed[family] {
			t.Errorf("%s has no type", m[1])
		}
	}
	for _, want := range []string{
		`sealpost_relay_refused_total{reason="limit_appends"} 1`, `sealpost_relay_refused_total{reason="unknown"} 1`,
		`sealpost_relay_refused_total{reason="other"} 1`, `sealpost_store_batch_operations_bucket{store="relay",le="4"} 1`,
		`sealpost_store_batch_operations_bucket{store="relay",le="2"} 0`, `sealpost_store_sync_seconds_count{store="relay"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is not among what is written", want)
		}
	}
}

// The operator's page names every series, and no other.
func TestPageNamesEverySeries(t *testing.T) {
	page, err := os.ReadFile("../../cmd/sealpost/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	s, _, _, _, _ := all()
	has := map[string]bool{}
	for _, m := range regexp.MustCompile(`# TYPE ([a-z_]+) `).FindAllStringSubmatch(written(s), -1) {
		if !strings.HasPrefix(m[1], "process_") {
			has[m[1]] = true
		}
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		told[m[1]] = true
		if !has[m[1]] {
			t.Errorf("the page has %s, which nobody writes", m[1])
		}
	}
	for name := range has {
		if !told[name] {
			t.Errorf("the page does not have %s", name)
		}
	}
	for _, values := range [][]string{operations, refusals, limits, gaps, transports, reasons, fates, routes, outcomes} {
		for _, v := range values {
			if !strings.Contains(string(page), "`"+v+"`") {
				t.Errorf("the page does not have the label %s", v)
			}
		}
	}
}

// Counting in the path of a message allocates nothing.
func TestCountingAllocatesNothing(t *testing.T) {
	_, relay, store, conns, keys := all()
	n := testing.AllocsPerRun(100, func() {
		relay.Accepted(Append)
		relay.Refused(codeLimit, 2)
		relay.Delivered(3, 1536)
		relay.Signal(SignalSent)
		relay.SessionBegins(WebSocket)
		relay.SessionEnds(WebSocket)
		store.Stored(256, time.Millisecond)
		conns.TurnedAway(ServerFull)
		keys.Request(Lookup, 0)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCount(b *testing.B) {
	_, relay, store, _, _ := all()
	b.Run("accepted", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			relay.Accepted(Append)
		}
	})
	b.Run("delivered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			relay.Delivered(1, 512)
		}
	})
	b.Run("batch", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			store.Stored(256, time.Millisecond)
		}
	})
}
