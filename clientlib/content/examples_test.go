package content

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// examples reads the draft's example messages by name; the test is skipped without them.
func examples(t testing.TB) map[string][]byte {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "mimi-content")
	files, _ := filepath.Glob(filepath.Join(dir, "*.cbor"))
	if len(files) == 0 {
		t.Skip("the MIMI draft's examples are not in ../shared/mimi-content")
	}
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".cbor")] = b
	}
	return out
}

// message decodes the example name.
func message(t testing.TB, name string) *Message {
	t.Helper()
	m, err := Decode(examples(t)[name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

func TestExamplesRoundTrip(t *testing.T) {
	all := examples(t)
	if len(all) != 15 {
		t.Fatalf("%d examples, want 15", len(all))
	}
	for name, want := range all {
		var got []byte
		if name == "implied-original" { // the one example that is no message
			v, err := DecodeDerived(want)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err = v.Encode()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		} else {
			m, err := Decode(want)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got, err = m.Encode(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: encodes to\n%x, want\n%x", name, got, want)
		}
	}
}

// The draft gives each example's message id in a comment of its diagnostic notation.
func TestExampleMessageIDs(t *testing.T) {
	pattern := regexp.MustCompile(`message ID = h'([0-9a-f]{32})\s*#\s*([0-9a-f]{32})'`)
	checked := 0
	for name, b := range examples(t) {
		edn, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "mimi-content", name+".edn"))
		if err != nil {
			t.Fatal(err)
		}
		found := pattern.FindSubmatch(edn)
		if found == nil {
			continue
		}
		m, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		id, err := m.ID(m.Extensions.Text(SenderURI), m.Extensions.Text(RoomURI))
		if err != nil {
			t.Fatal(err)
		}
		checked++
		if got, want := hex.EncodeToString(id[:]), string(found[1])+string(found[2]); got != want {
			t.Errorf("%s: id %s, want %s", name, got, want)
		}
	}
	if checked != 14 {
		t.Errorf("%d ids checked, want 14", checked)
	}
}

func TestExampleKindsAndText(t *testing.T) {
	want := map[string]struct {
		kind Kind
		text string
	}{
		"original":     {KindText, "Hi everyone, we just shipped release 2.0. __Good  work__!"},
		"reply":        {KindReply, "Right on! _Congratulations_ 'all!"},
		"reaction":     {KindReaction, "❤"},
		"unlike":       {KindUnreact, ""},
		"mention":      {KindReply, "Kudos to [@Alice Smith](mimi://example.com/u/alice-smith) for making the release happen!"},
		"mention-html": {KindReply, "Kudos to @Alice Smith for making the release happen!"},
		"edit":         {KindEdit, "Right on! _Congratulations_ y'all!"},
		"delete":       {KindDelete, ""},
		"expiring":     {KindText, "__*VPN GOING DOWN*__ I'm rebooting the VPN in ten minutes unless anyone objects."},
		"attachment":   {KindAttachment, "2 hours of key signing video"},
		"conferencing": {KindSession, "Join the Foo 118 conference"},
		"multipart-1":  {KindText, "# Welcome!"},
		"multipart-2":  {KindText, "❤\n🥳\n🤞"}, // a reaction that says to nothing what it reacts to
		"multipart-3":  {KindText, "Welcome!"},
	}
	for name, w := range want {
		m := message(t, name)
		if got := m.Kind(); got != w.kind {
			t.Errorf("%s: kind %d, want %d", name, got, w.kind)
		}
		if got := m.PlainText(); got != w.text {
			t.Errorf("%s: text %q, want %q", name, got, w.text)
		}
	}
	for _, name := range []string{"mention", "mention-html"} {
		got := message(t, name).Mentions()
		if len(got) != 1 || got[0] != (Mention{"@Alice Smith", "mimi://example.com/u/alice-smith"}) {
			t.Errorf("%s: mentions %v", name, got)
		}
	}
	video := message(t, "attachment").Body.Content.(External)
	if video.Filename != "bigfile.mp4" || video.Size != 708234961 || video.EncAlg != 1 || len(video.ContentHash) != 32 {
		t.Errorf("attachment: %+v", video)
	}
	if e := message(t, "expiring").Expires; e == nil || *e != (Expiration{false, 1644390004}) {
		t.Errorf("expiring: %v", e)
	}
	if topic := message(t, "conferencing").Topic; string(topic) != "Foo 118" {
		t.Errorf("topic %q", topic)
	}
	indexes := 0
	for i, p := range message(t, "multipart-3").Parts() {
		if s, ok := p.Content.(Single); i != indexes || (i == 10) != (ok && s.ContentType == "image/png") {
			t.Errorf("part %d is %v", i, p)
		}
		indexes++
	}
	if indexes != 11 {
		t.Errorf("%d parts, want 11", indexes)
	}
}
