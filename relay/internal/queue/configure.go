package queue

import (
	"slices"

	"github.com/sealpost/sealpost/relay"
)

// configure is CONFIGURE: all changes or none. Each needs the key that owns its field; a
// reader's key owns its wake handle and nothing else, so no reader evicts another (Q02).
func (w *work) configure(m *relay.Configure) (relay.Position, *relay.Refusal) {
	a, err := w.authority()
	if err != nil {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	isAdmin := slices.Contains(a.Admins, m.Key)
	_, isReader := w.active(m.Key)
	if !isAdmin && !isReader {
		return relay.Position{}, refuse(relay.CodeUnknown)
	}
	if refusal := w.writable(); refusal != nil {
		return relay.Position{}, refusal
	}
	for _, c := range m.Changes {
		owner := isAdmin
		if c.Type() == relay.ChangeSetWakeHandle {
			owner = isReader
		}
		if !owner {
			return relay.Position{}, refuse(relay.CodeForbidden)
		}
	}
	if refusal := w.within(relay.LimitConfigures, w.m.limits.Configures, m.Key); refusal != nil {
		return relay.Position{}, refusal
	}
	if refusal := w.countMembers(a, m.Changes); refusal != nil {
		return relay.Position{}, refusal
	}
	left := false
	for _, c := range m.Changes {
		if remove, ok := c.(relay.RemoveReader); ok {
			left = w.removeReader(a, remove.Key) || left
			continue
		}
		w.change(a, m.Key, c)
	}
	if left {
		w.readersLeft()
	}
	w.saveAuthority()
	w.save()
	return w.header.head(), nil
}

// countMembers checks the limits on readers and writers as if every key were new.
func (w *work) countMembers(a *authority, changes []relay.Change) *relay.Refusal {
	readers, writers := a.Readers, a.Writers
	for _, c := range changes {
		switch c.(type) {
		case relay.AddReader:
			readers++
		case relay.AddWriter:
			writers++
		}
	}
	if readers > a.Readers && readers > w.m.limits.MaxReaders {
		return tooMany(relay.LimitReaders)
	}
	if writers > a.Writers && writers > w.m.limits.MaxWriters {
		return tooMany(relay.LimitWriters)
	}
	return nil
}

// change applies one change that was checked.
func (w *work) change(a *authority, key relay.PublicKey, c relay.Change) {
	l := &w.m.limits
	switch c := c.(type) {
	case relay.AddReader:
		w.addReader(a, c.Key)
	case relay.AddWriter:
		w.addWriter(a, c.Key)
	case relay.RemoveWriter:
		name := w.member(kindWriter, c.Key)
		if ok, _ := w.get(name, new(contact)); ok {
			_ = w.tx.Delete(name)
			a.Writers -= min(1, a.Writers)
		}
	case relay.SetRequestWriter:
		a.RequestWriter = c.Key
	case relay.SetAdmins:
		a.Admins = slices.Clone(c.Keys)
	case relay.SetNamedWriting:
		a.Named = c.On
	case relay.SetRetention:
		a.Retention = c.Days
	case relay.SetWakeHandle:
		// An earlier change of the same CONFIGURE may have removed the reader.
		if self, ok := w.active(key); ok {
			self.Handle, self.Day = slices.Clone(c.Handle), w.day
			w.setReader(key, self)
			w.arm(key)
		}
	case relay.SetLimits:
		a.MaxEntries, a.MaxBytes = min(c.MaxEntries, l.MaxEntries), min(c.MaxBytes, l.MaxBytes)
	}
}

func (w *work) addWriter(a *authority, key relay.PublicKey) {
	name := w.member(kindWriter, key)
	if ok, _ := w.get(name, new(contact)); !ok {
		w.set(name, new(contact))
		a.Writers++
	}
}

// addReader registers a reader that reads what comes from now on.
func (w *work) addReader(a *authority, key relay.PublicKey) {
	p, ok, _ := w.reader(key)
	if ok && p.State == readerActive {
		return
	}
	if !ok || p.State == readerRemoved {
		a.Readers++
	}
	w.setReader(key, reader{State: readerActive, Start: w.header.Seq, Acked: w.header.Seq, Day: w.day})
}

// removeReader ends a reader at the head: it still reads up to there. A ticket is gone at
// once, since nobody has read with it. It reports whether there was one, and then the caller
// calls readersLeft before it saves.
func (w *work) removeReader(a *authority, key relay.PublicKey) bool {
	p, ok, _ := w.reader(key)
	switch {
	case !ok || p.State == readerRemoved:
		return false
	case p.State == readerTicket:
		w.dropReader(w.member(kindReader, key))
	default:
		w.setReader(key, reader{State: readerRemoved, Start: p.Start, Acked: p.Acked, Day: w.day, End: new(w.header.head())})
	}
	a.Readers -= min(1, a.Readers)
	return true
}

// readersLeft erases what only removed readers were waited for: once for each operation,
// since it walks over all readers.
func (w *work) readersLeft() {
	w.dropRemoved()
	w.eraseAcked()
}
