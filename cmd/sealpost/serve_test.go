package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// greeting is what serve printed, taken apart as a newcomer's script would.
type greeting struct {
	text  string
	chats []string
	relay relay.Address
	keys  keyserver.Address
}

var (
	relayLine = regexp.MustCompile(`(?m)^relay +(\S+)$`)
	keysLine  = regexp.MustCompile(`(?m)^key server +(\S+)$`)
	chatLines = regexp.MustCompile(`(?m)^  (\S.* chat --account .*)$`)
)

// greeted reads p's greeting.
func greeted(t *testing.T, p *process) greeting {
	t.Helper()
	g := greeting{text: p.until("Ctrl-C")}
	for _, m := range chatLines.FindAllStringSubmatch(g.text, -1) {
		g.chats = append(g.chats, m[1])
	}
	r, k := relayLine.FindStringSubmatch(g.text), keysLine.FindStringSubmatch(g.text)
	if r == nil || k == nil || len(g.chats) != 2 {
		t.Fatalf("the greeting is not complete:\n%s", g.text)
	}
	var err error
	if g.relay, err = relay.ParseAddress(r[1]); err != nil {
		t.Fatal(err)
	}
	if g.keys, err = keyserver.ParseAddress(k[1]); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestServeWithoutConfiguration(t *testing.T) {
	home := t.TempDir()
	p := start(t, home, "serve", "--listen", "127.0.0.1:0")
	first := greeted(t, p)
	if !strings.Contains(first.text, fmt.Sprintf("process %d.", p.cmd.Process.Pid)) {
		t.Errorf("its process id is not in the greeting:\n%s", first.text)
	}
	for i, names := range [][2]string{{"alice", "bob"}, {"bob", "alice"}} {
		want := fmt.Sprintf(" chat --account %s --peer %s --server '%s'", names[0], names[1], first.relay)
		if !strings.HasSuffix(first.chats[i], want) {
			t.Errorf("chat line %d is %q, want it to end %q", i, first.chats[i], want)
		}
	}
	dialBoth(t, first)

	data := filepath.Join(home, ".local", "share", "sealpost", "server")
	if !strings.Contains(first.text, data) {
		t.Errorf("the data folder %s is not in the greeting", data)
	}
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder: %v, %v", info.Mode(), err)
	}
	for _, key := range []string{storageKeyFile, relayKeyFile} {
		if info, err := os.Stat(filepath.Join(data, key)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info, err)
		}
	}

	p.signal(syscall.SIGTERM)
	if status, _ := p.wait(); status != 0 {
		t.Fatalf("SIGTERM ended it with status %d", status)
	}
	// Clients keep the address: killed or stopped, it comes back as the same relay.
	for range 2 {
		p = start(t, home, "serve", "--listen", "127.0.0.1:0")
		again := greeted(t, p)
		if again.relay.Key != first.relay.Key || *again.relay.Pin != *first.relay.Pin {
			t.Fatal("after a restart it is another relay")
		}
		dialBoth(t, again)
		p.kill()
	}
}

// TestA14_RestoredFromABackup: the relay begins a new incarnation, which is how clients are
// told, and only when the operator says so.
func TestA14_RestoredFromABackup(t *testing.T) {
	home := t.TempDir()
	lives := [][]string{{}, {}, {"--restored"}, {}}
	names := make([]relay.Incarnation, len(lives))
	for i, args := range lives {
		p := start(t, home, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
		conn, err := relayclient.Dial(t.Context(), greeted(t, p).relay, relayclient.Options{})
		if err != nil {
			t.Fatal(err)
		}
		names[i] = conn.Incarnation()
		conn.Close()
		p.kill()
	}
	if names[0] != names[1] || names[1] == names[2] || names[2] != names[3] {
		t.Errorf("the relay's incarnation changes %v, %v, %v over a kill, a restore and a kill",
			names[0] != names[1], names[1] != names[2], names[2] != names[3])
	}
}

// dialBoth speaks to both servers as their addresses say.
func dialBoth(t *testing.T, g greeting) {
	t.Helper()
	conn, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{})
	if err != nil {
		t.Fatalf("relay: %v", err)
	}
	conn.Close()
	keys := keyserver.NewClient(g.keys, keyserver.Options{})
	defer keys.Close()
	if _, err := keys.PutChunk(t.Context(), []byte("sealed")); err != nil {
		t.Fatalf("key server: %v", err)
	}
}

func TestServeSaysWhatToDoAboutATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	home := t.TempDir()
	p := start(t, home, "serve", "--listen", l.Addr().String())
	status, _ := p.wait()
	if status != 1 || !strings.Contains(p.stderr.String(), "--listen HOST:PORT") {
		t.Errorf("status %d, %q", status, p.stderr.String())
	}
	if left, _ := os.ReadDir(home); len(left) > 0 {
		t.Error("it left a data folder behind")
	}
}

func TestTwoServersDoNotShareAFolder(t *testing.T) {
	home := t.TempDir()
	first := start(t, home, "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, first)
	second := start(t, home, "serve", "--listen", "127.0.0.1:0")
	if status, out := second.wait(); status != 1 || strings.Contains(out, "chat") {
		t.Errorf("the second one ended with %d and printed %q", status, out)
	}
	dialBoth(t, g)
}

func TestServeRefusesUnknownKeys(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "c.toml")
	if err := os.WriteFile(file, []byte("listen = \"127.0.0.1:0\"\nport = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "-config", file)
	if status, _ := p.wait(); status != 1 || !strings.Contains(p.stderr.String(), "unknown key port") {
		t.Errorf("status %d, %q", status, p.stderr.String())
	}
}

// TestR31_LogsNameNobody: at the loudest level, with clients of both kinds, strangers and
// nonsense on the port.
func TestR31_LogsNameNobody(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "c.toml")
	if err := os.WriteFile(config, []byte("listen = \"127.0.0.1:0\"\nlog = \"debug\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "-config", config)
	g := greeted(t, p)
	dialBoth(t, g)
	conn, err := net.Dial("tcp", g.relay.Host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\n\r\n")
	conn.Read(make([]byte, 1))
	conn.Close()
	// A connection that is reset under a session: the system's error names both ends.
	var under *net.TCPConn
	session, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{
		DialNet: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			under, _ = c.(*net.TCPConn)
			return c, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	under.SetLinger(0)
	under.Close()
	<-session.Done()
	dialBoth(t, g)
	if err := dialWebTransport(t, g); err != nil {
		t.Error(err)
	}
	if _, err := quic.DialAddr(t.Context(), g.relay.Host, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"other"}}, nil); err == nil {
		t.Error("it speaks anything")
	}
	p.signal(syscall.SIGTERM)
	p.wait()
	for _, secret := range []string{"127.0.0.1", "remote", base64.RawURLEncoding.EncodeToString(g.relay.Key[:])} {
		if strings.Contains(p.stderr.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, p.stderr.String())
		}
	}
}
