package queue

import (
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// walked is what a walk over a queue's log has found.
type walked struct {
	seq     uint64      // everything up to here is accounted for
	chain   *relay.Hash // there; nil where it cannot be known
	entries uint32      // but for strangers'
	bytes   uint64
	strange []uint64 // strangers' entries that are there
	commit  *entry   // at the place of the last commit
}

// log walks over a queue's entries and gaps in the order of their numbers.
func (c *checker) log(k *cursors, name []byte, h *header) {
	var at walked
	for c.ctx.Err() == nil {
		e, g := ahead(k.entries, name), ahead(k.gaps, name)
		switch {
		case e == nil && g == nil:
			c.logEnds(name, h, &at)
			return
		case g == nil || e != nil && seqOf(e.key) <= gapFrom(g):
			k.entries.advance()
			c.entry(name, h, &at, e)
		default:
			k.gaps.advance()
			c.gap(name, h, &at, g)
		}
	}
}

// ahead returns the next record if it is of this queue.
func ahead(k *cursor, name []byte) *rawRecord {
	if k.next != nil && string(k.next.name()) == string(name) {
		return k.next
	}
	return nil
}

// gapFrom is where a gap begins; one that cannot be read is met where it ends.
func gapFrom(r *rawRecord) uint64 {
	var g gap
	if r.err != nil || wire.Unmarshal(r.value, &g) != nil {
		return seqOf(r.key)
	}
	return g.From
}

// missing reports numbers that neither an entry nor a gap accounts for.
func (c *checker) missing(name []byte, at *walked, upto uint64) {
	if upto > at.seq+1 {
		c.find(name, meansLost, "entries %d to %d are missing, and no gap says why", at.seq+1, upto-1)
		at.chain = nil
	}
}

func (c *checker) entry(name []byte, h *header, at *walked, r *rawRecord) {
	seq := seqOf(r.key)
	if seq > h.Seq {
		c.find(name, "the next entry would take its place; "+meansContra, "entry %d lies above its head, which is %d", seq, h.Seq)
		return
	}
	if seq <= at.seq {
		c.find(name, meansContra, "entry %d lies in a gap that says it was erased", seq)
		return
	}
	c.missing(name, at, seq)
	at.seq = seq
	var e entry
	if r.err != nil || wire.Unmarshal(r.value, &e) != nil {
		c.find(name, meansUnusable, "entry %d cannot be read: its readers get no further", seq)
		at.chain = nil
		return
	}
	if at.chain != nil && relay.ChainNext(*at.chain, seq, e.Kind, e.Envelope, e.Blobs...) != e.Chain {
		c.find(name, meansContra, "entry %d does not follow in the chain from what is before it", seq)
	}
	at.chain = &e.Chain
	if e.Kind != relay.KindMessage && e.Kind != relay.KindClosed && e.Reader == nil {
		c.find(name, meansContra, "entry %d is of a kind that names its reader, and names none", seq)
	}
	for _, hash := range e.Blobs {
		c.pins[(&books{namer: c.namer, name: name}).blobName(hash)]++
	}
	if slices.Contains(h.Requests, seq) {
		at.strange = append(at.strange, seq)
	} else {
		at.entries++
		at.bytes += uint64(len(e.Envelope))
	}
	if seq == h.LastCommit.Seq {
		at.commit = &entry{Kind: e.Kind, Chain: e.Chain}
	}
}

func (c *checker) gap(name []byte, h *header, at *walked, r *rawRecord) {
	end := seqOf(r.key)
	var g gap
	if r.err != nil || wire.Unmarshal(r.value, &g) != nil {
		c.find(name, meansUnusable, "the gap that ends at %d cannot be read: its readers get no further", end)
		at.seq, at.chain = max(at.seq, end), nil
		return
	}
	switch {
	case g.From > end || end > h.Seq:
		c.find(name, meansContra, "a gap %d to %d contradicts itself or the head, which is %d", g.From, end, h.Seq)
		return
	case g.From <= at.seq:
		c.find(name, meansContra, "the gap %d to %d begins before what comes before it ends, at %d", g.From, end, at.seq)
	}
	if !c.lives[g.Incarnation] {
		c.find(name, meansContra, "the gap %d to %d names a life that the store never had", g.From, end)
	}
	c.missing(name, at, g.From)
	at.seq, at.chain = max(at.seq, end), &g.Chain
}

// logEnds compares the end of a walk, and its counts, with the header.
func (c *checker) logEnds(name []byte, h *header, at *walked) {
	c.missing(name, at, h.Seq+1)
	if at.seq == h.Seq && at.chain != nil && *at.chain != h.Chain {
		c.find(name, meansContra, "its head is not what its last entry says")
	}
	if at.entries != h.Entries || at.bytes != h.Bytes {
		c.find(name, meansCount, "%d entries with %d bytes are there, and its header counts %d with %d", at.entries, at.bytes, h.Entries, h.Bytes)
	}
	if len(at.strange) != len(h.Requests) {
		c.find(name, meansLost, "%d of %d entries from strangers are missing", len(h.Requests)-len(at.strange), len(h.Requests))
	}
	if e := at.commit; e != nil && (e.Kind != relay.KindCommit || e.Chain != h.LastCommit.Chain) {
		c.find(name, meansContra, "entry %d is not the last commit that its header names", h.LastCommit.Seq)
	}
}
