package relay

import (
	"bytes"
	"crypto/ecdh"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the worked example into PROTOCOL.md")

// example computes the block of PROTOCOL.md section 10.
func example(t *testing.T) string {
	t.Helper()
	private, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	relayKey := RelayKey(private.PublicKey().Bytes())
	queue, incarnation := QueueID(bytes.Repeat([]byte{2}, 32)), Incarnation(bytes.Repeat([]byte{4}, 16))
	key, signing := testKey(3)
	handshake := Hash(bytes.Repeat([]byte{5}, 32))
	envelope := bytes.Repeat([]byte{0xee}, MinEnvelope)

	start := ChainStart(relayKey, queue, incarnation)
	first := ChainNext(start, 1, KindMessage, envelope)
	second := ChainNext(first, 2, KindCommit, envelope)
	b := Binding{RelayKey: relayKey, Handshake: handshake}
	prove := &Prove{Request: 1, Purpose: ProveRead, Queue: queue, Key: key}
	if err := prove.Sign(b, Keys(signing)); err != nil {
		t.Fatal(err)
	}
	digest, err := prove.digest()
	if err != nil {
		t.Fatal(err)
	}
	frame, err := AppendFrame(nil, prove)
	if err != nil {
		t.Fatal(err)
	}
	leave := &Leave{Queue: queue, Reader: key}
	if err := leave.Sign(b, Keys(signing)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	line := func(name string, value []byte) { fmt.Fprintf(&out, "%-22s %x\n", name, value) }
	line("relay_key", relayKey[:])
	line("queue", queue[:])
	line("incarnation", incarnation[:])
	line("h(0)", start[:])
	out.WriteString("entry 1                kind 1 (message), envelope ee x 512\n")
	line("h(1)", first[:])
	out.WriteString("entry 2                kind 2 (COMMIT), envelope ee x 512\n")
	line("h(2)", second[:])
	line("handshake_hash", handshake[:])
	line("key", key[:])
	line("digest of PROVE", digest[:])
	line("signed by PROVE read", b.signed(purposeRead, queue, digest))
	line("signature", prove.Signature[:])
	line("PROVE, request 1", frame)
	line("signed by LEAVE", leave.signed(relayKey))
	line("signature", leave.Signature[:])
	return out.String()
}

// TestProtocolExample: the worked example of PROTOCOL.md is what the code computes.
func TestProtocolExample(t *testing.T) {
	doc, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- example -->\n```\n", "```\n<!-- /example -->"
	before, rest, ok := strings.Cut(string(doc), begin)
	shown, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("PROTOCOL.md has no example block")
	}
	want := example(t)
	if *update {
		if err := os.WriteFile("PROTOCOL.md", []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if shown != want {
		t.Errorf("PROTOCOL.md shows\n%s\nand the code computes\n%s\n(go test ./relay -run TestProtocolExample -update)", shown, want)
	}
}

// TestProtocolNamesEveryCode: each frame and refusal stands in its table under its number,
// and every number that the text gives as a limit is the code's.
func TestProtocolNamesEveryCode(t *testing.T) {
	doc, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(doc)
	for typ, empty := range frames {
		name := strings.ToUpper(strings.TrimPrefix(fmt.Sprintf("%T", empty()), "*relay."))
		if prefix, ok := strings.CutSuffix(name, "BLOB"); ok && prefix != "" {
			name = prefix + "_BLOB"
		}
		name = strings.Replace(name, "BLOBDATA", "BLOB_DATA", 1)
		if row := fmt.Sprintf("\n| `0x%02x` | %s |", uint8(typ), name); !strings.Contains(text, row) {
			t.Errorf("no row %q", row)
		}
	}
	for code, name := range map[RefusalCode]string{
		CodeUnknown: "UNKNOWN", CodeStale: "STALE", CodeConflict: "CONFLICT", CodeBadProof: "BAD_PROOF",
		CodeMalformed: "MALFORMED", CodeTooLarge: "TOO_LARGE", CodeLimit: "LIMIT", CodeQuota: "QUOTA",
		CodeClosed: "CLOSED", CodeReused: "REUSED", CodeRollback: "ROLLBACK", CodeForbidden: "FORBIDDEN",
		CodeBusy: "BUSY", CodeDraining: "DRAINING", CodeNoBlob: "NO_BLOB", CodeSuspended: "SUSPENDED",
	} {
		if row := fmt.Sprintf("\n| %d | %s |", code, name); !strings.Contains(text, row) {
			t.Errorf("no row %q", row)
		}
	}
	for _, what := range []string{
		fmt.Sprintf("Version 1 clients say %s, servers %s", comma(MaxServerFrame), comma(MaxClientFrame)),
		fmt.Sprintf("At most %s requests", comma(MaxInFlight)),
		fmt.Sprintf("At most %s proofs a session", comma(MaxProofs)),
		fmt.Sprintf("At most %s attachments a session", comma(MaxAttachments)),
		fmt.Sprintf("`admins` (1 to %d", MaxAdmins),
		fmt.Sprintf("`readers`: 1 to %d", MaxReaders),
		fmt.Sprintf("`tickets` (at most %d", MaxTickets),
		fmt.Sprintf("1 to %d changes", MaxChanges),
		fmt.Sprintf("powers of two from %d to %s bytes", MinEnvelope, comma(MaxEnvelope)),
		fmt.Sprintf("after %.0f s without a complete record", IdleTimeout.Seconds()),
		fmt.Sprintf("%.0f s for the handshake", HandshakeWithin.Seconds()),
		fmt.Sprintf("`retention_days`: 1 to %d; 0 is %d", MaxRetention, DefaultDays),
		fmt.Sprintf("GET %s", Path),
		fmt.Sprintf("Sec-WebSocket-Protocol: %s", Subprotocol),
	} {
		if !strings.Contains(text, what) {
			t.Errorf("PROTOCOL.md does not say %q", what)
		}
	}
}

// comma writes n as the text does.
func comma(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
