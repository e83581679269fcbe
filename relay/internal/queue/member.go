package queue

import "github.com/sealpost/sealpost/relay"

// leave is LEAVE: a reader ends its own place. The signature needs no session, so a sibling
// device sends it for one that is lost; repeating it is no error while the place is known.
func (w *work) leave(m *relay.Leave) (relay.Position, *relay.Refusal) {
	p, ok, err := w.reader(m.Reader)
	if !ok || err != nil {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	if refusal := w.within(relay.LimitConfigures, w.m.limits.Configures, m.Reader); refusal != nil {
		return relay.Position{}, refusal
	}
	a, err := w.authority()
	if err != nil {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	if p.End != nil {
		return *p.End, nil // removed before: it hears of nothing that came later
	}
	if w.removeReader(a, m.Reader) {
		w.readersLeft()
	}
	w.saveAuthority()
	w.save()
	return w.header.head(), nil
}

// rekey is REKEY: a joiner exchanges the ticket, which others know, for a reader key of its
// own, at the same place.
func (w *work) rekey(m *relay.Rekey) (relay.Position, *relay.Refusal) {
	p, ok, err := w.reader(m.Ticket)
	if !ok || err != nil || p.State == readerRemoved { // a sweep has ended tickets that are too old
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	if p.State != readerTicket {
		return relay.Position{}, refuse(relay.CodeForbidden)
	}
	if refusal := w.writable(); refusal != nil {
		return relay.Position{}, refusal
	}
	if _, taken, err := w.reader(m.Reader); taken || err != nil {
		return relay.Position{}, refuse(relay.CodeForbidden)
	}
	w.dropReader(w.member(kindReader, m.Ticket))
	w.setReader(m.Reader, reader{State: readerActive, Start: p.Start, Acked: p.Acked, Day: w.day})
	w.save()
	return w.header.head(), nil
}

// knock is KNOCK: a small entry signed by a reader's key. A closed queue takes votes, or whoever
// closes it would keep its members from agreeing where they go on (ATTACKS Q12).
func (w *work) knock(m *relay.Knock) (relay.Position, *relay.Refusal) {
	if _, ok := w.active(m.Reader); !ok {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	late := w.header.State == stateClosed && m.Class == relay.ClassVote
	if refusal := w.writable(); refusal != nil && !late {
		return relay.Position{}, refusal
	}
	a, err := w.authority()
	if err != nil {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	limit, rate := relay.LimitKnocks, w.m.limits.Knocks
	if m.Class == relay.ClassVote {
		limit, rate = relay.LimitVotes, w.m.limits.Votes
	}
	if refusal := w.within(limit, rate, m.Reader); refusal != nil {
		return relay.Position{}, refusal
	}
	if late {
		// Whoever closed it may have filled it, or set its limits to nothing, before.
		l := &w.m.limits
		a = &authority{MaxEntries: l.MaxEntries + voteEntries, MaxBytes: l.MaxBytes + voteBytes}
	}
	if refusal := w.makeRoom(a, len(m.Envelope)); refusal != nil {
		return relay.Position{}, refusal
	}
	position := w.add(relay.KindKnock, &m.Reader, m.Envelope, true)
	w.save()
	return position, nil
}
