package shard

// A Flow is what one submitter has waiting, in order: a session's operations, say. Flows take
// turns, so however many operations one of them has waiting, a lone one of another is in the
// next batch or the one after that, unless there are more flows than a batch has room for. The
// zero Flow is ready for use, with one Store; it is safe for concurrent use.
type Flow struct {
	items []item // waiting from head on; guarded by the queue's mu, as all below
	head  int
	next  *Flow // behind it in the queue's order of turns
}

// keepItems is the room that a flow keeps when nothing of it waits: most have one operation
// at a time, and thousands have none for hours.
const keepItems = 4

func (f *Flow) empty() bool { return f.head == len(f.items) }

// push adds an operation. What pop left free in front is used again once it is half of all.
func (f *Flow) push(it item) {
	if f.head > 0 && len(f.items) == cap(f.items) && 2*f.head >= len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, it)
}

// pop takes the first operation out.
func (f *Flow) pop() item {
	it := f.items[f.head]
	f.items[f.head] = item{}
	if f.head++; f.empty() {
		if f.head = 0; cap(f.items) > keepItems {
			f.items = nil
		}
		f.items = f.items[:0]
	}
	return it
}
