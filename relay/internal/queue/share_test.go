package queue

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestR07_ContactKeepsNoMoreThanItsShare: a contact that stores for a day, and then keeps it or
// its upload longer, has no second share before the first is given back.
func TestR07_ContactKeepsNoMoreThanItsShare(t *testing.T) {
	const m = 1 << 20
	for name, again := range map[string]func(r *rig, q relay.QueueID, day int){
		"complete": func(r *rig, q relay.QueueID, day int) {
			if day == 0 {
				r.stored(q, "mallory", "m", m, 1)
				r.stored(q, "mallory", "m", m, 90)
			}
		},
		"uploading": func(r *rig, q relay.QueueID, day int) {
			if a := r.storeBlob(q, "mallory", "m", m, 1); a.Err != nil {
				t.Fatal(a.Err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Limits.ContactBlobBytes = m })
			q := r.inbox("i")
			r.must(r.configure(q, "admin", relay.AddWriter{Key: key("mallory")}))
			for day := range 60 {
				again(r, q, day)
				r.refusedBlob(relay.ErrQuota, q, "mallory", "n", 1)
				r.days(1)
			}
			r.counted()
			r.days(60)
			r.stored(q, "mallory", "n", m, 1) // the first is gone
		})
	}
}
