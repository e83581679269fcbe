package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/history"
	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/keyfile"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// chatCommand is a conversation of two in line mode: a line of standard input is a message
// (or, with a slash, a command: chat_files.go), and what arrives is a line of standard output,
// so that it can stand in a pipe.
type chatCommand struct {
	Account string        `required:"" placeholder:"NAME" help:"Your handle; the first use makes the account."`
	Peer    string        `required:"" placeholder:"NAME" help:"The handle to talk to; chat waits until it is there."`
	Server  string        `required:"" placeholder:"URI" help:"The relay's address, as serve prints it."`
	Keys    string        `placeholder:"URI" help:"The key server's address (default: the relay's host, port and pin)."`
	Data    string        `type:"path" placeholder:"DIR" help:"Folder of the account (default: the user's data folder)."`
	Over    []string      `name:"transport" enum:"webtransport,websocket,long-polling" placeholder:"NAME" help:"Use only this transport: webtransport, websocket or long-polling; may be repeated (default: race all three)."`
	Linger  time.Duration `default:"60s" help:"After the end of input, how long to wait until the server has every message."`
}

// retryEvery is how often chat asks whether the peer is there by now.
const retryEvery = time.Second

// maxLine bounds a line of input: longer text is no line that somebody typed.
const maxLine = 64 << 10

// Run chats until input ends and everything is sent, or ctx ends.
func (c *chatCommand) Run(ctx context.Context, s streams) error {
	client, err := c.open()
	if err != nil {
		return err
	}
	defer client.Close()
	t := &chat{chatCommand: c, client: client, streams: s}
	if err := t.connect(ctx); err != nil {
		return quiet(err)
	}
	return quiet(t.converse(ctx))
}

