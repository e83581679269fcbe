package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// endWithin is how long a child may take to end after it was told to; then it is killed.
const endWithin = 30 * time.Second

// A Program is what is run as a child: this binary, with arguments that make it take a role.
type Program struct {
	Binary string
	Args   []string  // before the role's name
	Log    io.Writer // standard error of the children; nil discards
}

// A Child is a process with one role. It takes requests, one JSON value a line, and answers
// each with one. It is used by one goroutine.
type Child struct {
	role    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	encoder *json.Encoder
	decoder *json.Decoder
}

// Start starts a child in role. It is killed when ctx ends, and ends by itself when this
// process does, however that ends: its standard input is a pipe that only this process holds.
// The caller calls End.
func (p Program) Start(ctx context.Context, role string) (*Child, error) {
	cmd := exec.CommandContext(ctx, p.Binary, append(p.Args[:len(p.Args):len(p.Args)], role)...)
	cmd.Stderr = p.Log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("measure: starting %s: %w", role, err)
	}
	return &Child{role: role, cmd: cmd, in: in, encoder: json.NewEncoder(in), decoder: json.NewDecoder(out)}, nil
}

// Ask sends request and waits for the answer, or for the child's end.
func (c *Child) Ask(request, answer any) error {
	if err := c.encoder.Encode(request); err != nil {
		return fmt.Errorf("measure: %s takes no request: %w", c.role, err)
	}
	if err := c.decoder.Decode(answer); err != nil {
		return fmt.Errorf("measure: %s gave no answer: %w", c.role, err)
	}
	return nil
}

// End tells the child to end, waits for it, and kills it if it takes too long. Calling it
// again does nothing.
func (c *Child) End() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	_ = c.in.Close()
	late := time.AfterFunc(endWithin, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("measure: %s: %w", c.role, err)
	}
	return nil
}

// CPU returns the processor time of a child that has ended, in user and system mode, of all
// its threads.
func (c *Child) CPU() time.Duration {
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}

// A Desk is the child's end: where its requests come in. Next is called by one goroutine.
type Desk struct {
	requests chan json.RawMessage
	out      *json.Encoder
}

// Stdio returns the desk at standard input and output, and a context that ends with the
// input: then the parent is gone or wants the child to end.
func Stdio(ctx context.Context) (*Desk, context.Context) { return openDesk(ctx, os.Stdin, os.Stdout) }

func openDesk(ctx context.Context, in io.Reader, out io.Writer) (*Desk, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	d := &Desk{requests: make(chan json.RawMessage), out: json.NewEncoder(out)}
	go func() {
		defer cancel()
		defer close(d.requests)
		for dec := json.NewDecoder(in); ; {
			var request json.RawMessage
			if dec.Decode(&request) != nil {
				return
			}
			select {
			case d.requests <- request:
			case <-ctx.Done():
				return
			}
		}
	}()
	return d, ctx
}

// Next waits for the next request. It returns io.EOF when there will be none.
func (d *Desk) Next(request any) error {
	raw, ok := <-d.requests
	if !ok {
		return io.EOF
	}
	return json.Unmarshal(raw, request)
}

// Answer answers the last request.
func (d *Desk) Answer(answer any) error { return d.out.Encode(answer) }

// Serve answers every request with what handle returns, until there are no more.
func Serve[Q, A any](d *Desk, handle func(Q) (A, error)) error {
	for {
		var request Q
		err := d.Next(&request)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := handle(request)
		if err != nil {
			return err
		}
		if err := d.Answer(answer); err != nil {
			return err
		}
	}
}
