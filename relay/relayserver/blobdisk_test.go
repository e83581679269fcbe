package relayserver

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// logged is a log that several goroutines write.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestQ07_R31_BlobsTellNothing: after uploads, pins, refusals and failures of the disk, no file
// of the server's, no file's name and no line of its log holds a queue's id, a blob's hash or a
// key; and the same blob has another name in each queue.
func TestQ07_R31_BlobsTellNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "relay")
	var log logged
	s := open(t, dir, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c := dial(t, listen(t, s))
	canaries := map[string][]byte{}
	for n := range byte(2) {
		q := relay.QueueID(bytes.Repeat([]byte{0xa1 + n, 0x5c, 0x3e, 0x77 + n}, 8))
		c.must(create(q))
		c.must(proveRead(q, alice))
		_, hash := c.stored(q, alice, 100_000, 1)
		c.must(&relay.Commit{ID: newID(), Queue: q, Reader: public(alice), NextWriter: public(group), Blobs: []relay.Hash{hash}, Envelope: envelope(512, 1)})
		b, wrong := blobOf(1000, 7)
		wrong[0]++
		c.blob(storeBlob(q, alice, b, wrong))
		c.refused(&relay.PutBlob{Queue: q, Blob: wrong, Data: b}, relay.CodeMalformed)
		half, halfHash := blobOf(1000, 8+n)
		c.blob(storeBlob(q, alice, half, halfHash))
		canaries["queue"+string('1'+rune(n))], canaries["hash"], canaries["wrong hash"] = q[:], hash[:], wrong[:]
		canaries["hash of a half"+string('1'+rune(n))] = halfHash[:]
		spoil(t, dir+"-blobs")
		c.refused(&relay.PutBlob{Queue: q, Blob: halfHash, Data: half[:500]}, relay.CodeBusy)
	}
	reader, writer := public(alice), public(group)
	canaries["reader"], canaries["writer"] = reader[:], writer[:]
	if err := s.store.Sweep(t.Context()); err != nil {
		t.Log(err) // parts that cannot be removed: not what this is about
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "a blob cannot be stored or read") {
		t.Error("the log does not tell of the failure")
	}
	search := func(where string, data []byte) {
		for what, id := range canaries {
			for _, form := range []string{string(id), hex.EncodeToString(id), base64.StdEncoding.EncodeToString(id), base64.RawURLEncoding.EncodeToString(id)} {
				if bytes.Contains(bytes.ToLower(data), bytes.ToLower([]byte(form[:16]))) {
					t.Errorf("%s holds a %s", where, what)
				}
			}
		}
	}
	search("the log", []byte(log.String()))
	blobs := 0
	for _, root := range []string{dir, dir + "-blobs"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name := d.Name()
			search("a file's name", []byte(name))
			if raw, err := hex.DecodeString(strings.TrimSuffix(name, ".part")); err == nil {
				search("a file's name", raw)
				blobs++
			}
			data, err := os.ReadFile(path)
			search("a file", data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if blobs < 2 {
		t.Errorf("%d files of blobs: the same blob in two queues has one name", blobs)
	}
}

// spoil puts folders in the place of parts, so that the disk fails whoever writes to them.
func spoil(t *testing.T, dir string) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, "*.part"))
	if err != nil || len(parts) == 0 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	for _, p := range parts {
		if err := os.RemoveAll(p); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(p, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// TestR16_CutBlobFrames: frames of blobs and signals that are cut anywhere end the session and
// change nothing.
func TestR16_CutBlobFrames(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), nil))
	q := queueID(24)
	owner := dial(t, h)
	owner.must(create(q))
	owner.must(proveRead(q, alice))
	b, hash := blobOf(1000, 1)
	owner.blob(storeBlob(q, alice, b, hash))
	for _, whole := range []relay.Frame{
		storeBlob(q, alice, b, hash), &relay.PutBlob{Queue: q, Blob: hash, Data: b[:7]},
		&relay.GetBlob{Queue: q, Blob: hash, Length: 10}, &relay.Signal{Attachment: 1},
	} {
		frame, err := relay.AppendFrame(nil, whole)
		if err != nil {
			t.Fatal(err)
		}
		body := frame[5:]
		for n := 0; n < len(body); n += 1 + len(body)/9 {
			c := dial(t, h)
			c.must(proveRead(q, alice))
			c.write(rawFrame{whole.Type(), body[:n]})
			c.ended(relay.CloseMalformed)
		}
		c := dial(t, h)
		c.write(rawFrame{whole.Type(), append(bytes.Clone(body), 0)})
		c.ended(relay.CloseMalformed)
	}
	if a := owner.put(q, b, hash, 0, 100); !a.Complete {
		t.Errorf("the upload: %+v", a)
	}
}
