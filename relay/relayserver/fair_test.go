package relayserver

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/queue"
)

// TestR38_SessionsTakeTurns: a session that has a thousand messages on their way holds up
// nobody's only one. The log of one queue shows in what order they were taken.
func TestR38_SessionsTakeTurns(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	h := listen(t, s)
	deep, lone := dial(t, h), dial(t, h)
	q := queueID(1)
	deep.must(create(q))
	deep.must(proveWrite(q, group))
	lone.must(proveWrite(q, group))

	// What is being stored is held: everything else gathers behind it.
	held, release := make(chan struct{}), make(chan struct{})
	s.store.Submit(appendTo(q, group, envelope(512, 0)), queue.Authority{}, func(queue.Answer) {
		close(held)
		<-release
	})
	<-held
	const pipeline = 1000
	var frames []relay.Frame
	for range pipeline {
		frames = append(frames, deep.sign(appendTo(q, group, envelope(512, 1))))
	}
	deep.write(frames...)
	deep.sync() // all of them are in the store's hands
	only := lone.sign(appendTo(q, group, envelope(512, 2)))
	lone.write(only)
	lone.sync()
	close(release)
	accepted, ok := lone.answer(only.RequestNumber()).(*relay.Accepted)
	if !ok {
		t.Fatal("the lone message was refused")
	}
	// One batch may have been made up before the lone message came.
	if seq := accepted.Position.Seq; seq > 1+256+256 {
		t.Errorf("the lone message is number %d, behind most of the others' %d", seq, pipeline)
	}
	for _, f := range frames {
		if _, ok := deep.answer(f.(relay.Request).RequestNumber()).(*relay.Accepted); !ok {
			t.Fatal("a message of the many was refused")
		}
	}
}
