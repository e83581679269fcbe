package queue

// A Waker calls devices whose reader is not attached: the way to a push service. The store
// knows nothing of it but this, and a Waker knows nothing of queues.
//
// The store tells it of an entry (a message, a COMMIT or a KNOCK; never a signal) after that is
// on disk, on a goroutine of its own, so no writer waits for it. A reader is told of once, until
// it has attached again; one that has not come after an hour or two is told of again with the
// next entry. (After a restart, or when more is going on than the store keeps account of, some
// are told of once too often.) Nothing is lost on the way: a kill between an entry and its Wake
// is made up for by a look at all readers at the next start.
//
// Both methods may be called from any goroutine, with a lock held: they never block, and call
// nothing of the Store or an Attachment.
type Waker interface {
	// Wake has the device called. False means that there is no room just now: the store asks
	// again a second later, as long as the reader is not attached, and tells of no other
	// meanwhile. So a Waker drops nothing, and what it keeps is bounded by itself.
	Wake(s Sleeper) bool
	// Cancel says that this reader has attached. It comes for every attachment of a reader
	// with a handle, woken or not, and after a Wake of the same reader that came before it.
	Cancel(reader WakeName)
}

// A WakeName is a reader of a queue, as a Waker knows it. Two queues of one device have names
// that nothing connects, and so have two readers of one queue.
type WakeName [20]byte

// A Sleeper is a reader that something has come for.
type Sleeper struct {
	Reader WakeName
	Handle []byte // as the reader has set it, at most 512 bytes; the Waker may keep it
}

// WakeCounts are what has happened since Open.
type WakeCounts struct {
	Woken   uint64 // Wakes that were taken
	Refused uint64 // Wakes for which there was no room, each time
	Scans   uint64 // times that all readers were looked at: at the start, and when too much was going on
}
