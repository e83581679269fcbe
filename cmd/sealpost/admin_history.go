package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/folder"
	"github.com/sealpost/sealpost/internal/operatorlog"
	"github.com/sealpost/sealpost/relay"
)

// operatorLogPath returns where the operator's log is. Outside the data folder it outlives that
// one's disk, and so do the suspensions that are in it.
func operatorLogPath(cfg serveConfig) string {
	if cfg.OperatorLog != "" {
		return cfg.OperatorLog
	}
	return filepath.Join(cfg.Data, operatorlog.Name)
}

// suspensions reads from an operator's log which queues it leaves suspended (true) and which not,
// by the names of their records. Of a queue whose last line says that it failed nothing is known.
// Lines that are not as they were written are passed over and counted.
func suspensions(in io.Reader) (last map[string]bool, wrong int, err error) {
	last = make(map[string]bool)
	_, err = operatorlog.Read(in, func(line string, ok bool) {
		e, err := operatorlog.Parse(line)
		if !ok || err != nil {
			wrong++
			return
		}
		switch e.Action {
		case "suspend":
			last[e.Subject] = true
		case "resume":
			last[e.Subject] = false
		case "suspend" + failed, "resume" + failed:
			delete(last, e.Subject)
		}
	})
	return last, wrong, err
}

// settle puts the relay's queues into the state that the operator's log leaves them in, before
// anybody is served: a store that was put back from a backup is older than the log may be, and a
// crash may have come between a line and what it says.
func (s *server) settle(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("operator log: %w", err)
	}
	defer f.Close()
	last, wrong, err := suspensions(f)
	if err != nil {
		return err
	}
	if wrong > 0 {
		s.log.Error("the operator's log was edited, or its disk is damaged: see sealpost admin log", "lines", wrong)
	}
	settled := 0
	for name, on := range last {
		changed, err := s.relay.SuspendRecord(ctx, name, on)
		switch {
		case errors.Is(err, relay.ErrUnknown): // deleted since, or newer than the store
		case err != nil:
			s.log.Error("a queue is not in the state that the operator's log leaves it in", "error", err)
		case changed:
			settled++
		}
	}
	if settled > 0 {
		s.log.Warn("queues were suspended or resumed as the operator's log has it", "queues", settled)
	}
	return nil
}

// journal is what becomes of the operator's log in a restore: the one in the backup, or the same
// one with what came later, which lies where the settings say.
type journal struct {
	path  string // where the server will look for it
	kept  bool   // it is there already
	lines []byte // of the backup
}

// journalOf looks at the log that the settings name, and refuses one that does not go on from the
// backup's: that of another server, an older one, or one that was edited.
func journalOf(path string, inside bool, inBackup []byte) (journal, error) {
	h := journal{path: path, lines: inBackup}
	if inside {
		return h, nil // the folder is empty, or refused
	}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return h, nil
	case err != nil:
		return h, err
	case !bytes.HasPrefix(b, inBackup):
		return h, fmt.Errorf("%s does not go on from the operator's log in the backup: it is older, or another server's; move it away to go on with the backup's", path)
	}
	_, wrong, err := suspensions(bytes.NewReader(b))
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%s: %d lines are not as they were written; move it away to go on with the operator's log in the backup", path, wrong)
	}
	h.kept = true
	return h, err
}

// place writes the backup's log to where it is looked for, unless a newer one is there.
func (h journal) place() error {
	if h.kept || len(h.lines) == 0 {
		return nil
	}
	return errors.Join(writeFile(h.path, bytes.NewReader(h.lines)), folder.Sync(filepath.Dir(h.path)))
}
