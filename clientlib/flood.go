package clientlib

import (
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// When a queue is flooded with messages that open for nobody, and by whom. All members write under
// one key, so until senders are named nobody knows.
const (
	floodSpan  = 10 * time.Minute
	floodAll   = 200 // in floodSpan: an admin's client has senders named
	floodOne   = 20  // of one that is named: the app is told who it is
	floodNames = 1024
	namedFor   = 24 * time.Hour // after the last of them
)

// flood counts, in memory, what opened for nobody.
type flood struct {
	since time.Time
	all   int
	by    map[relay.PublicKey]int
}

// dud counts a message that did not open, or says nothing that counts.
func (e *engine) dud(tx *state.Tx, g *group, en *relayclient.Entry, d *delivery) error {
	f := &g.flood
	if now := time.Now(); f.since.IsZero() || now.Sub(f.since) > floodSpan || now.Before(f.since) {
		*f = flood{since: now}
	}
	f.all++
	if g.rec.Named != 0 && e.now()-g.rec.Named > int64(floodSpan/time.Second) {
		g.rec.Named = e.now() // it goes on
		if err := g.saveRecord(tx); err != nil {
			return err
		}
	}
	if en.Reader != nil {
		return e.namedDud(tx, g, en, d)
	}
	if f.all != floodAll || !g.policy.isAdmin(e.id.Account) {
		return nil
	}
	g.rec.Named = e.now()
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	if err := e.queueConfigure(tx, configureRow{Group: g.id, ID: newIdempotencyID(), Named: new(true)}, d); err != nil {
		return err
	}
	return e.emit(tx, Event{
		Kind: EventFlooded, Conversation: g.rec.Conversation, From: en.Position.Seq,
		Detail: "many entries of the log open for nobody: the relay names senders from now on",
	})
}

// namedDud tells whose reader it is that floods the queue. One that is no member's is removed.
func (e *engine) namedDud(tx *state.Tx, g *group, en *relayclient.Entry, d *delivery) error {
	f, reader := &g.flood, *en.Reader
	if reader == publicKey(e.id.Secret.readerKey(g.rec.Queue, e.reader(g))) {
		return nil // so says the relay; this device knows what it sent
	}
	if f.by == nil || len(f.by) >= floodNames { // an honest relay names the queue's readers alone
		f.by = map[relay.PublicKey]int{}
	}
	if f.by[reader]++; f.by[reader] != floodOne {
		return nil
	}
	ev := Event{
		Kind: EventFlooded, Conversation: g.rec.Conversation, From: en.Position.Seq,
		Detail: "this device's entries open for nobody, by what the relay says",
	}
	for _, m := range g.mls.Members() {
		keys, err := getRecord[leafKeys](tx, bucketReader, leafKey(g.id, m.Leaf))
		if err != nil {
			return err
		}
		if keys == nil || keys.Reader != reader {
			continue
		}
		if c, err := parseCredential(m.Credential); err == nil {
			ev.Account, ev.Device = c.Account, c.Device
			return e.emit(tx, ev)
		}
	}
	if !g.policy.isAdmin(e.id.Account) || !g.knowsReaders(tx) {
		return nil
	}
	ev.Detail = "the entries of a reader that is no member's open for nobody: it is removed"
	if err := e.queueConfigure(tx, configureRow{Group: g.id, ID: newIdempotencyID(), RemoveReader: &reader}, d); err != nil {
		return err
	}
	return e.emit(tx, ev)
}

// knowsReaders reports whether every other member has told of its reader: else a reader that is
// nobody's may be one of theirs.
func (g *group) knowsReaders(tx *state.Tx) bool {
	for _, m := range g.mls.Members() {
		if m.Leaf == g.mls.OwnLeaf() {
			continue
		}
		keys, err := getRecord[leafKeys](tx, bucketReader, leafKey(g.id, m.Leaf))
		if err != nil || keys == nil || !keys.Claimed {
			return false
		}
	}
	return true
}

// stopNaming ends named writing a day after the last that opened for nobody; the client that began
// it does.
func (e *engine) stopNaming(g *group) {
	if g.rec.Named == 0 || e.now()-g.rec.Named < int64(namedFor/time.Second) {
		return
	}
	g.rec.Named = 0
	var d delivery
	err := e.update(func(tx *state.Tx) error {
		if err := g.saveRecord(tx); err != nil {
			return err
		}
		return e.queueConfigure(tx, configureRow{Group: g.id, ID: newIdempotencyID(), Named: new(false)}, &d)
	})
	if err != nil {
		return
	}
	for _, fn := range d.after {
		fn()
	}
}
