package queue

import (
	"cmp"
	"slices"

	"github.com/sealpost/sealpost/relay"
)

// create founds a queue. Who may do so is the server's to limit.
func (w *work) create(c *relay.Create) (relay.Position, *relay.Refusal) {
	now := relay.Incarnation(w.tx.Incarnation())
	base := w.tx.Floor()
	w.header = header{
		State: stateOpen, Incarnation: now, Base: base, Seq: base, Swept: base, Acked: base,
		Chain: relay.ChainStart(w.m.relayKey, c.Queue, now), Writer: c.Writer,
	}
	l := &w.m.limits
	w.auth = &authority{
		Admins: slices.Clone(c.Admins), RequestWriter: c.RequestWriter,
		Retention:  cmp.Or(c.RetentionDays, relay.DefaultDays),
		MaxEntries: l.MaxEntries, MaxBytes: l.MaxBytes,
		Readers: uint32(len(c.Readers)),
	}
	for _, key := range c.Readers {
		w.setReader(key, reader{State: readerActive, Start: base, Acked: base, Day: w.day})
	}
	if base > 0 {
		// A reader without a position counts from 1: the gap tells it where the log begins.
		w.setGap(&gap{From: 1, Reason: relay.GapAcked, Incarnation: now, Chain: w.header.Chain, last: base})
	}
	w.saveAuthority()
	w.save()
	return w.header.head(), nil
}

// close is DELETE: the queue takes no more writing and is erased after 7 days, or at once if
// it has at most one reader and nothing that anybody has yet to read. Its last entry but for votes
// says so, and who did it (ATTACKS Q12). It needs no room: nobody keeps a queue open by filling it.
func (w *work) close(d *relay.Delete) (relay.Position, *relay.Refusal) {
	if refusal := w.admin(d.Key); refusal != nil {
		return relay.Position{}, refusal
	}
	if refusal := w.writable(); refusal != nil {
		return relay.Position{}, refusal
	}
	a, err := w.authority()
	if err != nil {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	if a.Readers <= 1 && w.allRead() {
		position := w.header.head()
		w.gone()
		return position, nil
	}
	w.header.State, w.header.ClosedDay = stateClosed, w.day
	position := w.add(relay.KindClosed, nil, relay.ClosingOf(d).Envelope(), true)
	w.save()
	return position, nil
}

// allRead tells whether every reader, ticket and removed reader has acked all that it may read.
func (w *work) allRead() bool {
	all := true
	_ = w.everyReader(func(_ []byte, p reader) { all = all && p.Acked >= p.end(w.header.Seq) })
	return all
}

// gone ends the queue: from here on it is unknown to everybody. Sweeps erase its records;
// its name stays taken for a while.
func (w *work) gone() {
	w.lost, w.old = nil, nil
	w.header = header{State: stateGone, ClosedDay: w.day}
	w.set(w.key(kindHeader), &w.header)
	w.countBacklog()
	w.m.touch(w.name)
}

// admin checks that key is an admin's: FORBIDDEN, or SUSPENDED, for readers, UNKNOWN for everyone
// else.
func (w *work) admin(key relay.PublicKey) *relay.Refusal {
	a, err := w.authority()
	if err != nil {
		return refuse(relay.CodeUnknown)
	}
	if slices.Contains(a.Admins, key) {
		return nil
	}
	if _, ok := w.active(key); ok {
		if w.header.State == stateSuspended {
			return suspended()
		}
		return refuse(relay.CodeForbidden)
	}
	return refuse(relay.CodeUnknown)
}
