package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/internal/canary"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// marked is a run whose every name, key and text is looked for afterwards.
type marked struct {
	*testing.T
	g     greeting
	marks []canary.Mark
}

// mark remembers b, and returns it.
func (m *marked) mark(what string, b []byte) []byte {
	m.marks = append(m.marks, canary.Of(what, b))
	return b
}

// text returns a text that is nowhere else.
func (m *marked) text(what string) string {
	var tag [8]byte
	rand.Read(tag[:])
	text := "canary" + hex.EncodeToString(tag[:])
	m.mark(what, []byte(text))
	return text
}

func (m *marked) id(what string) (id [32]byte) {
	rand.Read(id[:])
	m.mark(what, id[:])
	return id
}

func (m *marked) key(what string) (ed25519.PrivateKey, relay.PublicKey) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		m.Fatal(err)
	}
	public := relay.PublicKey(key.Public().(ed25519.PublicKey))
	m.mark(what, public[:])
	m.mark(what+" (private)", key.Seed())
	return key, public
}

func (m *marked) request() (id relay.IdempotencyID) {
	rand.Read(id[:])
	m.mark("idempotency id", id[:])
	return id
}

func (m *marked) must(_ any, err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// from has connections come from an address of this machine that no other program uses. The
// address is marked as text, and as the system has it.
func (m *marked) from(ip string) (func(context.Context, string, string) (net.Conn, error), func(context.Context, string, string) (net.PacketConn, error)) {
	addr := net.ParseIP(ip)
	m.mark("address", []byte(ip))
	m.mark("address in bytes", addr.To16()[10:])
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: addr}}).DialContext,
		func(ctx context.Context, _, _ string) (net.PacketConn, error) {
			return new(net.ListenConfig).ListenPacket(ctx, "udp", net.JoinHostPort(ip, "0"))
		}
}

// soon waits until ok, which looks at what goes on by itself.
func (m *marked) soon(what string, ok func() bool) {
	m.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-m.Context().Done():
			m.Fatalf("%s does not come", what)
		}
	}
}

// TestR31_NothingOfAnybody: a whole run with everything marked, against the real program at its
// loudest level. Then its log, metrics, profiles and disk are searched. A running server's memory
// has to hold the ids of those who are connected; a core file of it is kept from being written
// (TestR31_NoCoreNoValues).
func TestR31_NothingOfAnybody(t *testing.T) {
	p, g, at := startObserved(t, `log = "debug"`)
	m := &marked{T: t, g: g}
	home := filepath.Dir(p.cmd.Args[len(p.cmd.Args)-1])
	for _, transport := range []relayclient.Transport{relayclient.WebSocket, relayclient.WebTransport, relayclient.LongPolling} {
		m.useRelay(transport)
	}
	end := m.talk()
	defer end()
	places := map[string][]byte{}
	for _, path := range []string{
		"/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/profile?seconds=0.5", "/debug/pprof/trace?seconds=0.5",
		"/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/symbol",
	} {
		_, body := look(t, at, path)
		places[path] = []byte(body)
	}
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		for _, debug := range []string{"", "?debug=1"} {
			_, body := look(t, at, "/debug/pprof/"+name+debug)
			places[name+debug] = []byte(body)
		}
	}
	p.signal(syscall.SIGQUIT) // with everybody connected
	p.wait()
	places["log"] = []byte(p.stderr.String())
	found, files := m.search(places, home)
	if files < 10 {
		t.Errorf("%d files were searched", files)
	}
	if len(found) > 0 {
		t.Errorf("%d marks were left behind:\n%s", len(found), strings.Join(found, "\n"))
	}
	t.Logf("%d marks: %d found in %d answers and logs and %d files", len(m.marks), len(found), len(places), files)
	m.control(places["log"])
}

// search looks for the marks in places and in every file below dir.
func (m *marked) search(places map[string][]byte, dir string) (found []string, files int) {
	m.Helper()
	for place, b := range places {
		for _, what := range canary.Found(b, m.marks) {
			found = append(found, what+" in "+place)
		}
	}
	files, err := canary.EachFile(dir, func(path string, b []byte) {
		for _, what := range canary.Found(b, m.marks) {
			found = append(found, what+" in "+strings.TrimPrefix(path, dir))
		}
	})
	m.must(files, err)
	return found, files
}

// control plants every mark in every form in a log and a file, and expects the same search to
// find each.
func (m *marked) control(log []byte) {
	dir := m.TempDir()
	forms := 0
	for _, mark := range m.marks {
		forms = max(forms, len(mark.Forms()))
	}
	for i := range forms {
		var all bytes.Buffer
		for _, mark := range m.marks {
			all.WriteString("before ")
			all.Write(mark.Forms()[i%len(mark.Forms())])
			all.WriteString(" behind\n")
		}
		planted := map[string][]byte{"log": append(slices.Clone(log), all.Bytes()...)}
		m.must(nil, os.WriteFile(filepath.Join(dir, "file"), all.Bytes(), 0o600))
		if got, _ := m.search(planted, dir); len(got) != 2*len(m.marks) {
			m.Errorf("of %d marks in form %d, planted twice, %d were found", len(m.marks), i, len(got))
		}
	}
}

