package main

import (
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/operatorlog"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// TestRestoreKeepsSuspensions: with the operator's log on another disk than the data, a queue that
// was suspended after a backup is suspended after its restore, one that was resumed goes on, and the
// log goes on as well. Without it the restored server does what the log in the backup says.
func TestRestoreKeepsSuspensions(t *testing.T) {
	home := t.TempDir()
	config, elsewhere := filepath.Join(home, "c.toml"), filepath.Join(home, "elsewhere", "operator.log")
	if err := os.WriteFile(config, []byte("listen = \"127.0.0.1:0\"\ndata = \"data\"\noperator-log = \"elsewhere/operator.log\"\nstorage-key = \"key\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(elsewhere), 0o700); err != nil {
		t.Fatal(err)
	}
	must := func(args ...string) string {
		t.Helper()
		status, out, errs := admin(t, home, append(args, "--config", config)...)
		if status != 0 {
			t.Fatalf("%q: status %d, %s%s", args, status, out, errs)
		}
		return out
	}
	text := func(k *talk) string { return hex.EncodeToString(k.queue[:]) }
	server := start(t, home, "serve", "--config", config)
	g := greeted(t, server)
	suspended, _ := newTalk(t, g.relay)
	resumed, _ := newTalk(t, g.relay)
	must("suspend", text(resumed))
	must("backup", filepath.Join(home, "kept"))
	must("suspend", text(suspended))
	must("resume", text(resumed))
	server.kill()
	b, err := os.ReadFile(elsewhere)
	if err != nil {
		t.Fatal(err)
	}

	// Each round loses the data, and restores it beside one state of the log.
	for _, c := range []struct {
		name, log, says, refused string
		suspended                *talk
	}{
		{name: "kept", log: string(b), says: "goes on after the backup", suspended: suspended},
		{name: "lost", says: "Suspend again", suspended: resumed},
		{name: "of another server", log: strings.Replace(string(b), "2", "3", 1), refused: "does not go on"},
		{name: "older", log: string(b[:10]), refused: "does not go on"},
		{name: "edited", log: strings.Replace(string(b), " resume ", " revoke ", 1), refused: "not as they were written"},
	} {
		data := filepath.Join(home, "data")
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(elsewhere); err != nil {
			t.Fatal(err)
		}
		if c.log != "" {
			if err := os.WriteFile(elsewhere, []byte(c.log), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.refused != "" {
			status, _, errs := admin(t, home, "restore", filepath.Join(home, "kept"), data, "--config", config)
			if _, err := os.Lstat(data); status != 1 || !strings.Contains(errs, c.refused) || err == nil {
				t.Errorf("%s: status %d, %s", c.name, status, errs)
			}
			continue
		}
		if out := must("restore", filepath.Join(home, "kept"), data); !strings.Contains(out, c.says) {
			t.Errorf("%s: %s", c.name, out)
		}
		if out := must("log"); !strings.Contains(out, " restore ") || !strings.Contains(out, " suspend ") {
			t.Errorf("%s: the log does not go on: %s", c.name, out)
		}
		if _, err := os.Lstat(filepath.Join(data, "operator.log")); err == nil {
			t.Errorf("%s: there are two logs", c.name)
		}
		state := map[*talk]error{suspended: nil, resumed: nil}
		state[c.suspended] = relay.ErrSuspended
		attachesAs(t, home, config, c.name, state)
	}
}

// attachesAs starts a server, has each queue's reader attach, and kills it.
func attachesAs(t *testing.T, home, config, name string, want map[*talk]error) {
	t.Helper()
	server := start(t, home, "serve", "--config", config)
	defer server.kill()
	conn, err := relayclient.Dial(t.Context(), greeted(t, server).relay, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for k, want := range want {
		if _, err := conn.Attach(k.queue, k.reader, nil, 0).Wait(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: a reader hears %v, and not %v", name, err, want)
		}
	}
}

// TestSuspensionsInALog: the last line of a queue says what it is, after a failure nobody knows, and
// a line that was edited says nothing, nor does the one behind it.
func TestSuspensionsInALog(t *testing.T) {
	path := filepath.Join(t.TempDir(), operatorlog.Name)
	l, err := operatorlog.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"suspend a", "backup -", "suspend b", "resume b", "suspend c", "suspend-failed c", "suspend d", "resume d", "resume-failed d", "resume a", "suspend b", "suspend a"} {
		action, subject, _ := strings.Cut(line, " ")
		if err := l.Add(operatorlog.Entry{Time: time.Now(), Action: action, Subject: subject, User: "-"}); err != nil {
			t.Fatal(err)
		}
	}
	_ = l.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	edited := strings.Replace(text, " resume a ", " resume z ", 1)
	for _, c := range []struct {
		name, log string
		want      map[string]bool
		wrong     int
	}{
		{"as it was written", text, map[string]bool{"a": true, "b": true}, 0},
		{"edited", edited, map[string]bool{"a": true, "b": false}, 2},
		{"somebody else's", "no line\n2026-11-22T12:20:50Z suspend ab - 00\n", map[string]bool{}, 2},
	} {
		last, wrong, err := suspensions(strings.NewReader(c.log))
		if err != nil || wrong != c.wrong || !maps.Equal(last, c.want) {
			t.Errorf("%s: %v, %d wrong, %v", c.name, last, wrong, err)
		}
	}
}
