package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/sealpost/sealpost/internal/adminsocket"
)

// adminCommand is what an operator does to a server, running or not.
type adminCommand struct {
	Check   checkCommand       `cmd:"" help:"Look whether a server's stores are sound."`
	Backup  backupCommand      `cmd:"" help:"Write a backup of a running server, while it serves."`
	Restore restoreCommand     `cmd:"" help:"Make a data folder from a backup."`
	Suspend suspendCommand     `cmd:"" help:"Stop a queue of a running server: nobody reads or writes it."`
	Resume  resumeCommand      `cmd:"" help:"Have a suspended queue go on."`
	Log     operatorLogCommand `cmd:"" help:"Print and verify the log of what operators did."`
}

// adminTarget says which server is meant, by the rules of serve.
type adminTarget struct {
	Config string `type:"existingfile" placeholder:"FILE" help:"The server's settings in TOML."`
	Data   string `type:"path" placeholder:"DIR" help:"The server's data folder (default: as serve has it)."`
}

func (a adminTarget) settings() (serveConfig, error) {
	return (&serveCommand{Config: a.Config, Data: a.Data}).settings()
}

// errNoServer: nobody answers on the admin socket.
var errNoServer = errors.New("no server runs on this data folder")

// adminClient returns a client of the server that runs on a data folder. Host names mean nothing
// to it.
func adminClient(data string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := adminsocket.Dial(ctx, data)
			switch {
			case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
				return nil, fmt.Errorf("%w (%s)", errNoServer, data)
			case errors.Is(err, os.ErrPermission):
				return nil, fmt.Errorf("only the server's own user and root may connect to its admin socket: %w", err)
			}
			return conn, err
		},
		DisableCompression: true,
		DisableKeepAlives:  true,
	}}
}

// adminRefusal is what the server answered in place of doing something.
type adminRefusal string

// Error is the server's own sentence.
func (r adminRefusal) Error() string { return string(r) }

// ask sends a command to the server on a data folder. The caller closes the answer's body.
func ask(ctx context.Context, data, command, body string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sealpost/"+command, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := adminClient(data).Do(request)
	if err != nil {
		if errors.Is(err, errNoServer) { // without the URL, which nobody knows
			return nil, fmt.Errorf("%w (%s)", errNoServer, data)
		}
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		if err != nil {
			return nil, err
		}
		return nil, adminRefusal(strings.TrimSpace(string(text)))
	}
	return answer, nil
}

// maxAnswer bounds what is shown of a refusal, in bytes.
const maxAnswer = 4 << 10
