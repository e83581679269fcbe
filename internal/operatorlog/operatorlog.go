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
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/folder"
)

// Name is the file's name inside the data folder.
const Name = "operator.log"

// maxLine bounds a line that is read, in bytes; ours are below 200.
const maxLine = 1 << 10

// ErrEntry: a field of an entry is empty or has a space in it, or a line has other fields.
var ErrEntry = errors.New("operator log: not the fields of an entry")

// Entry is one action.
type Entry struct {
	Time    time.Time // whole seconds
	Action  string    // one word
	Subject string    // hexadecimal name of a record, or "-"
	User    string    // id of the user who asked, or "-" where the system does not tell
}

// A Log is an open log. Add is safe for concurrent use; one process at a time has it open.
type Log struct {
	sync     func(*os.File) error // static; a test has it fail
	mu       sync.Mutex
	f        *os.File
	last     []byte // the last whole line, guarded by mu
	end      int64  // of the lines that are on disk, guarded by mu
	reserved int64  // up to where room was asked for, guarded by mu
	torn     bool   // there may be something behind end, guarded by mu
}

// reserve is how much room a log keeps on its disk, in bytes, for some three hundred lines: what is
// tried on a disk that others have filled is written down, though the store may refuse it (below 64 MiB).
const reserve = 64 << 10

// Open opens the log at path, or makes it, mode 0600. An unfinished last line is of a process
// that died before it did what the line says; it is taken out. What the lines say is not
// checked: a server that somebody tampered with must still stop a queue when told to. The file's
// name is on disk when Open returns.
func Open(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("operator log: %w", err)
	}
	l := &Log{f: f, sync: (*os.File).Sync}
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
	l.end, l.torn = end, true
	err = l.mend()
	if err == nil {
		err = folder.Sync(filepath.Dir(path))
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("operator log: %w", err)
	}
	l.keepRoom()
	return l, nil
}

// Add writes an entry and returns when it is on disk. After an error it is not in the log, unless
// the process dies before the next Add, or the disk takes nothing back either; that one tries again.
func (l *Log) Add(e Entry) error {
	body, err := e.line()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.mend(); err != nil {
		return fmt.Errorf("operator log: %w", err)
	}
	line := append(body, hash(l.last, body)+"\n"...)
	_, err = l.f.WriteAt(line, l.end)
	if err == nil {
		err = l.sync(l.f)
	}
	if err != nil {
		l.torn = true
		return fmt.Errorf("operator log: %w", errors.Join(err, l.mend()))
	}
	l.last, l.end = line, l.end+int64(len(line))
	l.keepRoom()
	return nil
}

// mend takes out what a write that failed, or a process that died, left behind the last line. What
// is written there next is new to the disk, whatever became of a sync that failed. The caller
// holds mu.
func (l *Log) mend() error {
	if !l.torn {
		return nil
	}
	err := l.f.Truncate(l.end)
	if err == nil {
		err = l.sync(l.f)
	}
	l.torn, l.reserved = err != nil, 0
	return err
}

// keepRoom asks for room before the last is half used. Without it a full disk refuses lines, as it
// does on systems that reserve none. The caller holds mu.
func (l *Log) keepRoom() {
	if l.reserved-l.end < reserve/2 && allocate(l.f, l.end, reserve) == nil {
		l.reserved = l.end + reserve
	}
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

// Parse takes a line apart that [Read] gave. ErrEntry: it is none of ours.
func Parse(line string) (Entry, error) {
	fields := strings.Split(line, " ")
	if len(fields) != 5 {
		return Entry{}, ErrEntry
	}
	at, err := time.Parse(time.RFC3339, fields[0])
	if err != nil {
		return Entry{}, ErrEntry
	}
	return Entry{Time: at, Action: fields[1], Subject: fields[2], User: fields[3]}, nil
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
