package clientlib

import (
	"slices"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// TestA08_CopyComesFirst: a member who gets hold of Alice's message on its way puts what it says
// into the log before it, encrypted again under the key that she would use next, and once more
// afterwards. Everybody has the message once, she too knows that it is there, and her next one
// is lost to nobody.
func TestA08_CopyComesFirst(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	d := carol.defect(id)
	// Only a copy of Alice's state signs what another member can take from her message.
	signer := alice.defect(id).mls
	var once sync.Once
	caught, goOn := make(chan []byte), make(chan struct{})
	alice.close()
	alice.cfg.Tap = func(sent bool, frame []byte) {
		f, err := relay.ParseFrame(slices.Clone(frame[4:]))
		if a, ok := f.(*relay.Append); ok && sent && err == nil && a.Queue == d.last.Queue {
			once.Do(func() {
				caught <- slices.Clone(a.Envelope)
				<-goOn
			})
		}
	}
	alice.open()
	alice.say(id, "one")
	message := need[[]byte](t)(d.keys.open(relay.KindMessage, <-caught))
	said, ok := need[mls.Received](t)(d.mls.Process(message)).(*mls.ApplicationMessage)
	if !ok {
		t.Fatal("the message of the test is none")
	}
	for range said.Generation + 1 {
		need[[]byte](t)(signer.Encrypt(nil, nil))
	}
	again := func() {
		d.append(need[[]byte](t)(d.keys.seal(relay.KindMessage, need[[]byte](t)(signer.Encrypt(said.Data, said.AAD)))))
	}
	before, _ := alice.logged(id)
	again()
	bob.awaitText("one")
	close(goOn)
	alice.until("the copy and her own", func() bool { at, _ := alice.logged(id); return at == before+2 })
	again()
	alice.until("the second copy", func() bool { at, _ := alice.logged(id); return at == before+3 })
	alice.quiet()
	alice.say(id, "two")
	bob.awaitText("two")
	carol.awaitText("two")
	alice.quiet()
	if got := bob.texts(id); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("bob has %q", got)
	}
	alice.awaitKind(EventSent, 2)
	alice.mu.Lock()
	defer alice.mu.Unlock()
	if n := alice.count(alice.events, EventUnsafeStore); n != 0 {
		t.Errorf("alice was told %d times that her store was copied", n)
	}
	if n := alice.count(alice.events, EventSent); n != 2 {
		t.Errorf("alice was told %d times that she has sent something, want 2", n)
	}
}
