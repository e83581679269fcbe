package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sealpost/sealpost/relay"
)

// suspendCommand stops a queue of a running server.
type suspendCommand struct {
	Queue string `arg:"" default:"-" help:"The queue's id: 32 bytes, hexadecimal or base64url. Without it, or as -, it is read from standard input, and stands neither in the shell's history nor in the list of processes, which every user of the machine can read; one that begins with - is no flag behind --."`
	adminTarget
}

// resumeCommand has a suspended queue go on.
type resumeCommand struct{ suspendCommand }

var errQueueID = errors.New("a queue's id is 32 bytes, as 64 hexadecimal digits or 43 characters of base64url")

// maxQueueLine bounds what is read of standard input for a queue's id, in bytes.
const maxQueueLine = 256

// parseQueue reads a queue's id as clients and courts write it.
func parseQueue(s string) (relay.QueueID, error) {
	s = strings.TrimRight(s, "=")
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(relay.QueueID{}) {
		b, err = base64.RawURLEncoding.DecodeString(s)
	}
	if err != nil || len(b) != len(relay.QueueID{}) {
		return relay.QueueID{}, errQueueID
	}
	return relay.QueueID(b), nil
}

// Run suspends the queue.
func (c *suspendCommand) Run(ctx context.Context, s streams) error { return c.run(ctx, s, "suspend") }

// Run has the queue go on.
func (c *resumeCommand) Run(ctx context.Context, s streams) error { return c.run(ctx, s, "resume") }

func (c *suspendCommand) run(ctx context.Context, s streams, command string) error {
	text := c.Queue
	if text == "-" {
		line, err := bufio.NewReader(io.LimitReader(s.in, maxQueueLine)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		text = strings.TrimSpace(line)
	}
	queue, err := parseQueue(text)
	if err != nil {
		return err
	}
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	answer, err := ask(ctx, cfg.Data, command, hex.EncodeToString(queue[:]))
	if errors.Is(err, errNoServer) {
		return fmt.Errorf("%w: start it first", err)
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	fmt.Fprint(s.out, string(said))
	return err
}

// failed is what is behind an action's name in the log if nobody knows whether it was done.
const failed = "-failed"

// suspending answers "suspend" and "resume". The log has the name of the queue's records, and not
// its id: whoever gets hold of the data folder without the storage key learns of no queue.
func (o *operator) suspending(on bool) http.HandlerFunc {
	action := "resume"
	if on {
		action = "suspend"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		queue, err := parseQueue(string(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		is, err := o.server.relay.Suspended(queue)
		switch {
		case errors.Is(err, relay.ErrUnknown):
			http.Error(w, "there is no such queue on this relay", http.StatusNotFound)
			return
		case err == nil && is == on:
			http.Error(w, "the queue is in that state already; nothing was done", http.StatusConflict)
			return
		}
		name := o.server.relay.RecordName(queue)
		if !o.note(w, r, action, name) {
			return
		}
		if _, err := o.server.relay.Suspend(r.Context(), queue, on); err != nil {
			// Not known is whether it is on disk, so the log says that it was tried.
			_ = o.note(w, r, action+failed, name)
			http.Error(w, "it is not known whether it was done: "+err.Error(), http.StatusInternalServerError)
			return
		}
		if on {
			fmt.Fprintf(w, "suspended queue %s, as the log and a check name it:\nnobody reads or writes it any more, and its members are told that the operator stopped it\n", name)
		} else {
			fmt.Fprintf(w, "queue %s goes on\n", name)
		}
	}
}
