package queue

// full is a queue's state in which an envelope of so many bytes was refused for quota. Making
// sure walks over megabytes; while the state is the same, and no reader's record has changed,
// the answer is. Used by the storing goroutine only; a restart forgets it.
type full struct {
	seq, swept, bytes, maxBytes uint64
	entries, maxEntries, day    uint32
	size                        int
}

func (w *work) fullness(a *authority, size int) full {
	h := &w.header
	return full{
		seq: h.Seq, swept: h.Swept, bytes: h.Bytes, maxBytes: a.MaxBytes,
		entries: h.Entries, maxEntries: a.MaxEntries, day: w.day, size: size,
	}
}

// refusedBefore tells whether this envelope, or a smaller one, was refused in this state.
func (w *work) refusedBefore(a *authority, size int) bool {
	was, ok := w.m.refused[string(w.name)]
	if !ok || size < was.size {
		return false
	}
	return was == w.fullness(a, was.size)
}

func (w *work) rememberRefusal(a *authority, size int) {
	if w.m.refused == nil || len(w.m.refused) >= maxRefused {
		w.m.refused = make(map[string]full)
	}
	w.m.refused[string(w.name)] = w.fullness(a, size)
}

// readersChanged forgets a refusal: a reader less, or one that has read on, makes room.
func (w *work) readersChanged() { delete(w.m.refused, string(w.name)) }
