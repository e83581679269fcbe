package queue

import (
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestRefusalIsRemembered: a queue over quota is walked once, not for each APPEND that it
// refuses, until something changes that may make room.
func TestRefusalIsRemembered(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	for range 8 {
		r.must(r.append(q, "w0", "m"))
	}
	r.must(r.configure(q, "admin", relay.SetLimits{MaxEntries: 4, MaxBytes: 1 << 20}))
	r.refused(relay.ErrQuota, r.append(q, "w0", "x"))
	walks := r.machine.walks
	for range 20 {
		r.refused(relay.ErrQuota, r.append(q, "w0", "x"))
	}
	if n := r.machine.walks - walks; n != 0 {
		t.Errorf("%d walks for 20 refusals", n)
	}
	r.must(r.configure(q, "admin", relay.SetLimits{MaxEntries: 9, MaxBytes: 1 << 20}))
	r.must(r.append(q, "w0", "limits"))
	r.refused(relay.ErrQuota, r.append(q, "w0", "x"))
	r.Ack(q, key("alice"), 5)
	r.flushAcks()
	r.refused(relay.ErrQuota, r.append(q, "w0", "x"))
	r.Ack(q, key("bob"), 3)
	r.flushAcks()
	r.must(r.append(q, "w0", "acked"))
	r.must(r.configure(q, "admin", relay.SetLimits{MaxEntries: 1, MaxBytes: 1 << 20}))
	r.refused(relay.ErrQuota, r.append(q, "w0", "x"))
	r.days(8) // nobody is live
	r.Ack(q, key("alice"), 10)
	r.flushAcks()
	r.must(r.append(q, "w0", "days"))
}

// TestRemovedReadersDoNotPileUp: of the removed readers of a queue so many are known; those
// that have read all go first.
func TestRemovedReadersDoNotPileUp(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.Configures = Rate{1 << 20, 1} })
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "m"))
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	n := 0
	for range maxRemoved/32 + 2 {
		var changes []relay.Change
		for range 32 {
			k := key(fmt.Sprint("k", n))
			n++
			changes = append(changes, relay.AddReader{Key: k}, relay.RemoveReader{Key: k})
		}
		r.must(r.configure(q, "admin", changes...))
	}
	count := 0
	for _, rec := range records(t, r) {
		if rec.key[0] == kindReader {
			count++
		}
	}
	if count > maxRemoved+1 {
		t.Errorf("%d readers' records", count)
	}
	r.follow(q, "alice", nil).want("m")
	r.follow(q, "bob", nil).want("m")
}
