package content

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

func mustEncode(t testing.TB, m *Message) []byte {
	t.Helper()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConstructors(t *testing.T) {
	first := Text("grüße, 世界\n*not markup*")
	id, err := first.ID("a", "r")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m    *Message
		kind Kind
		text string
		to   *MessageID
	}{
		{first, KindText, "grüße, 世界\n*not markup*", nil},
		{Reply(id, "yes"), KindReply, "yes", &id},
		{Reaction(id, "👍🏽"), KindReaction, "👍🏽", &id},
		{Text("broken \xff"), KindText, "broken \ufffd", nil},
	} {
		back, err := Decode(mustEncode(t, c.m))
		if err != nil {
			t.Fatal(err)
		}
		if back.Kind() != c.kind || back.PlainText() != c.text {
			t.Errorf("kind %d, text %q, want %d, %q", back.Kind(), back.PlainText(), c.kind, c.text)
		}
		if (back.InReplyTo == nil) != (c.to == nil) || c.to != nil && *back.InReplyTo != *c.to {
			t.Errorf("%q answers %x", c.text, back.InReplyTo)
		}
	}
	if a, b := Text("x"), Text("x"); a.Salt == b.Salt {
		t.Error("two messages have the same salt")
	}
}

func TestIDBindsSenderRoomAndBytes(t *testing.T) {
	m := Text("x")
	seen := map[MessageID]bool{}
	for _, uris := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"ab", "d"}} {
		id, err := m.ID(uris[0], uris[1])
		if err != nil || id[0] != HashSHA256 {
			t.Fatal(id, err)
		}
		seen[id] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d ids for four senders and rooms", len(seen))
	}
	if _, err := m.ID(strings.Repeat("u", 65536), ""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a uri of 64 KiB: %v", err)
	}
}

func TestEveryPrefixFails(t *testing.T) {
	for name, b := range examples(t) {
		for i := range b {
			if _, err := Decode(b[:i]); err == nil {
				t.Fatalf("%s: the first %d bytes of %d decode", name, i, len(b))
			}
			if _, err := DecodeDerived(b[:i]); err == nil {
				t.Fatalf("%s: the first %d bytes of %d decode as derived values", name, i, len(b))
			}
		}
		if _, err := Decode(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s: decodes with a trailing byte", name)
		}
	}
	if _, err := Decode(append(mustEncode(t, Text("x")), 0)); !errors.Is(err, ErrTrailing) {
		t.Errorf("trailing byte: %v", err)
	}
}

