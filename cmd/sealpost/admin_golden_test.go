package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

var golden = flag.Bool("golden", false, "write testdata/golden.backup anew, after a format was changed on purpose")

// A backup of a server that held a queue of 20 entries and a blob, and a conversation of two, and
// its storage key, which the whole world knows.
var (
	goldenBackup = filepath.Join("testdata", "golden.backup")
	goldenKey    = bytes.Repeat([]byte{7}, 32)
)

// goldenTalk is the queue of the golden backup.
func goldenTalk() *talk {
	return &talk{
		queue:  relay.QueueID(bytes.Repeat([]byte{2}, 32)),
		reader: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32)),
		writer: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, 32)),
	}
}

var goldenBlob = bytes.Repeat([]byte("golden"), 1000)

// makeGolden writes the backup.
func makeGolden(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, storageKeyFile), goldenKey, 0o600); err != nil {
		t.Fatal(err)
	}
	g := greeted(t, start(t, home, "serve", "--data", data, "--listen", "127.0.0.1:0"))
	alice, bob := chatting(t, home, "alice", "bob", g), chatting(t, home, "bob", "alice", g)
	alice.say("golden")
	bob.until("alice: golden")
	k := goldenTalk()
	conn, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	k.conn = conn
	reader, writer := relay.PublicKey(k.reader.Public().(ed25519.PublicKey)), relay.PublicKey(k.writer.Public().(ed25519.PublicKey))
	_, err = conn.Create(relayclient.CreateParams{
		Queue: k.queue, ID: id(), Admin: k.reader, Admins: []relay.PublicKey{reader}, Writer: &writer, Readers: []relay.PublicKey{reader},
	}).Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	upload(t, k, goldenBlob)
	for n := range uint64(20) {
		envelope := make([]byte, 512)
		binary.BigEndian.PutUint64(envelope, n+1)
		if _, err := conn.Append(k.queue, id(), k.writer, envelope).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(goldenBackup); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if status, _, errs := admin(t, home, "backup", goldenBackup, "--data", data); status != 0 {
		t.Fatal(errs)
	}
}

// TestR36_GoldenBackup: a backup that an earlier build of these formats made is restored, is
// sound, and serves what it held.
func TestR36_GoldenBackup(t *testing.T) {
	if *golden {
		makeGolden(t)
	}
	home := t.TempDir()
	key, dir := filepath.Join(home, "key"), filepath.Join(home, "again")
	if err := os.WriteFile(key, goldenKey, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := admin(t, home, "restore", goldenBackup, dir, "--storage-key", key); status != 0 {
		t.Fatal(errs)
	}
	if status, out, errs := admin(t, home, "check", "--data", dir); status != 0 {
		t.Fatalf("%s%s", out, errs)
	}
	server := start(t, home, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	g := greeted(t, server)
	conn, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	k := goldenTalk()
	k.conn = conn
	reads(t, k, conn, 20)
	upload(t, k, goldenBlob) // it is there, so nothing is sent
	server.kill()

	// The same store under a mark of a newer version.
	mark := filepath.Join(dir, relayFolder, "mark")
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range []int{0, 4096} {
		b[slot+8] = 9
		b[slot+30] ^= 0x55
	}
	if err := os.WriteFile(mark, b, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	if status, _ := p.wait(); status != 1 || !strings.Contains(p.stderr.String(), "another version of this program") {
		t.Errorf("a newer store: status %d, %s", status, p.stderr.String())
	}
	if after, err := os.ReadFile(mark); err != nil || !bytes.Equal(after, b) {
		t.Error("the newer mark was overwritten")
	}
}
