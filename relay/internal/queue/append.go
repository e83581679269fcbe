package queue

import (
	"slices"

	"github.com/sealpost/sealpost/relay"
)

// append is APPEND. Authority is what the queue says at this place of the log: a COMMIT that
// was applied before voids the old writer key, whenever it was proven (ATTACKS Q04).
func (w *work) append(m *relay.Append, proven Authority) (relay.Position, *relay.Refusal) {
	a, err := w.glance()
	if err != nil {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	if w.header.Writer != nil && m.Writer == *w.header.Writer {
		return w.appendGroup(a, m, proven)
	}
	if a.RequestWriter != nil && m.Writer == *a.RequestWriter {
		return w.appendRequest(m)
	}
	var c contact
	key := w.member(kindWriter, m.Writer)
	if ok, err := w.get(key, &c); err != nil || ok {
		return w.appendContact(a, m, key, c)
	}
	known := slices.ContainsFunc(a.Recent, func(r recentWriter) bool { return r.Key == m.Writer })
	if !known && proven.Reader && m.Reader != nil {
		_, known = w.active(*m.Reader)
	}
	if known {
		return relay.Position{}, w.stale()
	}
	return relay.Position{}, refuse(relay.CodeUnknown)
}

// appendGroup appends for the group's writer key, which all members share. Under named
// writing the entry names a reader as well, which the session has proven.
func (w *work) appendGroup(a *authority, m *relay.Append, proven Authority) (relay.Position, *relay.Refusal) {
	if refusal := w.writable(); refusal != nil {
		return relay.Position{}, refusal
	}
	var by *relay.PublicKey
	limited := m.Writer
	if a.Named {
		if m.Reader == nil || !proven.Reader {
			return relay.Position{}, refuse(relay.CodeForbidden)
		}
		if _, ok := w.active(*m.Reader); !ok {
			return relay.Position{}, refuse(relay.CodeForbidden)
		}
		by, limited = m.Reader, *m.Reader
	}
	if refusal := w.within(relay.LimitAppends, w.m.limits.GroupAppends, limited); refusal != nil {
		return relay.Position{}, refusal
	}
	if refusal := w.makeRoom(a, len(m.Envelope)); refusal != nil {
		return relay.Position{}, refusal
	}
	position := w.add(relay.KindMessage, by, m.Envelope, true)
	w.save()
	return position, nil
}

// appendRequest appends for strangers. Their entries have room of their own, and a new one
// drops the oldest: a flood of requests loses requests only (ATTACKS R07).
func (w *work) appendRequest(m *relay.Append) (relay.Position, *relay.Refusal) {
	if refusal := w.writable(); refusal != nil {
		return relay.Position{}, refusal
	}
	if len(m.Envelope) > relay.MaxKnock {
		return relay.Position{}, refuse(relay.CodeTooLarge)
	}
	if refusal := w.within(relay.LimitAppends, w.m.limits.RequestAppends, m.Writer); refusal != nil {
		return relay.Position{}, refusal
	}
	h := &w.header
	if len(h.Requests) >= ringEntries {
		w.dropOldestRequest()
	}
	position := w.add(relay.KindMessage, nil, m.Envelope, false)
	h.Requests = append(h.Requests, position.Seq)
	w.save()
	return position, nil
}

// appendContact appends for a contact, within its own share of the inbox.
func (w *work) appendContact(a *authority, m *relay.Append, key []byte, c contact) (relay.Position, *relay.Refusal) {
	if refusal := w.writable(); refusal != nil {
		return relay.Position{}, refusal
	}
	l := &w.m.limits
	if refusal := w.within(relay.LimitAppends, l.ContactAppends, m.Writer); refusal != nil {
		return relay.Position{}, refusal
	}
	c.settle(w.header.Swept, w.header.Seq)
	size := uint64(len(m.Envelope))
	if c.Before.Entries+c.After.Entries >= l.ContactEntries || c.Before.Bytes+c.After.Bytes+size > l.ContactBytes {
		return relay.Position{}, quota(relay.LimitShare, retryStorage)
	}
	if refusal := w.makeRoom(a, len(m.Envelope)); refusal != nil {
		return relay.Position{}, refusal
	}
	position := w.add(relay.KindMessage, nil, m.Envelope, true)
	c.count(position.Seq, len(m.Envelope))
	w.set(key, &c)
	w.save()
	return position, nil
}

// stale refuses a writer key that was replaced, and tells the head; of a suspended queue nobody
// reads even that.
func (w *work) stale() *relay.Refusal {
	if w.header.State == stateSuspended {
		return suspended()
	}
	return &relay.Refusal{Code: relay.CodeStale, Position: new(w.header.head())}
}

// writable refuses on a closed or suspended queue. It comes after authority: strangers hear UNKNOWN.
func (w *work) writable() *relay.Refusal {
	switch w.header.State {
	case stateOpen:
		return nil
	case stateSuspended:
		return suspended()
	}
	return refuse(relay.CodeClosed)
}