// raw builds a message around the hex of its extensions and body.
func raw(t testing.TB, extensions, body string) []byte {
	t.Helper()
	b, err := hex.DecodeString("87" + "50" + strings.Repeat("ab", 16) + "f640f6f6" + extensions + body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRefuses(t *testing.T) {
	const null = "83016000"
	nested := func(levels int) string {
		s := null
		for range levels - 1 {
			s = "8501600300" + "82" + s + null
		}
		return s
	}
	if _, err := Decode(raw(t, "a0", nested(4))); err != nil {
		t.Fatalf("four levels of parts: %v", err)
	}
	if _, err := Decode(raw(t, "a1190100"+"81"+"81"+"d820"+"60", null)); err != nil {
		t.Fatalf("four levels of extensions: %v", err)
	}
	for name, c := range map[string]struct {
		extensions, body string
		want             error
	}{
		"five levels of parts":        {"a0", nested(5), ErrTooDeep},
		"bomb of arrays":              {"a0", strings.Repeat("81", 4096) + "00", ErrTooDeep},
		"five levels of extensions":   {"a11901008181d82081" + "00", null, ErrTooDeep},
		"indefinite array":            {"a0", "9f016000ff", ErrIndefinite},
		"indefinite map":              {"bfff", null, ErrIndefinite},
		"indefinite text":             {"a0", "83017f60ff00", ErrIndefinite},
		"indefinite bytes":            {"a118405f40ff", null, ErrIndefinite},
		"long integer":                {"a0", "8318016000", ErrNotDeterministic},
		"long length":                 {"a0", "83017800" + "00", ErrNotDeterministic},
		"long array head":             {"a0", "9803016000", ErrNotDeterministic},
		"keys out of order":           {"a2026001" + "60", null, ErrNotDeterministic},
		"key twice":                   {"a20160" + "0160", null, ErrDuplicateKey},
		"text key before integer":     {"a2616100" + "1840" + "00", null, ErrNotDeterministic},
		"empty text key":              {"a16000", null, ErrSyntax},
		"bytes as key":                {"a1416100", null, ErrSyntax},
		"array as key":                {"a1800" + "0", null, ErrSyntax},
		"key beyond 2^53":             {"a11b002000000000000000", null, ErrSyntax},
		"sender is no text":           {"a10100", null, ErrSyntax},
		"wide float":                  {"a11840fa3f800000", null, ErrNotDeterministic},
		"wider float":                 {"a11840fb3ff0000000000000", null, ErrNotDeterministic},
		"odd nan":                     {"a11840f97e01", null, ErrNotDeterministic},
		"wide nan":                    {"a11840fa7fc00000", null, ErrNotDeterministic},
		"small bignum":                {"a11840c2420100", null, ErrNotDeterministic},
		"bignum of text":              {"a11840c26161", null, ErrSyntax},
		"reserved simple":             {"a11840f818", null, ErrSyntax},
		"reserved length":             {"a118401c", null, ErrSyntax},
		"broken utf-8":                {"a0", "830161ff00", ErrUTF8},
		"length bomb":                 {"a0", "8501600160" + "5affffffff", ErrTruncated},
		"array bomb":                  {"a0", "85016003009affffffff", ErrTruncated},
		"part of unknown cardinality": {"a0", "83016004", ErrSyntax},
		"null part with fields":       {"a0", "850160006060", ErrSyntax},
		"one part in a multi":         {"a0", "850160030081" + null, ErrSyntax},
		"unknown semantics":           {"a0", "850160030382" + null + null, ErrSyntax},
		"disposition beyond 255":      {"a0", "831901006000", ErrSyntax},
		"integers for bytes":          {"a0", "850160016080", ErrSyntax},
		"null for text":               {"a0", "8301f600", ErrSyntax},
	} {
		_, err := Decode(raw(t, c.extensions, c.body))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, floats := range map[string]string{"float32": "fa47c35000", "float64": "fb3ff199999999999a", "half": "f93c00", "nan": "f97e00", "below half": "fa33000000", "bignum": "c249010000000000000000"} {
		if _, err := Decode(raw(t, "a11840"+floats, null)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A reference that is no SHA-256 id, or an expiry that is no boolean, is refused both ways.
func TestRefusesFields(t *testing.T) {
	odd := MessageID{0: 7}
	for name, c := range map[string]struct {
		change func(*Message)
		want   error
	}{
		"unknown hash":     {func(m *Message) { m.InReplyTo = &odd }, ErrHash},
		"long topic":       {func(m *Message) { m.Topic = make([]byte, maxTopic+1) }, ErrTooLarge},
		"oversize":         {func(m *Message) { m.Body = Text(strings.Repeat("x", MaxSize)).Body }, ErrTooLarge},
		"long key":         {func(m *Message) { m.Extensions = Extensions{{Name: strings.Repeat("k", 256)}: {0}} }, ErrSyntax},
		"ambiguous key":    {func(m *Message) { m.Extensions = Extensions{{1, "k"}: {0}} }, ErrSyntax},
		"garbage value":    {func(m *Message) { m.Extensions = Extensions{{Name: "k"}: {0x18, 0x01}} }, ErrNotDeterministic},
		"two values":       {func(m *Message) { m.Extensions = Extensions{{Name: "k"}: {0, 0}} }, ErrSyntax},
		"broken language":  {func(m *Message) { m.Body.Language = "\xff" }, ErrUTF8},
		"pointer content":  {func(m *Message) { m.Body.Content = &Null{} }, ErrSyntax},
		"too many parts":   {func(m *Message) { m.Body.Content = Multi{Parts: make([]Part, maxParts)} }, ErrTooLarge},
		"lonely part":      {func(m *Message) { m.Body.Content = Multi{Parts: make([]Part, 1)} }, ErrSyntax},
		"unknown relation": {func(m *Message) { m.Body.Content = Multi{Semantics: 3, Parts: make([]Part, 2)} }, ErrSyntax},
	} {
		m := Text("x")
		c.change(m)
		if _, err := m.Encode(); err == nil || name != "two values" && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	m := Text("x")
	m.Expires = &Expiration{true, 60}
	b := bytes.Replace(mustEncode(t, m), []byte{0x82, 0xf5}, []byte{0x82, 0xf6}, 1)
	if _, err := Decode(b); !errors.Is(err, ErrSyntax) {
		t.Errorf("null for a boolean: %v", err)
	}
}

// R15: what decoding allocates is bounded by what was sent, however the lengths lie.
func TestR15_AllocationIsBoundedByInput(t *testing.T) {
	bodies := []string{
		strings.Repeat("81", 100000),
		"85016003009b00000000ffffffff",
		"8501600160" + "5b7fffffffffffffff",
		"850160030099ffff" + strings.Repeat("83016000", 2000),
		"8501600160" + "5a00010000" + strings.Repeat("00", 65536),
	}
	for _, body := range bodies {
		b := raw(t, "a0", body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Decode(b)
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(8*len(b)+64<<10); got > limit {
			t.Errorf("%d bytes cost %d, limit %d", len(b), got, limit)
		}
	}
}

func TestC23_PlainTextCannotDriveATerminal(t *testing.T) {
	hostile := "\x1b[2Jgone\x07\u009b31m \u202Etxt.exe\r\nnext\tcolumn\x00"
	for _, kind := range []string{PlainTextType, MarkdownType, "text/html;charset=utf-8"} {
		m := Text("")
		m.Body.Content = Single{kind, []byte(hostile)}
		if got := m.PlainText(); got != "[2Jgone31m txt.exe\nnext\tcolumn" {
			t.Errorf("%s: %q", kind, got)
		}
	}
	m := Text("")
	m.Body.Content = Single{"text/html", []byte("<style>p{}</style>a &lt;b&gt;<script>x()</script><br/>c</script>d")}
	if got := m.PlainText(); got != "a <b>\ncd" {
		t.Errorf("html: %q", got)
	}
	m.Body.Content = Single{"application/octet-stream", []byte("bytes")}
	if got := m.PlainText(); got != "" {
		t.Errorf("unknown type: %q", got)
	}
}

func TestMentionsAreBounded(t *testing.T) {
	m := Text("")
	for _, flood := range []string{strings.Repeat("[@a](u)", 500), strings.Repeat(`<a href="u">@a</a>`, 500)} {
		kind := MarkdownType
		if flood[0] == '<' {
			kind = "text/html"
		}
		m.Body.Content = Single{kind, []byte(flood)}
		if got := len(m.Mentions()); got != maxMentions {
			t.Errorf("%s: %d mentions", kind, got)
		}
	}
	m.Body.Content = Single{MarkdownType, []byte("[x](u) [@a [@b](mimi:b) [@c](has space) [@d]( [#tag](t)")}
	got := m.Mentions()
	if len(got) != 2 || got[0] != (Mention{"@b", "mimi:b"}) || got[1] != (Mention{"#tag", "t"}) {
		t.Errorf("mentions %v", got)
	}
}

func TestExpiration(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	if at := (Expiration{true, 60}).At(now); !at.Equal(now.Add(time.Minute)) {
		t.Errorf("relative: %v", at)
	}
	if !(Expiration{false, 1_700_000_100}).Plausible(now) || (Expiration{false, 100}).Plausible(now) ||
		(Expiration{true, 1 << 30}).Plausible(now) {
		t.Error("an expiry years away is plausible, or a near one is not")
	}
}

// FuzzDecode: what decodes encodes to the same bytes, and nothing panics.
func FuzzDecode(f *testing.F) {
	for _, b := range examples(f) {
		f.Add(b)
	}
	f.Add(raw(f, "a21901008181d8206020a1", "83016000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := DecodeDerived(b); err == nil {
			if again, err := v.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("derived %x encodes to %x, %v", b, again, err)
			}
		}
		m, err := Decode(b)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
		m.PlainText()
		m.Mentions()
		m.Kind()
	})
}
