// Package operatorlog is the record of what an operator did to a running server: a text file
// that is only added to, one line an action.
//
//	2026-11-22T12:20:50Z suspend 3f…(40 hex digits) 1000 9c…(64 hex digits)
//
// are the time (UTC), the action, what it was done to or "-", the user id of whoever connected
// to the admin socket or "-", and SHA-256 of the line before, newline and all, followed by this
// line up to its hash. A line that was changed, taken out or put in does not agree with its hash,
// or the one behind it does not. That the last lines are missing, or that the whole file was
// written anew, shows only to whoever kept the hash that [Read] returned: write it down.
//
// Start with [Open], [Log.Add] and [Read]. A line is on disk before Add returns, so it comes
// before the action, and one whose action failed is followed by another that says so.
//
// What an action was done to is named as the store names its records, by an HMAC under the
// storage key: the file alone gives away no queue's id, and whoever has the id and the key finds
// the line.
package operatorlog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Name is the file's name inside the data folder.
const Name = "operator.log"

// maxLine bounds a line that is read, in bytes; ours are below 200.
const maxLine = 1 << 10

// ErrEntry: a field of an entry is empty or has a space in it.
var ErrEntry = errors.New("operator log: a field that cannot be written")

// Entry is one action.
type Entry struct {
	Time    time.Time // whole seconds
	Action  string    // one word
	Subject string    // hexadecimal name of a record, or "-"
	User    string    // id of the user who asked, or "-" where the system does not tell
}

// A Log is an open log. Add is safe for concurrent use; one process at a time has it open.
type Log struct {
	mu   sync.Mutex
	f    *os.File
	last []byte // the last whole line, guarded by mu
	err  error  // of a write that failed, guarded by mu
}

// Open opens the log at path, or makes it, mode 0600. An unfinished last line is of a process
// that died before it did what the line says; it is taken out. What the lines say is not
// checked: a server that somebody tampered with must still stop a queue when told to.
func Open(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("operator log: %w", err)
	}
	l := &Log{f: f}
	end := int64(0)
	r := bufio.NewReaderSize(f, maxLine)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("operator log: %w", err)
		}
		l.last, end = line, end+int64(len(line))
	}
	err = f.Truncate(end)
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("operator log: %w", err)
	}
	return l, nil
}

// Add writes an entry and returns when it is on disk. After an error nothing more is written:
// what is in the file is not known then.
func (l *Log) Add(e Entry) error {
	body, err := e.line()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	line := append(body, hash(l.last, body)+"\n"...)
	_, err = l.f.Write(line)
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		l.err = fmt.Errorf("operator log: %w", err)
		return l.err
	}
	l.last = line
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }

// line is what the hash covers of an entry.
func (e Entry) line() ([]byte, error) {
	for _, field := range []string{e.Action, e.Subject, e.User} {
		if field == "" || len(field) > 64 || strings.ContainsFunc(field, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, ErrEntry
		}
	}
	return fmt.Appendf(nil, "%s %s %s %s ", e.Time.UTC().Format(time.RFC3339), e.Action, e.Subject, e.User), nil
}

func hash(before, body []byte) string {
	h := sha256.New()
	h.Write(before)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// Head is where a log stands: how many lines it has, and the hash of the last one.
type Head struct {
	Lines int
	Hash  string // empty without lines
}

// Read calls fn with each line, without its newline, and whether its hash is right. A last line
// without a newline is being written, or was never finished, and is passed over.
func Read(in io.Reader, fn func(line string, ok bool)) (Head, error) {
	r := bufio.NewReaderSize(in, maxLine)
	var head Head
	var before []byte
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case err == io.EOF:
			return head, nil
		case errors.Is(err, bufio.ErrBufferFull): // no line of ours
			head, before = Head{head.Lines + 1, ""}, nil
			fn("(a line of more than 1024 bytes)", false)
			if err = skipLine(r); err != nil {
				return head, err
			}
			continue
		case err != nil:
			return head, fmt.Errorf("operator log: %w", err)
		}
		text := bytes.TrimSuffix(line, []byte("\n"))
		at := bytes.LastIndexByte(text, ' ') + 1
		ok := at > 0 && string(text[at:]) == hash(before, text[:at])
		head = Head{head.Lines + 1, string(text[at:])}
		fn(string(text), ok)
		before = bytes.Clone(line)
	}
}

// skipLine reads to the end of a line.
func skipLine(r *bufio.Reader) error {
	for {
		_, err := r.ReadSlice('\n')
		switch {
		case err == nil || err == io.EOF:
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("operator log: %w", err)
		}
	}
}
