package relayserver

import (
	"testing"
	"testing/synctest"

	"github.com/sealpost/sealpost/relay"
)

// TestR09_PartsBehindUnreadAnswers: a client that reads nothing has its requests for blobs wait,
// and with them the parts behind them; of those the server takes few, and then no more.
func TestR09_PartsBehindUnreadAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn, gone := dialPipe(t, openHere(t))
		q := queueID(1)
		c.must(create(q))
		c.must(proveRead(q, alice))
		there, thereHash := c.stored(q, alice, relay.MaxBlobPart, 1)
		b, hash := blobOf(64*relay.MaxBlobPart, 2)
		c.blob(storeBlob(q, alice, b, hash))
		for range 4 {
			c.write(c.sign(&relay.GetBlob{Queue: q, Blob: thereHash, Length: uint32(len(there))}))
		}
		synctest.Wait()
		taken := 0
		go func() {
			for at := 0; at < len(b); at += relay.MaxBlobPart {
				f := c.sign(&relay.PutBlob{Queue: q, Blob: hash, Offset: uint64(at), Data: b[at : at+relay.MaxBlobPart]})
				if c.s.WriteFrames(f) != nil {
					return
				}
				taken++
			}
		}()
		synctest.Wait()
		if taken == 0 || taken > 4 { // three in flight, and one that has been read and waits
			t.Errorf("%d parts of %d bytes are taken from a client that reads nothing", taken, relay.MaxBlobPart)
		}
		_ = conn.Close()
		<-gone
	})
}
