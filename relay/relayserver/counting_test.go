package relayserver

import (
	"context"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/relay"
)

// expectSeries checks that s is written with each series as it is given, value and all.
func expectSeries(t *testing.T, s *metrics.Set, want ...string) {
	t.Helper()
	var b strings.Builder
	s.Write(&b)
	for _, line := range want {
		if !strings.Contains("\n"+b.String(), "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, " ")
			_, rest, _ := strings.Cut(b.String(), "\n"+name+" ")
			value, _, _ := strings.Cut(rest, "\n")
			t.Errorf("%s is %q", line, value)
		}
	}
}

// An operator sees what a client did, and nobody's part in it.
func TestWhatIsCounted(t *testing.T) {
	counted := metrics.New()
	dir := t.TempDir()
	s := open(t, dir, func(c *Config) { c.Metrics = counted })
	c, _, ended := dialPipe(t, s)
	q := queueID(1)
	c.must(create(q))
	c.must(proveWrite(q, group))
	c.must(proveRead(q, alice))
	again := appendTo(q, group, envelope(512, 'a'))
	c.must(again)
	c.must(again)
	c.refused(appendTo(q, stranger, envelope(512, 'b')), relay.CodeBadProof)
	c.refused(create(q), relay.CodeUnknown)
	c.attach(q, alice, nil, 1<<20)
	c.readUntil(newLog(c, q), 1)
	c.sync()
	expectSeries(t, counted,
		`sealpost_relay_accepted_total{operation="create"} 1`, `sealpost_relay_accepted_total{operation="append"} 2`,
		`sealpost_relay_refused_total{reason="bad_proof"} 1`, `sealpost_relay_refused_total{reason="unknown"} 1`,
		`sealpost_relay_delivered_total 1`, `sealpost_relay_delivered_bytes_total 512`,
		`sealpost_relay_attachments 1`, `sealpost_relay_sessions{transport="websocket"} 1`,
		`sealpost_store_failed{store="relay"} 0`, `sealpost_store_incarnations{store="relay"} 1`,
	)
	c.s.Close()
	<-ended
	expectSeries(t, counted, `sealpost_relay_attachments 0`, `sealpost_relay_sessions{transport="websocket"} 0`, `sealpost_relay_pending_bytes 0`)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	expectSeries(t, counted, `sealpost_relay_blob_bytes 0`) // a closed store can be asked
}

// TestEveryCodeHasItsSeries: a code or limit that the protocol gets has a label of its own, which
// says the same.
func TestEveryCodeHasItsSeries(t *testing.T) {
	other := []string{`sealpost_relay_refused_total{reason="other"} 0`, `sealpost_relay_refused_total{reason="limit_other"} 0`, `sealpost_relay_gaps_total{reason="other"} 0`}
	counted := metrics.New()
	relayed := counted.Relay()
	last := relay.CodeUnknown
	for ; !strings.HasPrefix(last.String(), "refusal "); last++ {
		if last != relay.CodeLimit {
			relayed.Refused(uint16(last), 0)
		}
	}
	for l := relay.LimitCreate; l <= relay.LimitRelayBlobs; l++ {
		code := relay.CodeLimit
		if l >= relay.LimitStorage {
			code = relay.CodeQuota
		}
		relayed.Refused(uint16(code), uint8(l))
	}
	for g := relay.GapExpired; g <= relay.GapQuota; g++ {
		relayed.Gap(uint8(g))
	}
	expectSeries(t, counted, other...)
	relayed.Refused(uint16(relay.CodeStale), 0)
	relayed.Refused(uint16(relay.CodeLimit), uint8(relay.LimitKnocks))
	relayed.Gap(uint8(relay.GapLost))
	relayed.Refused(uint16(last), 0)
	expectSeries(t, counted,
		`sealpost_relay_refused_total{reason="stale"} 2`, `sealpost_relay_refused_total{reason="limit_knocks"} 2`,
		`sealpost_relay_gaps_total{reason="lost"} 2`, `sealpost_relay_refused_total{reason="other"} 1`,
		`sealpost_relay_refused_total{reason="no_blob"} 1`, `sealpost_relay_refused_total{reason="limit_uploads"} 1`,
		`sealpost_relay_refused_total{reason="quota"} 1`, `sealpost_relay_refused_total{reason="quota_relay_blobs"} 1`,
	)
}
