package queue

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestRemovedInTheSameConfigure: a reader that removes itself and then sets its wake handle
// in one CONFIGURE is removed, and the count of readers does not drift: a drifted one lets
// DELETE erase at once under live readers, or takes no reader any more.
func TestRemovedInTheSameConfigure(t *testing.T) {
	r := newRig(t)
	twice := func(q relay.QueueID) {
		for range 2 {
			r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("admin")}))
			r.must(r.configure(q, "admin", relay.AddReader{Key: key("admin")}))
			r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("admin")}, relay.SetWakeHandle{Handle: []byte("x")}))
		}
	}
	q := r.group("g", "admin", "bob", "carol")
	twice(q)
	f := r.follow(q, "admin", nil)
	if reason, ended := f.a.Ended(); !ended || reason != relay.DetachRemoved {
		t.Error("setting a wake handle gives a removed reader its place again")
	}
	r.refused(relay.ErrForbidden, r.configure(q, "admin", relay.SetWakeHandle{Handle: []byte("x")}))
	r.must(r.append(q, "w0", "unread"))
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	r.follow(q, "bob", nil).want("unread", "closed")
	alone := r.group("alone", "admin")
	twice(alone)
	r.must(r.configure(alone, "admin", relay.AddReader{Key: key("new")}))
}
