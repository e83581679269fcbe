package clientlib

import (
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

func TestSignalOpensOnlyAsItWasSealed(t *testing.T) {
	t.Parallel()
	now, next := testEpochs(t)
	sent := &signal{Kind: SignalTyping, Leaf: 3, Counter: 77, Signature: make([]byte, 64)}
	sealed := need[[relay.SignalSize]byte](t)(now.sealSignal(sent))
	got := need[*signal](t)(now.openSignal(sealed))
	if got.Kind != sent.Kind || got.Leaf != sent.Leaf || got.Counter != sent.Counter || len(got.Signature) != 64 {
		t.Errorf("%+v came back as %+v", sent, got)
	}
	if _, err := next.openSignal(sealed); !errors.Is(err, errOtherEpoch) {
		t.Errorf("in another epoch: %v", err)
	}
	for i := range sealed {
		bad := sealed
		bad[i] ^= 1
		if _, err := now.openSignal(bad); err == nil {
			t.Errorf("opens with byte %d flipped", i)
		}
	}
	again := need[[relay.SignalSize]byte](t)(now.sealSignal(sent))
	if again == sealed {
		t.Error("the same signal is sealed to the same bytes")
	}
	if _, err := now.sealSignal(&signal{Signature: make([]byte, signalPlain)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a signature that does not fit: %v", err)
	}
}

// TestSignalIsNoEnvelope: what is sealed as a signal opens as no entry of any kind.
func TestSignalIsNoEnvelope(t *testing.T) {
	t.Parallel()
	now, _ := testEpochs(t)
	sealed := need[[relay.SignalSize]byte](t)(now.sealSignal(&signal{}))
	for kind := range relay.Kind(8) {
		if string(now.aad(kind)) == string(now.aad(kindOfSignal)) && kind != kindOfSignal {
			t.Errorf("kind %d has the signals' AAD", kind)
		}
	}
	if _, err := now.open(relay.KindMessage, sealed[:]); err == nil {
		t.Error("a signal opens as a message")
	}
}

// TestR16_SignalPrefixes: no prefix of a signal's body is a signal, and padding is zero.
func TestR16_SignalPrefixes(t *testing.T) {
	t.Parallel()
	body := need[[]byte](t)(wire.Marshal(&signal{Kind: SignalAway, Leaf: 1, Counter: 2, Signature: []byte("sig")}))
	for n := range body {
		if err := wire.Unmarshal(body[:n], new(signal)); err == nil {
			t.Errorf("the first %d bytes are a signal", n)
		}
	}
	if err := wire.Unmarshal(append(body, 0, 0, 1), new(signal)); !errors.Is(err, errBadSignal) {
		t.Errorf("padding that is not zero: %v", err)
	}
}

// TestSignalsOldAndRepeated: a signal counts once, within 30 s, and an older one not at all.
func TestSignalsOldAndRepeated(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_000)
	b := new(signalBook)
	first, second := b.next(at), b.next(at)
	if second <= first || first != uint64(at.UnixMilli()) {
		t.Errorf("counters %d, %d", first, second)
	}
	if late := b.next(at.Add(-time.Hour)); late <= second {
		t.Errorf("the counter went back to %d with the clock", late)
	}
	for _, c := range []struct {
		leaf    mls.LeafIndex
		counter uint64
		later   time.Duration
		want    bool
	}{
		{1, second, 0, true},
		{1, second, 0, false},            // a repetition
		{1, first, 0, false},             // older than what was heard
		{2, first, 0, true},              // another leaf's counter is its own
		{1, second + 1, 0, true},         //
		{3, first, time.Minute, false},   // too old
		{3, second, -time.Minute, false}, // from the future
		{3, second, 29 * time.Second, true},
	} {
		if got := b.fresh(&signal{Leaf: c.leaf, Counter: c.counter}, at.Add(c.later)); got != c.want {
			t.Errorf("leaf %d, counter +%d, %v later: %v", c.leaf, c.counter-first, c.later, got)
		}
	}
}

// TestSignalsReachMembers: typing arrives at the others who listen, from whom it is; not at
// its sender, not at who was removed, and not a second time within its life.
func TestSignalsReachMembers(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	alice.must(alice.RemoveMember(alice.ctx(), id, carol.id))
	carol.awaitKind(EventRemoved, 1)
	bob.awaitKind(EventMemberRemoved, 1)
	heard := map[*user]chan Signal{}
	for _, u := range []*user{alice, bob, carol} {
		c := make(chan Signal, 100)
		heard[u] = c
		go func() {
			for sig, err := range u.Signals(u.ctx()) {
				if err != nil {
					return
				}
				c <- sig
			}
		}()
		u.until("it listens", func() (on bool) {
			u.must(u.eng.call(u.ctx(), func() error { on = len(u.eng.signals) > 0; return nil }))
			return on
		})
	}
	for range 5 {
		alice.must(alice.Signal(alice.ctx(), id, SignalTyping)) // four of them within 3 s
	}
	alice.must(alice.Signal(alice.ctx(), id, SignalStopped))
	for _, want := range []SignalKind{SignalTyping, SignalStopped} {
		got := <-heard[bob]
		if got.Kind != want || got.Conversation != id || got.Account != alice.id {
			t.Errorf("bob heard %v of %v", got.Kind, got.Account == alice.id)
		}
	}
	bob.say(id, "after the signals")
	alice.awaitText("after the signals")
	for _, u := range []*user{alice, carol} {
		if len(heard[u]) > 0 {
			t.Errorf("%s heard %v", u.name, (<-heard[u]).Kind)
		}
	}
}

// TestSignalOfALaterVersion: a kind that is not known is nobody's to show.
func TestSignalOfALaterVersion(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	heard := make(chan Signal, 8)
	bob.must(bob.eng.call(bob.ctx(), func() error { bob.eng.signals[heard] = true; return nil }))
	for _, kind := range []SignalKind{0, SignalAway + 1, 255, SignalPresent} {
		alice.must(alice.Signal(alice.ctx(), id, kind))
	}
	if got := <-heard; got.Kind != SignalPresent || len(heard) != 0 {
		t.Errorf("heard %d, and %d more", got.Kind, len(heard))
	}
}
