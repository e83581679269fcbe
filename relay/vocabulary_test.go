package relay

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAddress(t *testing.T) {
	for _, a := range []Address{
		{Host: "relay.example:443", Key: RelayKey{1, 2, 3}},
		{Host: "[::1]:9000", Key: RelayKey{0xff}, Pin: &Hash{4, 5, 6}},
	} {
		got, err := ParseAddress(a.String())
		if err != nil {
			t.Fatalf("%v: %v", a, err)
		}
		if got.String() != a.String() || got.Host != a.Host || got.Key != a.Key || (got.Pin == nil) != (a.Pin == nil) {
			t.Errorf("%v came back as %v", a, got)
		}
	}
	good := Address{Host: "h:1", Key: RelayKey{1}, Pin: &Hash{2}}.String()
	for _, bad := range []string{
		"", "https" + strings.TrimPrefix(good, "sealpost"), "SEALPOST" + strings.TrimPrefix(good, "sealpost"),
		strings.Replace(good, "h:1", "h", 1), strings.Replace(good, "h:1", "h:0", 1),
		strings.Replace(good, "h:1", ":1", 1), strings.Replace(good, "h:1", "u:p@h:1", 1),
		strings.Replace(good, "h:1", "h:65536", 1), strings.Replace(good, "h:1", "h:01", 1) + "=",
		good + "=", good + "&x=1", good + "#f", good[:len(good)-1], strings.Replace(good, "?pin", "?pim", 1),
		strings.Replace(good, "/A", "//A", 1), good + "\n", strings.TrimSuffix(good, "A") + "B",
	} {
		if a, err := ParseAddress(bad); !errors.Is(err, ErrAddress) {
			t.Errorf("%q parses as %v (%v)", bad, a, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add(Address{Host: "h:1", Key: RelayKey{1}, Pin: &Hash{2}}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseAddress(s); err == nil && a.String() != s {
			t.Fatalf("%q parses as %q", s, a)
		}
	})
}

func TestRefusalMatchesByCode(t *testing.T) {
	err := fmt.Errorf("sending: %w", &Refusal{Code: CodeStale, Position: &testPos})
	if !errors.Is(err, ErrStale) || errors.Is(err, ErrConflict) {
		t.Errorf("%v matches the wrong sentinels", err)
	}
	if r := AsRefusal(err); r.Position == nil || *r.Position != testPos {
		t.Errorf("position lost: %v", r)
	}
	if r := AsRefusal(errors.New("disk")); r.Code != CodeBusy || r.RetryAfter == 0 {
		t.Errorf("a foreign error becomes %v", r)
	}
	for d, want := range map[time.Duration]uint32{
		0: 0, -time.Second: 0, 1: 1, time.Millisecond: 1, 1500 * time.Microsecond: 2, 1 << 62: 1<<32 - 1,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v is %d ms on the wire, want %d", d, got, want)
		}
	}
}

// TestChain: every input of the chain changes it.
func TestChain(t *testing.T) {
	start := ChainStart(RelayKey{1}, QueueID{2}, Incarnation{3})
	next := ChainNext(start, 1, KindMessage, []byte("e"))
	for name, other := range map[string]Hash{
		"another relay":       ChainNext(ChainStart(RelayKey{9}, QueueID{2}, Incarnation{3}), 1, KindMessage, []byte("e")),
		"another queue":       ChainNext(ChainStart(RelayKey{1}, QueueID{9}, Incarnation{3}), 1, KindMessage, []byte("e")),
		"another incarnation": ChainNext(ChainStart(RelayKey{1}, QueueID{2}, Incarnation{9}), 1, KindMessage, []byte("e")),
		"another seq":         ChainNext(start, 2, KindMessage, []byte("e")),
		"another kind":        ChainNext(start, 1, KindCommit, []byte("e")),
		"a blob":              ChainNext(start, 1, KindMessage, []byte("e"), Hash{1}),
		"another envelope":    ChainNext(start, 1, KindMessage, []byte("f")),
	} {
		if other == next {
			t.Errorf("%s does not change the chain", name)
		}
	}
}

func TestEnvelopeSize(t *testing.T) {
	for n, want := range map[int]int{0: 512, 1: 512, 512: 512, 513: 1024, MaxEnvelope: MaxEnvelope, MaxEnvelope + 1: 0} {
		if got := EnvelopeSize(n); got != want {
			t.Errorf("%d bytes go into %d, want %d", n, got, want)
		}
		if want != 0 && !ValidEnvelopeSize(want) {
			t.Errorf("%d is no valid size", want)
		}
	}
}
