package clientlib

import (
	"context"
	"iter"
	"time"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// Signal tells what a member does at this moment. It is not stored and may be lost: an app
// forgets it after some seconds without another.
type Signal struct {
	Conversation ConversationID
	Account      keyserver.AccountID
	Device       keyserver.DeviceID
	Kind         SignalKind
	SentAt       time.Time // by the sender's clock, at most 30 s from this device's
}

// Signal tells the members of a conversation who are connected now what this device's user
// does. Nothing is stored anywhere; without a connection it is dropped, which is no error.
// The same kind is sent at most every 3 s. Every member sees it, and the relay sees that a
// reader of the queue sent one: an app lets its users turn it off.
func (c *Client) Signal(ctx context.Context, id ConversationID, kind SignalKind) error {
	return c.eng.call(ctx, func() error {
		g, err := c.eng.writable(id)
		if err != nil {
			return err
		}
		return c.eng.signal(g, kind)
	})
}

// Signals yields the signals of other members from the call on, until ctx ends or the client
// is closed; then it yields that error, last. A caller that is slow loses the oldest.
func (c *Client) Signals(ctx context.Context) iter.Seq2[Signal, error] {
	return listen(ctx, c.eng, c.eng.signals)
}

func (e *engine) signal(g *group, kind SignalKind) error {
	now := time.Now()
	if g.stream == nil || g.rec.State != groupActive || now.Sub(g.signals.sent[kind]) < signalPause {
		return nil
	}
	s := &signal{Kind: kind, Leaf: g.mls.OwnLeaf(), Counter: g.signals.next(now)}
	var err error
	if s.Signature, err = g.mls.Sign(signSignal, s.signed(g.rec.Queue)); err != nil {
		return err
	}
	sealed, err := g.keys.sealSignal(s)
	if err != nil {
		return err
	}
	g.stream.Signal(sealed)
	// Whoever stops typing may start again at once.
	g.signals.sent = map[SignalKind]time.Time{kind: now}
	return nil
}

// signalled hands a signal to the app if it is a member's own and new. Nothing it says changes
// anything, so whatever is wrong with it ends in dropping it.
func (e *engine) signalled(g *group, sealed [relay.SignalSize]byte) {
	s, err := g.keys.openSignal(sealed)
	if err != nil || len(e.signals) == 0 || g.unfounded() || s.Kind < SignalTyping || s.Kind > SignalAway {
		return
	}
	m, ok := g.mls.Member(s.Leaf)
	if !ok || s.Leaf == g.mls.OwnLeaf() {
		return
	}
	// The counter is looked at first, so that repetitions cost no verification; it is noted
	// only after, so that nobody can use up another's.
	seen := g.signals.heard[s.Leaf]
	if s.Counter <= seen || g.mls.Suite().Verify(m.SignatureKey, signSignal, s.signed(g.rec.Queue), s.Signature) != nil {
		return
	}
	if !g.signals.fresh(s, time.Now()) {
		return
	}
	cred, err := parseCredential(m.Credential)
	if err != nil {
		return
	}
	out := Signal{
		Conversation: g.rec.Conversation, Account: cred.Account, Device: cred.Device, Kind: s.Kind,
		SentAt: time.UnixMilli(int64(s.Counter)),
	}
	e.signals.tell(out)
}
