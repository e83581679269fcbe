package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/adminsocket"
	"github.com/sealpost/sealpost/internal/backup"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// admin runs "sealpost admin args…" and returns its status, output and errors.
func admin(t *testing.T, home string, args ...string) (status int, out, errs string) {
	t.Helper()
	p := start(t, home, append([]string{"admin"}, args...)...)
	status, out = p.wait()
	return status, out, p.stderr.String()
}

// load appends to a queue with many requests under way.
type load struct {
	accepted atomic.Uint64 // the last seq whose predecessors are all accepted
	stop     chan struct{}
	ended    chan struct{}
}

func startLoad(t *testing.T, k *talk) *load {
	l := &load{stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		var calls []*relayclient.Call
		for n := uint64(1); ; n++ {
			envelope := make([]byte, 512)
			binary.BigEndian.PutUint64(envelope, n)
			calls = append(calls, k.conn.Append(k.queue, id(), k.writer, envelope))
			if len(calls) < 64 {
				continue
			}
			position, err := calls[0].Wait(t.Context())
			if err != nil || position.Seq != n-63 {
				t.Errorf("entry %d of the load: %+v, %v", n-63, position, err)
				return
			}
			l.accepted.Store(position.Seq)
			calls = calls[1:]
			select {
			case <-l.stop:
				return
			default:
			}
		}
	}()
	return l
}

func (l *load) until(t *testing.T, seq uint64) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for l.accepted.Load() < seq {
		select {
		case <-look.C:
		case <-l.ended:
			t.FailNow()
		}
	}
}

