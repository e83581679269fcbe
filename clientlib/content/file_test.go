package content

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// video is a file like those that people send.
func video() File {
	f := File{
		Name: "first steps.mp4", Type: "video/mp4", Description: "Ida's first steps", Size: 708_234_961,
		Expires: time.Unix(1_800_000_000, 0),
	}
	for i := range f.Key {
		f.Key[i], f.Hash[i] = byte(i), byte(0xe0+i)
	}
	return f
}

// decoded sends m and receives it.
func decoded(t testing.TB, m *Message) *Message {
	t.Helper()
	m, err := Decode(mustEncode(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func attachment(t testing.TB, caption string, files ...File) *Message {
	t.Helper()
	m, err := NewAttachment(caption, files...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFilesRoundTrip(t *testing.T) {
	one := video()
	two := File{Name: "empty", Type: "text/plain", Inline: true, Hash: [32]byte{9}}
	for name, c := range map[string]struct {
		caption string
		files   []File
		text    string
	}{
		"one":         {"", []File{one}, "Ida's first steps"},
		"captioned":   {"Look!", []File{one}, "Look!\nIda's first steps"},
		"two":         {"", []File{one, two}, "Ida's first steps\nempty"},
		"as many":     {"", make([]File, MaxFiles), strings.TrimSpace(strings.Repeat("file\n", MaxFiles))},
		"nothing set": {"x", []File{{}}, "x\nfile"},
	} {
		m := decoded(t, attachment(t, c.caption, c.files...))
		if got := m.PlainText(); got != c.text {
			t.Errorf("%s: text %q, want %q", name, got, c.text)
		}
		got := m.Files()
		if m.Kind() != KindAttachment || len(got) != len(c.files) {
			t.Fatalf("%s: kind %d, %d files", name, m.Kind(), len(got))
		}
		for i, want := range c.files {
			if want.Name == "" {
				want.Name, want.Type = noName, noType
			}
			if !got[i].Expires.Equal(want.Expires) {
				t.Errorf("%s: expires %v, want %v", name, got[i].Expires, want.Expires)
			}
			if got[i].Expires = want.Expires; got[i] != want {
				t.Errorf("%s: file %d is %+v, want %+v", name, i, got[i], want)
			}
		}
	}
	for name, files := range map[string][]File{"none": nil, "too many": make([]File, MaxFiles+1), "no size": {{Size: -1}}, "no such size": {{Size: 1<<40 + 1}}} {
		if _, err := NewAttachment("x", files...); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The bytes that a file makes of the draft's external part.
func TestFileVector(t *testing.T) {
	m := attachment(t, "", video())
	m.Salt = [SaltSize]byte{}
	const want = "875000000000000000000000000000000000f640f6f6a08f06600269766964656f2f6d7034784e7365616c706f73743a626c6f623a6530" +
		"65316532653365346535653665376538653965616562656365646565656666306631663266336634663566366637663866396661666266" +
		"636664666566661a6b49d2001a2a36ced119f5f15820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f40" +
		"40015820e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff7149646127732066697273742073746570736f" +
		"66697273742073746570732e6d7034"
	if got := hex.EncodeToString(mustEncode(t, m)); got != want {
		t.Errorf("encodes to %s", got)
	}
	ours := decoded(t, m).Body.Content.(External)
	ids := [...]bool{ours.EncAlg >= 32768, ours.HashAlg == HashSHA256, len(ours.Nonce) == 0, len(ours.AAD) == 0}
	if ids != [...]bool{true, true, true, true} {
		t.Errorf("not as the draft says: %v", ids)
	}
}

// C17: what a member writes that is no file of this conversation is not offered for fetching,
// and the files beside it are.
func TestC17_OnlyFilesOfTheConversation(t *testing.T) {
	good := attachment(t, "", video())
	for name, change := range map[string]func(*External){
		"elsewhere":           func(e *External) { e.URL = "https://tracker.example/pixel.png" },
		"another blob":        func(e *External) { e.URL = fileURL + strings.Repeat("0", 64) },
		"another queue":       func(e *External) { e.URL += "?queue=1" },
		"capitals":            func(e *External) { e.URL = strings.ToUpper(e.URL) },
		"no url":              func(e *External) { e.URL = "" },
		"not encrypted":       func(e *External) { e.EncAlg, e.Key = 0, nil },
		"another algorithm":   func(e *External) { e.EncAlg = 1 },
		"a short key":         func(e *External) { e.Key = e.Key[:31] },
		"a long key":          func(e *External) { e.Key = append(e.Key, 0) },
		"a nonce":             func(e *External) { e.Nonce = make([]byte, 12) },
		"associated data":     func(e *External) { e.AAD = []byte{0} },
		"another hash":        func(e *External) { e.HashAlg = 2 },
		"a short hash":        func(e *External) { e.ContentHash = e.ContentHash[:16] },
		"no hash":             func(e *External) { e.HashAlg, e.ContentHash, e.URL = 0, nil, fileURL },
		"a size beyond sense": func(e *External) { e.Size = 1<<63 + 1 },
	} {
		e := decoded(t, good).Body.Content.(External)
		change(&e)
		if f, err := e.File(); !errors.Is(err, ErrFile) || f != (File{}) {
			t.Errorf("%s: %v", name, err)
		}
		m := attachment(t, "", video(), video())
		m.Body.Content.(Multi).Parts[0].Content = e
		if got := decoded(t, m).Files(); len(got) != 1 {
			t.Errorf("%s: %d files", name, len(got))
		}
	}
	many := attachment(t, "", make([]File, MaxFiles)...)
	multi := many.Body.Content.(Multi)
	multi.Parts = append(multi.Parts, multi.Parts...)
	many.Body.Content = multi
	if got := decoded(t, many).Files(); len(got) != MaxFiles {
		t.Errorf("%d files in one message", len(got))
	}
	if got := message(t, "attachment").Files(); len(got) != 0 {
		t.Errorf("the draft's example lies elsewhere, and is offered: %v", got)
	}
}

func TestC23_FileNames(t *testing.T) {
	long := strings.Repeat("ä", 300)
	for in, want := range map[string]string{
		"report.pdf":             "report.pdf",
		"größe 世界 👩‍👩‍👧.txt":     "größe 世界 👩‍👩‍👧.txt",
		"../../etc/passwd":       "passwd",
		`C:\Users\me\secret.doc`: "secret.doc",
		"/":                      "file",
		"..":                     "file",
		".":                      "file",
		"":                       "file",
		"\x00\x1b[2J":            "[2J",
		".bashrc":                "bashrc",
		"-rf":                    "rf",
		"~root":                  "root",
		"photo\u202Egpj.exe":     "photogpj.exe",
		"a\u2066b\u2069\u200e\u061c\ufeff\u00ad.txt": "ab.txt",
		"line\r\nbreak\u2028.txt":                    "linebreak.txt",
		"a\u00a0b\u3000c":                            "a b c",
		"notes.txt. . ":                              "notes.txt",
		"x.txt:stream":                               "x.txt_stream",
		`<>"|?*`:                                     "______",
		"con":                                        "_con",
		"NUL.txt":                                    "_NUL.txt",
		"Com1.tar.gz":                                "_Com1.tar.gz",
		"lpt¹":                                       "_lpt¹",
		"aux .txt":                                   "_aux .txt",
		"common.txt":                                 "common.txt",
		"comb":                                       "comb",
		"\xff\xfe":                                   "_",
		long + ".jpeg":                               strings.Repeat("ä", 97) + ".jpeg",
		long + "." + long:                            long[:200],
		"x." + strings.Repeat("y", 300):              "x." + strings.Repeat("y", 198),
	} {
		if got := SafeName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestC23_FileTypesAndDescriptions(t *testing.T) {
	for in, want := range map[string]string{
		"image/PNG": "image/png", "text/html; charset=utf-8; charset=x": "text/html", " video/mp4 ": "video/mp4", "": noType, "text": noType, "a/b/c": noType,
		"text/\x1b": noType, "text/plain\r\nx": noType, "a/" + strings.Repeat("b", 300): noType, "ä/b": noType, "/": noType,
	} {
		if got := SafeType(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f := video()
	f.Description = "\x1b[2J\u202etxt" + strings.Repeat("ä", 5000)
	f.Name, f.Type = "/srv/me/x", "nothing"
	m := attachment(t, "", f)
	// What leaves the device is safe already, and what comes in is made so.
	e := m.Body.Content.(External)
	if e.Filename != "x" || e.ContentType != noType || strings.ContainsAny(e.Description, "\x1b\u202e") || len(e.Description) > maxDescription {
		t.Errorf("%q, %q, %d bytes of description are sent", e.Filename, e.ContentType, len(e.Description))
	}
	e.Filename, e.Description = "..\\evil\u202e.exe", "\u202eevil"
	if got, err := e.File(); err != nil || got.Name != "evil.exe" || got.Description != "evil" {
		t.Errorf("%q, %q: %v", got.Name, got.Description, err)
	}
	m.Body.Content = External{Filename: "..\\evil\u202e.exe"}
	if got := m.PlainText(); got != "evil.exe" {
		t.Errorf("shown in one line as %q", got)
	}
}

// C13: a file's key does not print, wherever it stands.
func TestC13_FileKeysDoNotPrint(t *testing.T) {
	f := video()
	for i := range f.Key {
		f.Key[i] = 0xfa
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", f.Key, "file", f)
	shown := log.String()
	if strings.Contains(shown, f.Name) {
		t.Error("a file's name was logged")
	}
	f.Hash = [32]byte{}
	for _, v := range []any{f.Key, &f.Key, f, &f, []File{f}, map[int]FileKey{1: f.Key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%c"} {
			shown += fmt.Sprintf(verb, v)
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		shown += string(j)
	}
	for _, form := range []string{"fafa", "FAFA", "0xfa", "250", "11111010", "\xfa", "+vr6", "ú"} {
		if strings.Contains(shown, form) {
			t.Errorf("a key was shown as %q", form)
		}
	}
}

// FuzzSafeName: whatever a sender suggests, the name is safe, and safe to make safe again.
func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"a.txt", "../x", "con.", strings.Repeat(". ", 200), strings.Repeat("x", 201) + ".aux", "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := SafeName(s)
		if got == "" || len(got) > maxName || strings.ContainsAny(got, "/\\\x00\n\u202e"+forbidden) || got[0] == '.' {
			t.Fatalf("%q: %q", s, got)
		}
		if again := SafeName(got); again != got {
			t.Fatalf("%q: %q, then %q", s, got, again)
		}
		if kind := SafeType(s); SafeType(kind) != kind {
			t.Fatalf("%q: type %q", s, kind)
		}
		if d := safeText(s); safeText(d) != d || len(d) > maxDescription {
			t.Fatalf("%q: description %q", s, d)
		}
	})
}
