package queue

import (
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// fresh is what one reader was given last, up to the head of its queue: of a thousand readers
// who are there, all ask for the same entry in the same moment, and it is read and opened
// once. It never changes, and holds for one batch: a later one may have removed anything.
type fresh struct {
	batch   uint64 // that it is as of
	name    string // of the queue
	at      relay.Position
	entries []relay.Entry
	chain   relay.Hash
	bytes   int // as Next counts them
}

// keep keeps what a full reader at a place got, if others may get the same.
func (r *reading) keep(snap *shard.Snapshot, name string, at relay.Position, h *header, out *Batch) {
	n := len(out.Entries)
	if n == 0 || out.Gap != nil || out.Entries[n-1].Seq != h.Seq {
		return
	}
	f := &fresh{batch: snap.Batch(), name: name, at: at, entries: out.Entries, chain: out.Chain}
	for i := range out.Entries {
		f.bytes += sizeOf(&out.Entries[i])
	}
	if f.bytes > maxFresh {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = f
}

// share fills out with what another reader at the same place has got of the same state, if
// that fits, and this one is a full reader in that state, too.
func (a *Attachment) share(out *Batch, snap *shard.Snapshot, max int) bool {
	a.store.read.mu.Lock()
	f := a.store.read.last
	a.store.read.mu.Unlock()
	if f == nil || f.batch != snap.Batch() || f.name != a.name || f.at != a.at || f.bytes > max {
		return false
	}
	key := append(append(append(make([]byte, 0, 1+len(a.name)+len(a.member)), kindReader), a.name...), a.member[:]...)
	var p reader
	v, ok, err := snap.Get(key)
	if err != nil || !ok || wire.Unmarshal(v, &p) != nil || p.State != readerActive || a.at.Seq < p.Start || a.blind && a.at.Seq == 0 {
		return false
	}
	out.Entries, out.Chain = f.entries, f.chain
	return true
}
