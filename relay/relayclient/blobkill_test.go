package relayclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// TestR25_KilledDuringUploads: the relay is killed again and again while it takes parts,
// verifies a blob and notes that it is complete. Each upload goes on where the relay says; what
// was answered as complete is there afterwards, byte for byte.
func TestR25_KilledDuringUploads(t *testing.T) {
	const blobs, size, kills = 4, 2 << 20, 12
	dir, addr := t.TempDir(), freeAddr(t)
	seed := rand.New(rand.NewPCG(25, 61))
	relayProcess := startProcess(t, dir, addr)
	cert, err := certpin.OpenDevelopment(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // so that a hang is a failure here
	defer cancel()
	at := relay.Address{Host: addr, Key: identity().Public(), Pin: new(relay.Hash(cert.Pin()))}
	queue := relay.QueueID(sha256.Sum256([]byte("R25 blobs")))
	connect := func() *relayclient.Conn {
		c, err := relayclient.Dial(ctx, at, overTCP)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := connect()
	group(t, c, queue)
	killed, resumed, dead := 0, 0, false
	var complete [][]byte
	for n := range blobs {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(seed.Uint32())
		}
		for {
			parts, first := 1+seed.IntN(size>>16), true
			err := c.Upload(ctx, relayclient.UploadParams{
				Queue: queue, Key: key("ann"), Blob: sha256.Sum256(b), Size: size, Source: bytes.NewReader(b),
				Progress: func(stored, _ uint64) {
					if first && stored > 0 {
						resumed++
					}
					first = false
					if parts--; parts == 0 && killed < kills*(n+1)/blobs {
						killed++
						dead = true
						relayProcess.kill(t)
					}
				},
			})
			if err != nil && !errors.Is(err, relayclient.ErrDisconnected) {
				t.Fatalf("blob %d: %v", n, err)
			}
			if !dead { // right after the answer
				relayProcess.kill(t)
			}
			_ = c.Close()
			relayProcess, dead = startProcess(t, dir, addr), false
			c = connect()
			if err == nil {
				break
			}
		}
		complete = append(complete, b)
		for i, b := range complete {
			if got, err := fetch(c, t, queue, sha256.Sum256(b), size); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("blob %d, which was complete: %v", i, err)
			}
		}
	}
	_ = c.Close()
	if err := relayProcess.end(); err != nil {
		t.Errorf("the relay ended with %v", err)
	}
	if killed < blobs || resumed == 0 {
		t.Errorf("%d kills during uploads, %d went on: the test shows little", killed, resumed)
	}
	t.Logf("kills=%d complete=%d lost=0 resumed=%d, unless said above", killed+blobs, blobs, resumed)
}
