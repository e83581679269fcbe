package shard

// recent keeps records that operations got lately, as the last batch left them: what every
// operation on a busy queue reads would otherwise be searched, verified and opened in
// Badger each time. It has two generations; what was not asked for in the time of one is
// forgotten. Used by the storing goroutine only, and never filled from anything that is not
// on disk.
type recent struct {
	young, old map[string][]byte
	bytes      int // of young
	most       int // bytes at which the young become the old
}

func newRecent() recent { return recent{young: make(map[string][]byte), most: maxRecent} }

func (r *recent) get(key []byte) ([]byte, bool) {
	if value, ok := r.young[string(key)]; ok { // no string is made for it
		return value, true
	}
	value, ok := r.old[string(key)]
	if ok {
		r.put(string(key), value)
	}
	return value, ok
}

// has is get for a key of which nobody needs the value.
func (r *recent) has(key string) bool {
	if _, ok := r.young[key]; ok {
		return true
	}
	value, ok := r.old[key]
	if ok {
		r.put(key, value)
	}
	return ok
}

func (r *recent) put(key string, value []byte) {
	if len(value) > maxRecentValue {
		r.forget(key)
		return
	}
	before, known := r.young[key]
	if known {
		r.bytes -= len(before)
	} else {
		r.bytes += len(key) + recentOverhead
	}
	r.young[key] = value
	if r.bytes += len(value); r.bytes > r.most {
		r.old, r.young, r.bytes = r.young, make(map[string][]byte), 0
	}
}

// committed takes over what a batch read and wrote.
func (r *recent) committed(tx *Tx) {
	for key, f := range tx.read {
		if f.ok {
			r.put(key, f.value)
		}
	}
	for key, w := range tx.writes {
		switch {
		case w.inherited, !r.has(key): // the batch below brought it
		case w.delete:
			r.forget(key)
		default:
			r.put(key, w.value)
		}
	}
}

func (r *recent) forget(key string) {
	if value, ok := r.young[key]; ok {
		r.bytes -= len(key) + recentOverhead + len(value)
		delete(r.young, key)
	}
	delete(r.old, key)
}