// useRelay does what a client does with a queue, and what it should not.
func (m *marked) useRelay(transport relayclient.Transport) {
	m.Helper()
	ctx := m.Context()
	options := relayclient.Options{Transports: []relayclient.Transport{transport}}
	options.DialNet, options.ListenPacket = m.from(map[relayclient.Transport]string{
		relayclient.WebSocket: "127.77.1.2", relayclient.WebTransport: "127.77.1.3", relayclient.LongPolling: "127.77.1.4",
	}[transport])
	conn, err := relayclient.Dial(ctx, m.g.relay, options)
	m.must(conn, err)
	m.Cleanup(func() { conn.Close() })
	queue := relay.QueueID(m.id("queue id"))
	admin, adminKey := m.key("admin key")
	reader, readerKey := m.key("reader key")
	writer, writerKey := m.key("writer key")
	stranger, _ := m.key("stranger's key")
	m.must(conn.Create(relayclient.CreateParams{
		Queue: queue, ID: m.request(), Admin: admin, Admins: []relay.PublicKey{adminKey}, Writer: &writerKey, Readers: []relay.PublicKey{readerKey},
	}).Wait(ctx))
	handle := bytes.Repeat([]byte(m.text("wake handle")), 8)
	m.must(conn.Configure(queue, m.request(), reader, relay.SetWakeHandle{Handle: handle}).Wait(ctx))
	envelope := make([]byte, relay.MinEnvelope)
	copy(envelope[50:], m.text("envelope"))
	m.must(conn.Append(queue, m.request(), writer, envelope).Wait(ctx))
	stream, err := conn.Attach(queue, reader, nil, 1<<20).Wait(ctx)
	m.must(stream, err)
	select {
	case <-stream.Events():
	case <-ctx.Done():
		m.Fatal("nothing is delivered")
	}
	sealed := []byte(strings.Repeat("sealed by its client ", 1000))
	rand.Read(sealed[:32])
	hash := relay.Hash(sha256.Sum256(sealed))
	m.mark("hash of a blob", hash[:])
	err = conn.Upload(ctx, relayclient.UploadParams{Queue: queue, Key: reader, Blob: hash, Size: uint64(len(sealed)), Source: bytes.NewReader(sealed)})
	m.must(nil, err)
	// What is refused, and the ways in which a session ends badly.
	_, err = conn.Append(queue, m.request(), stranger, envelope).Wait(ctx)
	_, again := conn.Delete(relay.QueueID(m.id("another queue")), m.request(), stranger).Wait(ctx)
	if err == nil || again == nil {
		m.Error("a stranger is let in")
	}
}

// talk has two people meet in a group, over connections of their own, and leaves them connected.
func (m *marked) talk() (end func()) {
	m.Helper()
	ctx := m.Context()
	var people [2]*clientlib.Client
	for i, ip := range []string{"127.77.2.2", "127.77.2.3"} {
		cfg := clientlib.Config{Path: filepath.Join(m.TempDir(), "db"), Relay: m.g.relay, KeyServer: m.g.keys, Key: [32]byte{byte(i)}}
		cfg.DialContext, cfg.ListenPacket = m.from(ip)
		c, err := clientlib.Open(cfg)
		m.must(c, err)
		people[i] = c
		m.must(nil, c.Register(ctx, "p"+m.text("handle")))
		id, _, err := c.Account(ctx)
		m.must(id, err)
		m.mark("account id", id[:])
	}
	alice, bob := people[0], people[1]
	other, handle, err := bob.Account(ctx)
	m.must(other, err)
	m.must(alice.Find(ctx, handle))
	group, err := alice.CreateGroup(ctx, m.text("group name"), other)
	m.must(group, err)
	m.soon("bob in the group", func() bool {
		all, err := bob.Conversations(ctx)
		return err == nil && len(all) == 1 && all[0].Active
	})
	m.must(bob.Send(ctx, group, content.Text(m.text("bob's message"))))
	m.must(alice.SendFile(ctx, group, "", content.File{Name: m.text("file name"), Type: "text/plain"}, strings.NewReader(strings.Repeat(m.text("file"), 4000))))
	m.soon("what was sent", func() bool {
		a, _, err := alice.Pending(ctx)
		b, _, err2 := bob.Pending(ctx)
		return err == nil && err2 == nil && a+b == 0
	})
	return func() {
		for _, c := range people {
			c.Close()
		}
	}
}