// upload stores a blob in a queue.
func upload(t *testing.T, k *talk, b []byte) relay.Hash {
	t.Helper()
	hash := relay.Hash(sha256.Sum256(b))
	err := k.conn.Upload(t.Context(), relayclient.UploadParams{Queue: k.queue, Key: k.reader, Blob: hash, Size: uint64(len(b)), Source: bytes.NewReader(b)})
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// TestQ06_BackupUnderLoad: a backup is taken while one client appends and two people talk; the
// server is killed and restored from it into another folder. It is the same relay in a new life:
// all that was accepted before the backup is there, byte for byte, and the two talk on.
func TestQ06_BackupUnderLoad(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, ".local", "share", "sealpost", "server")
	server := start(t, home, "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, server)
	alice, bob := chatting(t, home, "alice", "bob", g), chatting(t, home, "bob", "alice", g)
	alice.say("before")
	bob.until("alice: before")
	bob.say("heard")
	alice.until("bob: heard")

	k, _ := newTalk(t, g.relay)
	file := bytes.Repeat([]byte("sealed"), 100_000)
	hash := upload(t, k, file)
	before := k.conn.Incarnation()
	l := startLoad(t, k)
	l.until(t, 500)
	copied := l.accepted.Load()
	kept := filepath.Join(home, "kept.backup")
	status, out, errs := admin(t, home, "backup", kept)
	if status != 0 || !strings.Contains(out, "SHA-256") || !strings.Contains(out, filepath.Join(data, storageKeyFile)) {
		t.Fatalf("status %d\n%s\n%s", status, out, errs)
	}
	l.until(t, l.accepted.Load()+200) // it still accepts
	close(l.stop)
	<-l.ended
	alice.say("after the backup")
	bob.until("alice: after the backup")
	server.kill()

	again := filepath.Join(home, "again")
	if status, _, errs = admin(t, home, "restore", kept, again); status != 1 || !strings.Contains(errs, "--storage-key") {
		t.Errorf("without a storage key: status %d, %s", status, errs)
	}
	status, out, errs = admin(t, home, "restore", kept, again, "--storage-key", filepath.Join(data, storageKeyFile))
	if status != 0 || !strings.Contains(out, "restored") {
		t.Fatalf("status %d\n%s\n%s", status, out, errs)
	}
	restored := greeted(t, start(t, home, "serve", "--data", again, "--listen", g.relay.Host))
	if restored.relay.String() != g.relay.String() {
		t.Fatalf("it is another relay: %v, was %v", restored.relay, g.relay)
	}
	conn, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.Incarnation() == before {
		t.Error("the restored relay goes on with its old life")
	}
	reads(t, k, conn, copied)
	var got bytes.Buffer
	err = conn.Download(t.Context(), relayclient.DownloadParams{Queue: k.queue, Blob: hash, Size: uint64(len(file)), Sink: writerAt{&got}})
	if err != nil || !bytes.Equal(got.Bytes(), file) {
		t.Errorf("the blob: %d bytes, %v", got.Len(), err)
	}
	bob.say("and on")
	alice.until("bob: and on")
	alice.say("and on and on")
	bob.until("alice: and on and on")
}

// writerAt takes what comes in order.
type writerAt struct{ *bytes.Buffer }

func (w writerAt) WriteAt(p []byte, _ int64) (int, error) { return w.Write(p) }

// reads makes sure that a restored queue has the load's first entries, and tells of the rest.
func reads(t *testing.T, k *talk, conn *relayclient.Conn, atLeast uint64) {
	t.Helper()
	s := k.attach(t, conn)
	last := uint64(0)
	for e := range s.Events() {
		switch e := e.(type) {
		case relayclient.Delivery:
			for _, entry := range e.Entries {
				if n := binary.BigEndian.Uint64(entry.Envelope); n != entry.Position.Seq {
					t.Fatalf("entry %d holds what was sent as %d", entry.Position.Seq, n)
				}
				last = entry.Position.Seq
			}
			s.Ack(e.Entries[len(e.Entries)-1].Position.Seq)
		case relayclient.Gap:
			if e.Reason != relay.GapLost {
				t.Errorf("a gap %d to %d for reason %d", e.From, e.To, e.Reason)
			}
			if e.From == 1 {
				continue // it tells a reader without a position whose entries follow, in place of the first one
			}
			if last < atLeast || e.From != last+1 {
				t.Errorf("entry %d was accepted before the backup, and the last one in it is %d; the gap begins at %d", atLeast, last, e.From)
			}
			return
		default:
			t.Fatalf("%T", e)
		}
	}
	t.Fatal("the stream ended")
}

// TestR28_TornBackupIsRefused: nothing is restored of a backup that was cut or changed, and the
// folder stays empty; nor is anything put where something is.
func TestR28_TornBackupIsRefused(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, ".local", "share", "sealpost", "server")
	server := start(t, home, "serve", "--listen", "127.0.0.1:0")
	k, _ := newTalk(t, greeted(t, server).relay)
	upload(t, k, make([]byte, 300_000))
	if status, out, errs := admin(t, home, "backup", home); status != 0 {
		t.Fatalf("%s%s", out, errs)
	}
	found, err := filepath.Glob(filepath.Join(home, "sealpost-*.backup"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	whole, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if status, _, errs := admin(t, home, "backup", found[0]); status != 1 || !strings.Contains(errs, "not overwritten") {
		t.Errorf("status %d: %s", status, errs)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	storage := filepath.Join(data, storageKeyFile)
	other := filepath.Join(home, "other.key")
	if err := os.WriteFile(other, make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "again")
	for name, c := range map[string]struct {
		file []byte
		key  string
		says string
	}{
		"cut":       {whole[:len(whole)-1000], storage, "cut or damaged"},
		"changed":   {flipped, storage, "cut or damaged"},
		"other key": {whole, other, "another storage key"},
		"no backup": {[]byte("no backup"), storage, "no backup"},
	} {
		file := filepath.Join(home, "bad")
		if err := os.WriteFile(file, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, errs := admin(t, home, "restore", file, dir, "--storage-key", c.key)
		if status != 1 || !strings.Contains(errs, c.says) || !strings.Contains(errs, "nothing was restored") {
			t.Errorf("%s: status %d, %s", name, status, errs)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: it left %v", name, left)
		}
	}
	if status, _, errs := admin(t, home, "restore", found[0], data, "--storage-key", storage); status != 1 || !strings.Contains(errs, "not empty") {
		t.Errorf("over a server: status %d, %s", status, errs)
	}
}

// TestUnfinishedRestoreIsNoServer: what a killed restore leaves is refused, by serve and by
// another restore.
func TestUnfinishedRestoreIsNoServer(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, "half")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, restoringFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	if status, _ := p.wait(); status != 1 || !strings.Contains(p.stderr.String(), "not finished") {
		t.Errorf("serve: status %d, %s", status, p.stderr.String())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("serve wrote into it: %v", left)
	}
}

// TestBackupEndsWithTheServer: a server that is stopped does not wait for a backup that nobody
// takes, and what was taken of it is removed.
func TestBackupEndsWithTheServer(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, ".local", "share", "sealpost", "server")
	server := start(t, home, "serve", "--listen", "127.0.0.1:0")
	k, _ := newTalk(t, greeted(t, server).relay)
	upload(t, k, make([]byte, 8<<20))
	conn, err := adminsocket.Dial(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /backup HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 100)); err != nil { // it has begun, and 8 MiB do not fit the socket
		t.Fatal(err)
	}
	server.signal(os.Interrupt)
	if status, _ := server.wait(); status != 0 {
		t.Errorf("status %d, %s", status, server.stderr.String())
	}
	if _, err := os.Lstat(filepath.Join(data, adminsocket.Name)); !os.IsNotExist(err) {
		t.Error("the socket is still there")
	}
	out := filepath.Join(home, "x")
	if status, _, errs := admin(t, home, "backup", out); status != 1 || !strings.Contains(errs, "no server runs") {
		t.Errorf("status %d, %s", status, errs)
	}
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// TestOperatorLogTellsOfBackups: who took a backup when, and that a server was restored.
func TestOperatorLogTellsOfBackups(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, ".local", "share", "sealpost", "server")
	server := start(t, home, "serve", "--listen", "127.0.0.1:0")
	greeted(t, server)
	if status, out, _ := admin(t, home, "log"); status != 0 || !strings.Contains(out, "nothing was done") {
		t.Errorf("status %d: %s", status, out)
	}
	kept, again := filepath.Join(home, "kept"), filepath.Join(home, "again")
	if status, _, errs := admin(t, home, "backup", kept); status != 0 {
		t.Fatal(errs)
	}
	if status, _, errs := admin(t, home, "restore", kept, again, "--storage-key", filepath.Join(data, storageKeyFile)); status != 0 {
		t.Fatal(errs)
	}
	status, out, _ := admin(t, home, "log", "--data", again)
	if status != 0 || !strings.Contains(out, " backup - ") || !strings.Contains(out, " restore - ") || !strings.Contains(out, "holds over all 2 lines") {
		t.Errorf("status %d: %s", status, out)
	}
	path := filepath.Join(again, "operator.log")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte(" backup "), []byte(" resume "), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := admin(t, home, "log", "--data", again); status != 1 || !strings.Contains(errs, "the chain breaks in 2 of 2") {
		t.Errorf("an edited log: status %d: %s%s", status, out, errs)
	}
}

// TestBackupSaysWhatIsNotInIt: a blob whose file the disk has lost keeps nobody from taking a backup
// of the rest, and is told of.
func TestBackupSaysWhatIsNotInIt(t *testing.T) {
	home := t.TempDir()
	g := greeted(t, start(t, home, "serve", "--listen", "127.0.0.1:0"))
	k, _ := newTalk(t, g.relay)
	upload(t, k, []byte("kept"))
	upload(t, k, []byte("lost"))
	if status, _, errs := admin(t, home, "backup", filepath.Join(home, "whole")); status != 0 || strings.Contains(errs, "not in the backup") {
		t.Fatalf("status %d, %s", status, errs)
	}
	files, err := filepath.Glob(filepath.Join(home, ".local", "share", "sealpost", "server", blobsFolder, "*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	lost := 0
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && string(b) == "lost" {
			lost++
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	status, _, errs := admin(t, home, "backup", filepath.Join(home, "less"))
	if lost != 1 || status != 0 || !strings.Contains(errs, "not in the backup") || !strings.Contains(errs, ": 1;") {
		t.Errorf("%d files removed: status %d, %s", lost, status, errs)
	}
}

// TestBackupToASlowReaderEnds: records that nobody takes in time end a backup with a reason; each
// store has the whole time.
func TestBackupToASlowReaderEnds(t *testing.T) {
	w, err := backup.NewWriter(io.Discard, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, 0)
	p := &pacedRecords{out: w, now: func() time.Time { return now }}
	for _, store := range []string{"one", "two"} {
		if err := p.begin(store); err != nil {
			t.Fatal(err)
		}
		now = now.Add(adminRecordWithin)
		if err := p.record([]byte("a"), []byte("sealed")); err != nil {
			t.Errorf("%s: just in time: %v", store, err)
		}
	}
	now = now.Add(time.Second)
	if err := p.record([]byte("b"), []byte("sealed")); !errors.Is(err, errSlowBackup) {
		t.Errorf("too late: %v", err)
	}
}
