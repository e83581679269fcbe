package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// TestAdminSuspend: an operator stops a queue while its reader is attached, over a kill of the
// server, and has it go on. Its members hear why; another queue goes on; the log tells who did what
// and holds no queue's id, in whatever form.
func TestAdminSuspend(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, ".local", "share", "sealpost", "server")
	server := start(t, home, "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, server)
	k, stream := newTalk(t, g.relay)
	other, _ := newTalk(t, g.relay)
	send := func(k *talk) error {
		_, err := k.conn.Append(k.queue, id(), k.writer, make([]byte, 512)).Wait(t.Context())
		return err
	}
	if err := send(k); err != nil {
		t.Fatal(err)
	}
	texts := []string{hex.EncodeToString(k.queue[:]), base64.RawURLEncoding.EncodeToString(k.queue[:])}
	status, out, errs := admin(t, home, "suspend", texts[0])
	if status != 0 || !strings.Contains(out, "suspended queue") {
		t.Fatalf("status %d: %s%s", status, out, errs)
	}
	for e := range stream.Events() {
		if d, ok := e.(relayclient.Detached); ok && d.Reason != relay.DetachSuspended {
			t.Errorf("the reader is sent away for reason %d", d.Reason)
		}
	}
	if err := send(k); !errors.Is(err, relay.ErrSuspended) {
		t.Errorf("its writer hears %v", err)
	}
	if err := send(other); err != nil {
		t.Errorf("another queue: %v", err)
	}
	if status, _, errs := admin(t, home, "suspend", "--", texts[1]); status != 1 || !strings.Contains(errs, "already") {
		t.Errorf("again: status %d, %s", status, errs)
	}
	server.kill()
	greeted(t, start(t, home, "serve", "--listen", g.relay.Host))
	conn, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	k.conn = conn
	if _, err := conn.Attach(k.queue, k.reader, nil, 0).Wait(t.Context()); !errors.Is(err, relay.ErrSuspended) {
		t.Errorf("after a restart its reader hears %v", err)
	}
	resume := start(t, home, "admin", "resume") // the id is in nobody's list of processes
	if _, err := io.WriteString(resume.stdin, texts[1]+"\n"); err != nil {
		t.Fatal(err)
	}
	if status, out := resume.wait(); status != 0 || !strings.Contains(out, "goes on") {
		t.Errorf("status %d: %s%s", status, out, resume.stderr.String())
	}
	if err := send(k); err != nil {
		t.Errorf("a resumed queue: %v", err)
	}
	for bad, says := range map[string]string{"nonsense": "32 bytes", strings.Repeat("00", 32): "no such queue"} {
		if status, _, errs := admin(t, home, "suspend", bad); status != 1 || !strings.Contains(errs, says) {
			t.Errorf("%s: status %d, %s", bad, status, errs)
		}
	}
	status, out, _ = admin(t, home, "log")
	lines := strings.Split(out, "\n")
	if status != 0 || !strings.Contains(lines[0], " suspend ") || !strings.Contains(lines[1], " resume ") || !strings.Contains(out, "over all 2 lines") {
		t.Errorf("status %d:\n%s", status, out)
	}
	b, err := os.ReadFile(filepath.Join(data, "operator.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(texts, string(k.queue[:])) {
		if strings.Contains(string(b), text) {
			t.Error("the log holds the queue's id")
		}
	}
}

// TestNothingIsDoneUnwritten: an operator's command that cannot be written down first is not done.
func TestNothingIsDoneUnwritten(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, "data")
	p := start(t, home, "serve", "--data", data, "--listen", "127.0.0.1:0")
	k, _ := newTalk(t, greeted(t, p).relay)
	p.kill()
	cfg, err := (&serveCommand{Data: data, Listen: "127.0.0.1:0"}).settings()
	if err != nil {
		t.Fatal(err)
	}
	s, err := openServer(cfg, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.admin.log.Close(); err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]http.HandlerFunc{"suspend": s.admin.suspending(true), "backup": s.admin.backup} {
		web := httptest.NewServer(handler)
		answer, err := http.Post(web.URL, "", strings.NewReader(hex.EncodeToString(k.queue[:])))
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		web.Close()
		is, serr := s.relay.Suspended(k.queue)
		if is || errors.Join(err, serr) != nil || answer.StatusCode != http.StatusInternalServerError || !strings.HasPrefix(string(said), "nothing was done") {
			t.Errorf("%s: suspended %v, %v, status %d, %d bytes", name, is, errors.Join(err, serr), answer.StatusCode, len(said))
		}
	}
}
