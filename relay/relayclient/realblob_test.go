package relayclient_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// memory is an io.WriterAt that grows.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if at != int64(len(m.b)) {
		return 0, errors.New("a hole")
	}
	m.b = append(m.b, p...)
	return len(p), nil
}

func fetch(c *relayclient.Conn, t *testing.T, queue relay.QueueID, blob relay.Hash, size int) ([]byte, error) {
	got := new(memory)
	err := c.Download(t.Context(), relayclient.DownloadParams{Queue: queue, Blob: blob, Size: uint64(size), Sink: got})
	return got.b, err
}

// Against a real relay: one who knows queue and hash reads what a reader or a writer stored,
// one who does not know both hears what is heard of a queue that does not exist.
func TestRelayKeepsABlob(t *testing.T) {
	queue := relay.QueueID{20}
	r := relayHere(t, t.TempDir(), "127.0.0.1:0")
	c := dial(t, r.addr, relayclient.Options{})
	group(t, c, queue)
	data := make([]byte, 3<<20+17)
	rand.NewChaCha8([32]byte{20}).Read(data)
	params := relayclient.UploadParams{
		Queue: queue, Key: key("ann"), Blob: sha256.Sum256(data), Size: uint64(len(data)), Source: bytes.NewReader(data),
	}
	if err := c.Upload(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	small := relayclient.UploadParams{
		Queue: queue, Key: key("epoch 1"), Purpose: relay.ProveWrite, Blob: sha256.Sum256(data[:1]), Size: 1, Source: bytes.NewReader(data),
	}
	if err := c.Upload(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	stranger := dial(t, r.addr, relayclient.Options{})
	for _, p := range []relayclient.UploadParams{params, small} {
		if got, err := fetch(stranger, t, queue, p.Blob, int(p.Size)); err != nil || !bytes.Equal(got, data[:p.Size]) {
			t.Errorf("%d bytes: %d came back, %v", p.Size, len(got), err)
		}
	}
	for name, ask := range map[string]struct {
		queue relay.QueueID
		blob  relay.Hash
	}{"another queue": {relay.QueueID{21}, params.Blob}, "another blob": {queue, relay.Hash{1}}} {
		if _, err := fetch(stranger, t, ask.queue, ask.blob, len(data)); !errors.Is(err, relay.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		change func(*relayclient.UploadParams)
		want   error
	}{
		"a stranger's":     {func(p *relayclient.UploadParams) { p.Key = key("stranger") }, relay.ErrUnknown},
		"other bytes":      {func(p *relayclient.UploadParams) { p.Blob[0]++ }, relay.ErrMalformed},
		"another size":     {func(p *relayclient.UploadParams) { p.Size-- }, relay.ErrReused},
		"beyond the limit": {func(p *relayclient.UploadParams) { p.Blob[1]++; p.Size = 1 << 40 }, relay.ErrTooLarge},
	} {
		p := params
		c.change(&p)
		if err := stranger.Upload(t.Context(), p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	c.Close()
	stranger.Close()
	if err := r.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// R25: the relay is killed in the middle of an upload. The upload goes on where the relay is,
// and what is complete survives the next kill.
func TestR25_RelayKilledInAnUpload(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir, addr, queue := t.TempDir(), freeAddr(t), relay.QueueID{22}
	p := startProcess(t, dir, addr)
	cert, err := certpin.OpenDevelopment(dir)
	if err != nil {
		t.Fatal(err)
	}
	at := relay.Address{Host: addr, Key: identity().Public(), Pin: new(relay.Hash(cert.Pin()))}
	c := dial(t, at, overTCP)
	group(t, c, queue)
	data := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{22}).Read(data)
	killed := false
	params := relayclient.UploadParams{
		Queue: queue, Key: key("ann"), Blob: sha256.Sum256(data), Size: uint64(len(data)), Source: bytes.NewReader(data),
	}
	params.Progress = func(stored, size uint64) {
		if !killed && stored > size/2 {
			killed = true
			p.kill(t)
		}
	}
	if err := c.Upload(t.Context(), params); !errors.Is(err, relayclient.ErrDisconnected) {
		t.Fatalf("killed: %v", err)
	}
	p = startProcess(t, dir, addr)
	first := uint64(0)
	params.Progress = func(stored, _ uint64) {
		if first == 0 {
			first = stored
		}
	}
	if err := dial(t, at, overTCP).Upload(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	if first < uint64(len(data)/2) {
		t.Errorf("went on from %d of %d", first, len(data))
	}
	p.kill(t)
	p = startProcess(t, dir, addr)
	if got, err := fetch(dial(t, at, overTCP), t, queue, params.Blob, len(data)); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if err := p.end(); err != nil {
		t.Error(err)
	}
}
