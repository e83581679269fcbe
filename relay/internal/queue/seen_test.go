package queue

import "testing"

// TestAttachedIsSeen: a reader that stays attached without anything to ack is seen every day.
func TestAttachedIsSeen(t *testing.T) {
	r := newRig(t)
	q := r.inbox("i")
	f := r.follow(q, "owner", nil)
	r.days(200)
	f.read()
	if reason, ended := f.a.Ended(); ended {
		t.Fatalf("an attached reader was removed: reason %d", reason)
	}
	r.must(r.append(q, "request", "hello"))
	f.read().want("hello")
	f.a.Close()
	r.flushAcks() // else its attaching may be noted within the days that follow
	r.days(92)
	if f := r.follow(q, "owner", nil); f.end == nil {
		t.Error("a reader that was gone for 92 days is still there")
	}
}
