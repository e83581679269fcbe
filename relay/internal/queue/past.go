package queue

import "github.com/sealpost/sealpost/internal/shard"

// past knows which closed periods hold remembered answers at all. Nothing is added to a closed
// period, so one look tells for as long as the present period lasts, and a store that is
// young, or was quiet, spares each operation its searches there. Used by the storing goroutine.
type past struct {
	period uint32          // the present one, for which the rest is known
	holds  map[string]bool // by the keys' common beginning
}

// at forgets what was known for another present period: even when the period was moved and the
// move undone, in which case what was closed is open again.
func (p *past) at(period uint32) {
	if p.period != period || p.holds == nil {
		p.period, p.holds = period, make(map[string]bool)
	}
}

// empty reports whether the period that many back is known to hold nothing of that kind.
func (p *past) empty(kind byte, period, back uint32) bool {
	if back == 0 || p.period != period {
		return false
	}
	holds, known := p.holds[string(memoryKey(kind, period-back, nil))]
	return known && !holds
}

// look finds out whether a closed period holds anything.
func (p *past) look(tx *shard.Tx, kind byte, period, back uint32) {
	p.at(period)
	prefix := memoryKey(kind, period-back, nil)
	if _, known := p.holds[string(prefix)]; known || back == 0 {
		return
	}
	holds := false
	if tx.Keys(prefix, nil, func([]byte) bool { holds = true; return false }) == nil {
		p.holds[string(prefix)] = holds
	}
}
