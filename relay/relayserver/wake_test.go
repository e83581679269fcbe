package relayserver

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// bell is a Waker whose calls the test waits for.
type bell struct{ called, came chan WakeName }

func (b bell) Wake(s Sleeper) bool {
	if string(s.Handle) != "a sealed token" {
		return false // and never taken: the test hangs
	}
	b.called <- s.Reader
	return true
}

func (b bell) Cancel(reader WakeName) { b.came <- reader }

// TestWaker: whoever runs the server hears of readers whose session is over, and of their
// coming back; a drain calls nobody.
func TestWaker(t *testing.T) {
	b := bell{make(chan WakeName, 8), make(chan WakeName, 8)}
	s := open(t, t.TempDir(), func(c *Config) { c.Waker = b })
	h := listen(t, s)
	q := queueID(1)
	writer, reader := dial(t, h), dial(t, h)
	writer.must(create(q))
	writer.must(proveWrite(q, group))
	reader.must(proveRead(q, alice))
	reader.attach(q, alice, nil, 1<<20)
	reader.must(&relay.Configure{ID: newID(), Queue: q, Key: public(alice), Changes: []relay.Change{relay.SetWakeHandle{Handle: []byte("a sealed token")}}})
	writer.must(appendTo(q, group, envelope(512, 1)))
	event[*relay.Deliver](reader)
	if len(b.called) > 0 {
		t.Error("called a reader that is attached")
	}
	_ = reader.s.Close() // with an entry that it has not acknowledged
	name := <-b.called

	again := dial(t, h)
	again.must(proveRead(q, alice))
	at := again.attach(q, alice, nil, 1<<20)
	if came := <-b.came; came != name {
		t.Error("came back under another name")
	}
	event[*relay.Deliver](again)
	again.write(&relay.Ack{Attachment: at.Attachment, Seq: 1}, &relay.Detach{Attachment: at.Attachment})
	event[*relay.Detached](again)
	writer.must(appendTo(q, group, envelope(512, 2)))
	if again := <-b.called; again != name {
		t.Error("called under another name")
	}

	again.attach(q, alice, nil, 1<<20)
	<-b.came
	writer.must(appendTo(q, group, envelope(512, 3)))
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.called) > 0 {
		t.Error("a drain called who was attached")
	}
}
