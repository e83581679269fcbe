package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/history"
)

// errInput is a line that looks like a command and is none that can be done. It is told, and
// the chat goes on.
var errInput = errors.New("not done")

// shownFile is a file that was shown under a number.
type shownFile struct {
	entry history.Entry
	index int // in the message
	name  string
}

// command does what a line that begins with a slash says; "//" begins a message with one.
func (t *chat) command(ctx context.Context, line string) error {
	word, rest, _ := strings.Cut(line[1:], " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "send":
		return t.sendFile(ctx, rest)
	case "save":
		number, path, _ := strings.Cut(rest, " ")
		return t.saveFile(ctx, number, strings.TrimSpace(path))
	case "typing":
		return t.client.Signal(ctx, t.with, clientlib.SignalTyping)
	}
	return fmt.Errorf("%w: /%s is no command; there are /send FILE, /save NUMBER [PATH] and /typing, and // begins a message with a slash", errInput, word)
}

// sendFile queues a file; how far it is, showProgress tells.
func (t *chat) sendFile(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no file", errInput, path)
	}
	what := content.File{Name: filepath.Base(path), Type: mime.TypeByExtension(filepath.Ext(path))}
	if _, err := t.client.SendFile(ctx, t.with, "", what, f); errors.Is(err, clientlib.ErrTooLarge) {
		return fmt.Errorf("%w: %s: %w", errInput, path, err)
	} else if err != nil {
		return err
	}
	return nil
}

// saveFile fetches the file of that number. It never writes over another file.
func (t *chat) saveFile(ctx context.Context, number, path string) error {
	n, err := strconv.Atoi(number)
	t.mu.Lock()
	known := err == nil && n >= 1 && n <= len(t.files)
	var file shownFile
	if known {
		file = t.files[n-1]
	}
	t.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: no file %q was shown", errInput, number)
	}
	if path == "" {
		path = file.name
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s is there already", errInput, path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	err = t.client.SaveFile(ctx, file.entry, file.index, out)
	if err = errors.Join(err, out.Close()); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("%w: %w", errInput, err)
	}
	fmt.Fprintf(t.err, "sealpost: saved %s\n", printable(path))
	return nil
}

// showFiles prints a line for each file of a message, with the number that /save takes.
func (t *chat) showFiles(who string, en history.Entry) {
	m, err := content.Decode(en.Body)
	if err != nil {
		return
	}
	for _, p := range m.Parts() {
		if s, ok := p.Content.(content.Single); ok && s.ContentType == content.PlainTextType {
			t.show(who, string(s.Data)) // what is said about them
		}
	}
	for i, f := range m.Files() {
		t.mu.Lock()
		t.files = append(t.files, shownFile{entry: en, index: i, name: f.Name})
		n := len(t.files)
		t.mu.Unlock()
		t.show(who, fmt.Sprintf("file %d: %s (%s, %s); /save %d", n, f.Name, f.Type, bytesText(f.Size), n))
	}
}

// showProgress tells how far files are, in steps that a terminal can bear.
func (t *chat) showProgress(ctx context.Context) {
	told := map[clientlib.MessageID]int64{}
	for p, err := range t.client.Progresses(ctx) {
		if err != nil {
			return
		}
		if p.Conversation != t.with || p.Size == 0 {
			continue
		}
		tenth := p.Done * 10 / p.Size
		if last, ok := told[p.Message]; ok && tenth == last {
			continue
		}
		told[p.Message] = tenth
		way := "receiving"
		if p.Upload {
			way = "sending"
		}
		fmt.Fprintf(t.err, "sealpost: %s a file: %d %% of %s\n", way, p.Done*100/p.Size, bytesText(p.Size))
	}
}

// showSignals tells what the peer does at this moment.
func (t *chat) showSignals(ctx context.Context) {
	for s, err := range t.client.Signals(ctx) {
		if err != nil {
			return
		}
		if s.Conversation == t.with && s.Account == t.peer {
			fmt.Fprintf(t.err, "sealpost: %s: %s\n", t.Peer, s.Kind)
		}
	}
}

// bytesText writes a size as people read it.
func bytesText(n int64) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
