package relayserver

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestR23_EveryWayOut: whichever way a reader ends, its live session hears of it with the batch
// that ended it, and what it had proven is of no use any more.
func TestR23_EveryWayOut(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), nil))
	for i, way := range []struct {
		name   string
		by     func(q relay.QueueID) relay.Request
		reason relay.DetachReason
	}{
		{"removed by an admin", func(q relay.QueueID) relay.Request {
			return &relay.Configure{ID: newID(), Queue: q, Key: public(admin), Changes: []relay.Change{relay.RemoveReader{Key: public(alice)}}}
		}, relay.DetachRemoved},
		{"left, by a sibling", func(q relay.QueueID) relay.Request {
			return &relay.Leave{ID: newID(), Queue: q, Reader: public(alice)}
		}, relay.DetachRemoved},
		{"the queue is deleted", func(q relay.QueueID) relay.Request {
			return &relay.Delete{ID: newID(), Queue: q, Key: public(admin)}
		}, relay.DetachDeleted},
	} {
		t.Run(way.name, func(t *testing.T) {
			q := queueID(byte(10 + i))
			owner, device := dial(t, h), dial(t, h)
			owner.must(create(q))
			owner.must(&relay.Configure{ID: newID(), Queue: q, Key: public(admin), Changes: []relay.Change{
				relay.RemoveReader{Key: public(bob)}, relay.AddWriter{Key: public(30)},
			}})
			device.must(proveWrite(q, group))
			device.must(proveWrite(q, 30))
			a := device.attach(q, alice, nil, 1<<20)
			if way.reason == relay.DetachRemoved {
				device.must(appendTo(q, group, envelope(512, 1)))
				device.readUntil(newLog(device, q), 1)
			}
			owner.must(way.by(q))
			if way.reason == relay.DetachRemoved {
				event[*relay.End](device)
			}
			if d := event[*relay.Detached](device); d.Attachment != a.Attachment || d.Reason != way.reason {
				t.Fatalf("%+v", d)
			}
			if way.reason == relay.DetachRemoved { // the others change their keys, too
				owner.must(&relay.Configure{ID: newID(), Queue: q, Key: public(admin), Changes: []relay.Change{
					relay.AddReader{Key: public(40)}, relay.RemoveWriter{Key: public(30)},
				}})
				owner.must(&relay.Commit{ID: newID(), Queue: q, Reader: public(40), NextWriter: public(41), Envelope: envelope(512, 1)})
			}
			for name, r := range map[string]relay.Request{
				"COMMIT":         &relay.Commit{ID: newID(), Queue: q, Reader: public(alice), NextWriter: public(alice), Envelope: envelope(512, 1)},
				"KNOCK":          &relay.Knock{ID: newID(), Queue: q, Reader: public(alice), Envelope: envelope(512, 1)},
				"CONFIGURE":      &relay.Configure{ID: newID(), Queue: q, Key: public(alice), Changes: []relay.Change{relay.SetWakeHandle{Handle: []byte("h")}}},
				"contact APPEND": appendTo(q, 30, envelope(512, 1)),
			} {
				if a, ok := device.call(r).(*relay.Refused); !ok || a.Refusal.Code != relay.CodeUnknown {
					t.Errorf("%s: %+v", name, a)
				}
			}
			want := relay.CodeStale // whoever knew the group's last writer key hears that it is old
			if way.reason == relay.DetachDeleted {
				want = relay.CodeUnknown
			}
			device.refused(appendTo(q, group, envelope(512, 1)), want)
			device.write(&relay.Signal{Attachment: a.Attachment})
			device.sync()
			if n := len(device.events); n > 0 {
				t.Errorf("and then %T", device.events[0])
			}
		})
	}
}