// quiet makes an interrupt a normal end: what was typed is in the store.
func quiet(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// open opens the account's store. It belongs to one server, so the folder is named after it.
func (c *chatCommand) open() (*clientlib.Client, error) {
	addr, err := relay.ParseAddress(c.Server)
	if err != nil {
		return nil, err
	}
	keys, err := c.keyServer(addr)
	if err != nil {
		return nil, err
	}
	if err := keyserver.CheckHandle(c.Account); err != nil {
		return nil, fmt.Errorf("account %q: %w", c.Account, err)
	}
	if err := keyserver.CheckHandle(c.Peer); err != nil {
		return nil, fmt.Errorf("peer %q: %w", c.Peer, err)
	}
	dir := c.Data
	if dir == "" {
		base, err := userData()
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(addr.Key[:])
		dir = filepath.Join(base, "chat", hex.EncodeToString(sum[:6]))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := keyfile.Key(filepath.Join(dir, c.Account+".key"))
	if err != nil {
		return nil, fmt.Errorf("store key: %w", err)
	}
	return clientlib.Open(clientlib.Config{
		Path: filepath.Join(dir, c.Account+".db"), Key: key, Relay: addr, KeyServer: keys, Transports: c.transports(),
	})
}

func (c *chatCommand) transports() (out []clientlib.Transport) {
	names := map[string]clientlib.Transport{
		"webtransport": clientlib.WebTransport, "websocket": clientlib.WebSocket, "long-polling": clientlib.LongPolling,
	}
	for _, name := range c.Over {
		out = append(out, names[name])
	}
	return out
}

func (c *chatCommand) keyServer(addr relay.Address) (keyserver.Address, error) {
	if c.Keys != "" {
		return keyserver.ParseAddress(c.Keys)
	}
	host, port, err := net.SplitHostPort(addr.Host)
	if err != nil {
		return keyserver.Address{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return keyserver.Address{}, err
	}
	out := keyserver.Address{Host: host, Port: uint16(n)}
	if addr.Pin != nil {
		out.Pin = new(certpin.Pin(*addr.Pin))
	}
	return out, nil
}

// chat is a running conversation.
type chat struct {
	*chatCommand
	streams
	client *clientlib.Client
	me     keyserver.AccountID
	peer   keyserver.AccountID
	with   clientlib.ConversationID

	mu    sync.Mutex
	files []shownFile // guarded by mu; the first is number 1
}

// connect makes or finds the account and the conversation. A conversation that exists is
// taken up without any network; only a new peer has to be asked for.
func (t *chat) connect(ctx context.Context) error {
	found, err := t.resume(ctx)
	if err != nil || found {
		return err
	}
	if err := t.waitFor(ctx, "the server", func() error { return t.register(ctx) }); err != nil {
		return err
	}
	if t.me, _, err = t.client.Account(ctx); err != nil {
		return err
	}
	err = t.waitFor(ctx, t.Peer, func() (err error) {
		t.peer, err = t.client.Find(ctx, t.Peer)
		return err
	})
	if err != nil {
		return err
	}
	t.with, err = t.client.StartDirect(ctx, t.peer)
	return err
}

// resume finds an earlier conversation with the peer in the store.
func (t *chat) resume(ctx context.Context) (bool, error) {
	me, _, err := t.client.Account(ctx)
	if errors.Is(err, clientlib.ErrNotRegistered) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.me = me
	conversations, err := t.client.Conversations(ctx)
	if err != nil {
		return false, err
	}
	for _, c := range conversations {
		handle, err := t.client.Handle(ctx, c.Peer)
		if err != nil {
			return false, err
		}
		if c.Kind == clientlib.Direct && c.Active && handle == t.Peer { // of one that is over, another is begun
			t.peer, t.with = c.Peer, c.ID
			return true, nil
		}
	}
	return false, nil
}

// register gives up after a while so that waitFor can say what it waits for; the
// registration itself goes on.
func (t *chat) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return t.client.Register(ctx, t.Account)
}

// waitFor tries until what it needs is there, and says once that it waits.
func (t *chat) waitFor(ctx context.Context, what string, try func() error) error {
	for told := false; ; {
		err := try()
		if err == nil || ctx.Err() != nil || final(err) {
			return err
		}
		if !told {
			told = true
			fmt.Fprintf(t.err, "sealpost: waiting for %s\n", what)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// final reports errors that waiting does not cure.
func final(err error) bool {
	for _, e := range []error{
		keyserver.ErrHandleTaken, keyserver.ErrLied, keyserver.ErrChain, clientlib.ErrRegistered, clientlib.ErrClosed,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// converse shows the history, then runs both directions until input is at its end.
func (t *chat) converse(ctx context.Context) error {
	shown, err := t.showHistory(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.err, "sealpost: talking to %s; a line is a message, Ctrl-D ends\n", t.Peer)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- t.showEvents(ctx, shown) }()
	go t.showProgress(ctx)
	go t.showSignals(ctx)
	typed := make(chan error, 1)
	go func() { typed <- t.sendLines(ctx) }()
	select {
	case err := <-failed:
		return err
	case err := <-typed:
		if err != nil {
			return err
		}
	}
	return t.drain(ctx, failed)
}

// drain waits until the relay has everything. What it has not by then is in the store and
// leaves at the next start.
func (t *chat) drain(ctx context.Context, failed <-chan error) error {
	deadline := time.After(t.Linger)
	for {
		waiting, _, err := t.client.Pending(ctx)
		if err != nil || waiting == 0 {
			return err
		}
		select {
		case err := <-failed:
			return err
		case <-time.After(retryEvery / 10):
		case <-deadline:
			return fmt.Errorf("%d messages are not sent yet; they wait in the store for the next start", waiting)
		}
	}
}

func (t *chat) sendLines(ctx context.Context) error {
	lines := bufio.NewScanner(t.in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		if err := t.line(ctx, lines.Text()); errors.Is(err, errInput) {
			fmt.Fprintf(t.err, "sealpost: %s\n", printable(err.Error()))
		} else if err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line of over %d bytes", maxLine)
	}
	return lines.Err()
}

// line sends one line, or does what it says.
func (t *chat) line(ctx context.Context, line string) error {
	switch {
	case line == "":
		return nil
	case strings.HasPrefix(line, "//"):
		line = line[1:]
	case strings.HasPrefix(line, "/"):
		return t.command(ctx, line)
	}
	_, err := t.client.Send(ctx, t.with, content.Text(line))
	return err
}

// showHistory prints the conversation so far and returns the messages it has shown.
func (t *chat) showHistory(ctx context.Context) (map[clientlib.MessageID]bool, error) {
	shown := map[clientlib.MessageID]bool{}
	for en, err := range t.client.History(ctx, t.with) {
		if err != nil {
			return nil, err
		}
		shown[clientlib.MessageID(en.MessageID)] = true
		who := t.Peer
		if string(en.Sender) == string(t.me[:]) {
			who = t.Account
		}
		t.showEntry(who, en)
	}
	return shown, nil
}

// showEvents prints what arrives. An event is confirmed after its line is out: a chat that
// is killed in between shows the line again, from its history.
func (t *chat) showEvents(ctx context.Context, shown map[clientlib.MessageID]bool) error {
	for ev, err := range t.client.Events(ctx) {
		if err != nil {
			return err
		}
		if err := t.showEvent(ctx, ev, shown); err != nil {
			return err
		}
		if err := t.client.Confirm(ctx, ev.ID); err != nil {
			return err
		}
	}
	return nil
}

func (t *chat) showEvent(ctx context.Context, ev clientlib.Event, shown map[clientlib.MessageID]bool) error {
	if ev.Conversation != t.with {
		return nil
	}
	switch ev.Kind {
	case clientlib.EventMessage:
		if shown[ev.Message] {
			return nil
		}
		en, found, err := t.client.Message(ctx, ev)
		if err != nil || !found {
			return err
		}
		t.showEntry(t.Peer, en)
	case clientlib.EventGap:
		fmt.Fprintf(t.err, "sealpost: messages %d to %d are missing: %s\n", ev.From, ev.To, ev.Detail)
	case clientlib.EventForkSuspected, clientlib.EventRollback, clientlib.EventUnsafeStore, clientlib.EventSuspiciousDevice,
		clientlib.EventCannotFollow, clientlib.EventFailed, clientlib.EventRemoved:
		fmt.Fprintf(t.err, "sealpost: warning: %s %s\n", ev.Kind, ev.Detail)
	default:
		if words := t.told(ev); words != "" {
			fmt.Fprintf(t.err, "sealpost: %s\n", words)
		}
	}
	return nil
}

// showEntry prints a message: its text, and a line for each of its files.
func (t *chat) showEntry(who string, en history.Entry) {
	if m, err := content.Decode(en.Body); err != nil || len(m.Files()) == 0 {
		t.show(who, en.Text)
		return
	}
	t.showFiles(who, en)
}

// show prints one message on one line, without what could move a terminal's cursor.
func (t *chat) show(who, text string) { writeLine(t.out, who, text) }

func writeLine(w io.Writer, who, text string) {
	fmt.Fprintf(w, "%s: %s\n", who, printable(text))
}

// printable replaces control characters: a message is a stranger's bytes, and a terminal
// obeys some of them.
func printable(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			out[i] = ' '
		}
	}
	return string(out)
}
