package queue

import (
	"slices"

	"github.com/sealpost/sealpost/relay"
)

// commit is COMMIT: an entry, the next writer key, tickets and perhaps admin keys in one
// step. Only a registered reader's key signs it, which no epoch rotates: so whoever named a
// wrong next writer key cost one slot, and any member commits on top of it (ATTACKS Q01).
// It cannot remove a reader (Q02).
func (w *work) commit(m *relay.Commit) (relay.Position, *relay.Refusal) {
	if _, ok := w.active(m.Reader); !ok {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	if refusal := w.writable(); refusal != nil {
		return relay.Position{}, refusal
	}
	a, err := w.authority()
	if err != nil {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	if refusal := w.mayCommit(a, m); refusal != nil {
		return relay.Position{}, refusal
	}
	if m.Admins != nil {
		a.Admins = slices.Clone(m.Admins.Admins)
	}
	w.replaceWriter(a, m.NextWriter)
	w.pin(m.Blobs)
	position := w.add(relay.KindCommit, &m.Reader, m.Envelope, true, m.Blobs...)
	w.header.LastCommit = position
	for _, ticket := range m.Tickets {
		w.setReader(ticket, reader{State: readerTicket, Start: position.Seq, Acked: position.Seq, Day: w.day})
	}
	a.Readers += uint32(len(m.Tickets))
	w.saveAuthority()
	w.save()
	return position, nil
}

// mayCommit makes all checks of a registered reader's COMMIT, and room for it.
func (w *work) mayCommit(a *authority, m *relay.Commit) *relay.Refusal {
	l := &w.m.limits
	if m.Expect != w.header.LastCommit {
		if refusal := w.within(relay.LimitConflicts, l.Conflicts, m.Reader); refusal != nil {
			return refusal
		}
		return &relay.Refusal{Code: relay.CodeConflict, Position: new(w.header.LastCommit)}
	}
	if m.Admins != nil && !slices.Contains(a.Admins, m.Admins.Key) {
		return refuse(relay.CodeForbidden)
	}
	for _, ticket := range m.Tickets {
		if _, taken, err := w.reader(ticket); taken || err != nil {
			return refuse(relay.CodeForbidden) // another's place is never given away
		}
	}
	for _, hash := range m.Blobs {
		if b, ok, _ := w.blob(w.blobName(hash)); !ok || b.State != blobComplete {
			return refuse(relay.CodeNoBlob)
		}
	}
	if a.Readers+uint32(len(m.Tickets)) > l.MaxReaders {
		return tooMany(relay.LimitReaders)
	}
	if refusal := w.within(relay.LimitCommits, l.Commits, m.Reader); refusal != nil {
		return refusal
	}
	return w.makeRoom(a, len(m.Envelope))
}

// replaceWriter sets the group's writer key and remembers the old one, whose holders hear
// STALE for a while.
func (w *work) replaceWriter(a *authority, next relay.PublicKey) {
	if old := w.header.Writer; old != nil && *old != next {
		a.Recent = append(a.Recent, recentWriter{Key: *old, Day: w.day})
	}
	a.Recent = slices.DeleteFunc(a.Recent, func(r recentWriter) bool { return r.Key == next })
	a.trimRecent(w.day)
	w.header.Writer = &next
}

// trimRecent forgets replaced keys: the oldest beyond maxRecent, and those that are both
// older than recentDays and not among the last recentAtOnce.
func (a *authority) trimRecent(day uint32) {
	if extra := len(a.Recent) - maxRecent; extra > 0 {
		a.Recent = slices.Clone(a.Recent[extra:])
	}
	for len(a.Recent) > recentAtOnce && a.Recent[0].Day+recentDays < day {
		a.Recent = a.Recent[1:]
	}
}
