package shard

import (
	"context"
	"sync"
)

// submitter is the key of a submitter's name in a context.
type submitter struct{}

// WithSubmitter returns a context in which [Store.Do] submits for whoever has this name, a network
// say: everything under one name takes turns as one [Flow], so that one who asks for a lot at once
// holds up nobody else. Names are kept while something of theirs waits, and no longer.
func WithSubmitter(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, submitter{}, name)
}

// Submitter returns the name that [WithSubmitter] gave; ok is false without one.
func Submitter(ctx context.Context) (name string, ok bool) {
	name, ok = ctx.Value(submitter{}).(string)
	return name, ok
}

// flows are those of submitters by name.
type flows struct {
	mu     sync.Mutex
	byName map[string]*named // guarded by mu
}

type named struct {
	flow    Flow
	waiting int // operations that were not answered
}

// take returns the flow of a name, for one operation, and release, to be called when that is answered.
func (f *flows) take(name string) (flow *Flow, release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byName == nil {
		f.byName = make(map[string]*named)
	}
	n := f.byName[name]
	if n == nil {
		n = new(named)
		f.byName[name] = n
	}
	n.waiting++
	return &n.flow, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if n.waiting--; n.waiting == 0 {
			delete(f.byName, name)
		}
	}
}
