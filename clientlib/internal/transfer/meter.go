package transfer

import "time"

// meter tells the app how far a transfer is: only ever more, not too often, and the whole only
// when it is verified and on disk. Owned by the transfer.
type meter struct {
	report func(done, size int64) // may be nil
	size   int64
	last   int64
	at     time.Time // of the last report
}

// set notes that done bytes are there.
func (m *meter) set(done int64) {
	if done = min(done, m.size-1); m.report == nil || done <= m.last || time.Since(m.at) < reportEvery {
		return
	}
	m.last, m.at = done, time.Now()
	m.report(done, m.size)
}

// finish notes that all is done.
func (m *meter) finish() {
	if m.report != nil {
		m.report(m.size, m.size)
	}
}
