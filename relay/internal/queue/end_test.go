package queue

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestDeleteSparesTheUnread: DELETE erases at once only what everybody has read, those who
// were removed included.
func TestDeleteSparesTheUnread(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "admin", "bob")
	r.must(r.append(q, "w0", "unread"))
	r.Ack(q, key("admin"), 1)
	r.flushAcks()
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	if f := r.follow(q, "bob", nil); f.end == nil || f.end.Seq != 1 {
		t.Error("a removed reader that has not read to its end is not told of it")
	}
	r.days(8)
	if _, err := r.attach(q, "bob", nil); err == nil {
		t.Error("a deleted queue is there after its days")
	}
	alone := r.group("alone", "admin")
	r.must(r.append(alone, "w0", "unread"))
	r.must(&relay.Delete{ID: r.id(), Queue: alone, Key: key("admin")})
	r.follow(alone, "admin", nil).want("unread", "closed")
}
