package operatorlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 11, 22, 12, 20, 50, 0, time.UTC)

// fill makes a log of so many lines, each written by a process of its own.
func fill(t *testing.T, n int) (path string, lines []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), Name)
	for i := range n {
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		e := Entry{Time: day.Add(time.Duration(i) * time.Hour), Action: "suspend", Subject: strings.Repeat("ab", 20), User: "1000"}
		if err := l.Add(e); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
}

// bad counts the lines whose hash is wrong.
func bad(t *testing.T, text string) (bad int, head Head) {
	t.Helper()
	head, err := Read(strings.NewReader(text), func(_ string, ok bool) {
		if !ok {
			bad++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return bad, head
}

func TestEveryEditShows(t *testing.T) {
	_, lines := fill(t, 5)
	whole := strings.Join(lines, "") + "\n"
	n, head := bad(t, whole)
	if n != 0 || head.Lines != 5 || len(head.Hash) != 64 || !strings.Contains(whole, head.Hash+"\n") {
		t.Fatalf("%d lines of a log as it was written are wrong, its head is %+v:\n%s", n, head, whole)
	}
	if !strings.HasPrefix(whole, "2026-11-22T12:20:50Z suspend abab") {
		t.Errorf("it reads %q", lines[0])
	}
	edits := map[string]string{
		"another action": strings.Replace(whole, "suspend", "resumed", 1),
		"another user":   strings.Replace(whole, " 1000 ", " 1001 ", 1),
		"one left out":   lines[0] + lines[1] + lines[3] + lines[4] + "\n",
		"the first out":  strings.Join(lines[1:], "") + "\n",
		"one twice":      lines[0] + lines[1] + lines[1] + lines[2] + lines[3] + lines[4] + "\n",
		"two exchanged":  lines[0] + lines[2] + lines[1] + lines[3] + lines[4] + "\n",
		"a line put in":  lines[0] + "nothing of ours\n" + lines[1],
		"an endless one": lines[0] + strings.Repeat("x", 5000) + "\n" + strings.Join(lines[1:], "") + "\n",
	}
	for name, text := range edits {
		if n, _ := bad(t, text); n == 0 {
			t.Errorf("%s: every hash is right", name)
		}
	}
	// What the chain alone cannot show, the head does.
	if n, cut := bad(t, strings.Join(lines[:3], "")); n != 0 || cut == head {
		t.Errorf("a log without its end: %d wrong lines, head %+v", n, cut)
	}
}

// TestUnfinishedLine: what a killed process left of a line is taken out, and the chain goes on.
func TestUnfinishedLine(t *testing.T) {
	path, lines := fill(t, 3)
	for cut := range len(lines[2]) - 1 {
		text := lines[0] + lines[1] + lines[2][:cut]
		if n, head := bad(t, text); n != 0 || head.Lines != 2 {
			t.Fatalf("cut at %d: %d lines, %d wrong", cut, head.Lines, n)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Add(Entry{Time: day, Action: "resume", Subject: "-", User: "-"}); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		b, _ := os.ReadFile(path)
		if n, head := bad(t, string(b)); n != 0 || head.Lines != 3 || bytes.Count(b, []byte("\n")) != 3 {
			t.Fatalf("cut at %d and gone on: %d lines, %d wrong:\n%s", cut, head.Lines, n, b)
		}
	}
}

// TestR27_LineThatWasNotWritten: a disk that refuses a line keeps no later one out, and what it took
// of the first is not in the log.
func TestR27_LineThatWasNotWritten(t *testing.T) {
	path, _ := fill(t, 2)
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := Entry{Time: day, Action: "suspend", Subject: "-", User: "-"}
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := l.f
	l.f = readOnly
	for range 2 {
		if err := l.Add(e); err == nil {
			t.Fatal("a line is in a file that nobody can write")
		}
	}
	_ = readOnly.Close()
	l.f = whole
	if _, err := l.f.WriteAt([]byte(strings.Repeat("what the disk took of it\n", 40)), l.end); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := os.ReadFile(path)
	if n, head := bad(t, string(b)); n != 0 || head.Lines != 4 {
		t.Errorf("%d lines, %d wrong:\n%s", head.Lines, n, b)
	}
}

// TestR29_LineThatWasNotSynced: a line that may not be on disk is no line, and the next one is written
// in its place once the disk takes it.
func TestR29_LineThatWasNotSynced(t *testing.T) {
	path, _ := fill(t, 1)
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	failed := errors.New("input/output error")
	whole := l.sync
	l.sync = func(*os.File) error { return failed }
	for range 2 {
		if err := l.Add(Entry{Time: day, Action: "lost", Subject: "-", User: "-"}); !errors.Is(err, failed) {
			t.Errorf("a line that is not on disk: %v", err)
		}
	}
	l.sync = whole
	if err := l.Add(Entry{Time: day, Action: "kept", Subject: "-", User: "-"}); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	if n, head := bad(t, string(b)); n != 0 || head.Lines != 2 || bytes.Contains(b, []byte(" lost ")) {
		t.Errorf("%d lines, %d wrong:\n%s", head.Lines, n, b)
	}
}

func TestFieldsThatWouldBreakALine(t *testing.T) {
	l, err := Open(filepath.Join(t.TempDir(), Name))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, field := range []string{"", "a b", "a\nb", "é", strings.Repeat("a", 65)} {
		for _, e := range []Entry{{day, field, "-", "-"}, {day, "suspend", field, "-"}, {day, "suspend", "-", field}} {
			if err := l.Add(e); !errors.Is(err, ErrEntry) {
				t.Errorf("%+v: %v", e, err)
			}
		}
	}
}
