package relay

import "github.com/sealpost/sealpost/internal/wire"

// ChangeType is the first byte of a change in CONFIGURE.
type ChangeType uint8

// The changes of version 1, each with its body and the key that owns the field.
const (
	ChangeAddReader        ChangeType = 1  // key; admin
	ChangeRemoveReader     ChangeType = 2  // key; admin
	ChangeAddWriter        ChangeType = 3  // key; admin
	ChangeRemoveWriter     ChangeType = 4  // key; admin
	ChangeSetRequestWriter ChangeType = 5  // optional key; admin
	ChangeSetAdmins        ChangeType = 6  // keys<V>; admin
	ChangeSetNamedWriting  ChangeType = 7  // uint8 0 or 1; admin
	ChangeSetRetention     ChangeType = 8  // uint16 days; admin
	ChangeSetWakeHandle    ChangeType = 9  // opaque<V>; a reader, for itself
	ChangeSetLimits        ChangeType = 10 // uint32 max_entries, uint64 max_bytes; admin
)

// Change is one change of a CONFIGURE. The structs of this file, as values, implement it.
type Change interface {
	Type() ChangeType
	body(w *wire.Writer)
	check() error
}

// AddReader registers a reader, at the head of the log: it reads what comes after.
type AddReader struct{ Key PublicKey }

// RemoveReader removes a reader at once. It still reads up to here, then gets END.
type RemoveReader struct{ Key PublicKey }

// AddWriter registers a contact writer of an inbox.
type AddWriter struct{ Key PublicKey }

// RemoveWriter removes a contact writer.
type RemoveWriter struct{ Key PublicKey }

// SetRequestWriter sets or, with nil, removes the writer for strangers.
type SetRequestWriter struct{ Key *PublicKey }

// SetAdmins replaces the admin keys, 1 to MaxAdmins.
type SetAdmins struct{ Keys []PublicKey }

// SetNamedWriting makes APPEND need a reader's proof as well, and DELIVER name that reader.
type SetNamedWriting struct{ On bool }

// SetRetention sets how long entries other than COMMITs are kept, 1 to MaxRetention days.
type SetRetention struct{ Days uint16 }

// SetWakeHandle stores the signing reader's sealed push token; empty removes it.
type SetWakeHandle struct{ Handle []byte }

// SetLimits lowers the queue's quota; what exceeds the server's own has no effect.
type SetLimits struct {
	MaxEntries uint32
	MaxBytes   uint64 // of envelopes
}

// UnknownChange is a change of a type that version 1 does not have. It is carried so that
// the request can be refused as MALFORMED instead of ending the session.
type UnknownChange struct {
	ChangeType ChangeType
	Body       []byte
}

// Type returns ChangeAddReader.
func (AddReader) Type() ChangeType { return ChangeAddReader }

// Type returns ChangeRemoveReader.
func (RemoveReader) Type() ChangeType { return ChangeRemoveReader }

// Type returns ChangeAddWriter.
func (AddWriter) Type() ChangeType { return ChangeAddWriter }

// Type returns ChangeRemoveWriter.
func (RemoveWriter) Type() ChangeType { return ChangeRemoveWriter }

// Type returns ChangeSetRequestWriter.
func (SetRequestWriter) Type() ChangeType { return ChangeSetRequestWriter }

// Type returns ChangeSetAdmins.
func (SetAdmins) Type() ChangeType { return ChangeSetAdmins }

// Type returns ChangeSetNamedWriting.
func (SetNamedWriting) Type() ChangeType { return ChangeSetNamedWriting }

// Type returns ChangeSetRetention.
func (SetRetention) Type() ChangeType { return ChangeSetRetention }

// Type returns ChangeSetWakeHandle.
func (SetWakeHandle) Type() ChangeType { return ChangeSetWakeHandle }

// Type returns ChangeSetLimits.
func (SetLimits) Type() ChangeType { return ChangeSetLimits }

// Type returns the type as it came.
func (c UnknownChange) Type() ChangeType { return c.ChangeType }

func (c AddReader) body(w *wire.Writer)        { writeKey(w, c.Key) }
func (c RemoveReader) body(w *wire.Writer)     { writeKey(w, c.Key) }
func (c AddWriter) body(w *wire.Writer)        { writeKey(w, c.Key) }
func (c RemoveWriter) body(w *wire.Writer)     { writeKey(w, c.Key) }
func (c SetRequestWriter) body(w *wire.Writer) { wire.WriteOptional(w, c.Key, writeKey) }
func (c SetAdmins) body(w *wire.Writer)        { writeKeys(w, c.Keys) }
func (c SetNamedWriting) body(w *wire.Writer)  { w.Bool(c.On) }
func (c SetRetention) body(w *wire.Writer)     { w.Uint16(c.Days) }
func (c SetWakeHandle) body(w *wire.Writer)    { w.Bytes(c.Handle) }
func (c UnknownChange) body(w *wire.Writer)    { w.Raw(c.Body) }

func (c SetLimits) body(w *wire.Writer) {
	w.Uint32(c.MaxEntries)
	w.Uint64(c.MaxBytes)
}

func (AddReader) check() error        { return nil }
func (RemoveReader) check() error     { return nil }
func (AddWriter) check() error        { return nil }
func (RemoveWriter) check() error     { return nil }
func (SetRequestWriter) check() error { return nil }
func (SetNamedWriting) check() error  { return nil }
func (SetLimits) check() error        { return nil }
func (UnknownChange) check() error    { return ErrMalformed }

func (c SetAdmins) check() error {
	if !validAdmins(c.Keys) {
		return ErrMalformed
	}
	return nil
}

func (c SetRetention) check() error {
	if c.Days == 0 || c.Days > MaxRetention {
		return ErrMalformed
	}
	return nil
}

func (c SetWakeHandle) check() error {
	if len(c.Handle) > MaxWakeHandle {
		return ErrTooLarge
	}
	return nil
}

func writeChange(w *wire.Writer, c Change) {
	w.Uint8(uint8(c.Type()))
	w.Nested(c.body)
}

func readChange(r *wire.Reader) Change {
	t := ChangeType(r.Uint8())
	sub := r.Sub()
	c := readChangeBody(t, sub)
	r.Fail(sub.Finish())
	return c
}

func readChangeBody(t ChangeType, r *wire.Reader) Change {
	switch t {
	case ChangeAddReader:
		return AddReader{readKey(r)}
	case ChangeRemoveReader:
		return RemoveReader{readKey(r)}
	case ChangeAddWriter:
		return AddWriter{readKey(r)}
	case ChangeRemoveWriter:
		return RemoveWriter{readKey(r)}
	case ChangeSetRequestWriter:
		return SetRequestWriter{wire.Optional(r, readKey)}
	case ChangeSetAdmins:
		return SetAdmins{readKeys(r, MaxAdmins)}
	case ChangeSetNamedWriting:
		return SetNamedWriting{r.Bool()}
	case ChangeSetRetention:
		return SetRetention{r.Uint16()}
	case ChangeSetWakeHandle:
		return SetWakeHandle{r.Bytes()}
	case ChangeSetLimits:
		return SetLimits{MaxEntries: r.Uint32(), MaxBytes: r.Uint64()}
	}
	return UnknownChange{t, r.Rest()}
}
