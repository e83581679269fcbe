package blob

import "sync"

// locks lets one goroutine at a time deal with a name: the sweep must not remove what an
// upload has just begun, nor two sessions write to one part. The zero value is ready.
type locks struct {
	mu   sync.Mutex
	held map[Name]*lock // guarded by mu
}

type lock struct {
	sync.Mutex
	users int // guarded by locks.mu: who holds it or waits for it
}

// lock waits for the name and returns what gives it back.
func (l *locks) lock(n Name) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = make(map[Name]*lock)
	}
	k := l.held[n]
	if k == nil {
		k = new(lock)
		l.held[n] = k
	}
	k.users++
	l.mu.Unlock()
	k.Lock()
	return func() {
		k.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.held, n)
		}
	}
}
