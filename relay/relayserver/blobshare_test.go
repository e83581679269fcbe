package relayserver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// TestR07_OneNetworkDoesNotFillTheRelay: room for blobs is taken before a byte is sent, so one
// network takes an eighth of the relay's in a day, in however many queues; storing what is there
// takes nothing, and neither does what is refused.
func TestR07_OneNetworkDoesNotFillTheRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const m = 1 << 20
		s := open(t, t.TempDir(), func(c *Config) { c.Queues.RelayBlobBytes, c.Queues.MaxBlob = 64*m, 2*m })
		c, conn, gone := dialPipe(t, s)
		store := func(n byte) relay.Frame {
			_, hash := blobOf(1, n)
			return c.call(&relay.StoreBlob{Queue: queueID(n), Key: public(alice), Blob: hash, Size: 2 * m})
		}
		c.must(proveRead(queueID(9), alice))
		for range 10 {
			if r, ok := store(9).(*relay.Refused); !ok || r.Refusal.Code != relay.CodeUnknown {
				t.Fatalf("in no queue: %+v", r)
			}
		}
		for n := range byte(4) {
			c.must(create(queueID(n)))
			c.must(proveRead(queueID(n), alice))
			for range 3 {
				if _, ok := store(n).(*relay.Blob); !ok {
					t.Fatalf("blob %d is refused", n)
				}
			}
		}
		c.must(create(queueID(4)))
		c.must(proveRead(queueID(4), alice))
		r, ok := store(4).(*relay.Refused)
		if !ok || r.Refusal.Code != relay.CodeLimit || r.Refusal.Limit != relay.LimitUploads || r.Refusal.RetryAfter > 6*time.Hour {
			t.Fatalf("a fifth: %+v", r)
		}
		if _, ok := store(3).(*relay.Blob); !ok {
			t.Error("what is there is refused")
		}
		if _, ok := s.adds.takeMany(siteOf(prefixOf("198.51.100.1:1")), 8*m, time.Now()); !ok {
			t.Error("another network pays for this one")
		}
		_ = conn.Close()
		<-gone
		<-time.After(r.Refusal.RetryAfter)
		c, conn, gone = dialPipe(t, s)
		c.must(proveRead(queueID(4), alice))
		if _, ok := store(4).(*relay.Blob); !ok {
			t.Error("refused after the wait that was told")
		}
		_ = conn.Close()
		<-gone
	})
}
