package queue

import (
	"cmp"
	"slices"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/relay"
)

// erased is an entry that is about to go.
type erased struct {
	seq   uint64
	size  int
	chain relay.Hash
	blobs []relay.Hash
}

func leaving(e *stored) erased {
	return erased{seq: e.seq, size: len(e.Envelope), chain: e.Chain, blobs: e.Blobs}
}

// erase removes entries, in order, and leaves gaps that say what is missing, why, and which
// chain goes on after them. The caller saves the header.
func (w *work) erase(entries []erased, reason relay.GapReason) {
	h := &w.header
	w.m.erasing += uint64(len(entries))
	if len(entries) > 0 {
		crashpoint.At(crashpoint.Erasing)
	}
	for i := 0; i < len(entries); {
		first := i
		for i < len(entries) && entries[i].seq == entries[first].seq+uint64(i-first) {
			_ = w.tx.Delete(seqKey(w.key(kindEntry), entries[i].seq))
			if at := slices.Index(h.Requests, entries[i].seq); at >= 0 {
				h.Requests = slices.Delete(h.Requests, at, at+1)
			} else {
				h.Entries -= min(1, h.Entries)
				h.Bytes -= min(uint64(entries[i].size), h.Bytes)
			}
			w.unpin(entries[i].blobs)
			i++
		}
		last := entries[i-1]
		w.m.lose(w.name, last.seq)
		inc, _ := w.incarnationOf(last.seq)
		w.placeGap(gap{From: entries[first].seq, Reason: reason, Incarnation: inc, Chain: last.chain, last: last.seq})
	}
}

// placeGap stores a gap, joined with its neighbours of the same reason and incarnation. So
// there is about one gap for each run between COMMITs, however long a queue lives.
func (w *work) placeGap(g gap) {
	joins := func(n *gap) bool { return n.Reason == g.Reason && n.Incarnation == g.Incarnation }
	if g.From > 1 {
		left := gap{last: g.From - 1}
		key := seqKey(w.key(kindGap), left.last)
		if ok, _ := w.get(key, &left); ok && joins(&left) {
			_ = w.tx.Delete(key)
			g.From = left.From
		}
	}
	right, err := w.gapAt(g.last + 1)
	if err == nil && right != nil && right != w.lost && right.From == g.last+1 && joins(right) {
		right.From = g.From
		w.setGap(right)
		return
	}
	w.setGap(&g)
}

// collect walks from seq to end and gathers entries that pick wants, at most so many with the
// blobs that they pin, or walking over so many times eraseBytes. It returns the last number it dealt with, and whether a bound ended it;
// pick's second result ends it before that entry.
func (w *work) collect(seq, end uint64, most int, pick func(*stored) (take, stop bool)) (list []erased, upto uint64, bounded bool) {
	upto = seq - 1
	bytes, records := 0, 0
	_ = w.walk(seq, end, func(e *stored, g *gap) bool {
		if g != nil {
			upto = g.last
			return true
		}
		if records >= most || bytes >= most*eraseBytes {
			bounded = true
			return false
		}
		take, stop := pick(e)
		if stop {
			return false
		}
		if take {
			list = append(list, leaving(e))
			records += 1 + len(e.Blobs)
		}
		bytes += len(e.Envelope)
		upto = e.seq
		return true
	})
	w.walked += bytes
	return list, upto, bounded
}

func isCommit(e *stored) bool { return e.Kind == relay.KindCommit }

// lasts tells which entries stay when all have acked them. That the queue was closed, and by whom,
// is in no other place.
func lasts(e *stored) bool { return isCommit(e) || e.Kind == relay.KindClosed }

// slowest returns the lowest acked number of the readers and tickets that were seen within
// so many days; ok is false if there is none. While a queue is suspended nobody can be seen, and
// all of them count: what one of them has not fetched is told as acked otherwise, which its client
// takes as a sign that its store is an old copy.
func (w *work) slowest(days uint32) (acked uint64, ok bool) {
	acked = ^uint64(0)
	_ = w.everyReader(func(_ []byte, p reader) {
		if p.State != readerRemoved && (p.Day+days >= w.day || w.header.State == stateSuspended) {
			acked, ok = min(acked, p.Acked), true
		}
	})
	return acked, ok
}

// dropRemoved forgets removed readers beyond maxRemoved: first those that have read all that
// they may, then those that were removed longest ago.
func (w *work) dropRemoved() {
	type found struct {
		key []byte
		reader
	}
	var list []found
	_ = w.everyReader(func(key []byte, p reader) {
		if p.State == readerRemoved {
			list = append(list, found{key, p})
		}
	})
	extra := len(list) - maxRemoved
	if extra <= 0 {
		return
	}
	unread := func(f found) int {
		if f.Acked < f.End.Seq {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b found) int {
		return cmp.Or(cmp.Compare(unread(a), unread(b)), cmp.Compare(a.Day, b.Day), cmp.Compare(a.End.Seq, b.End.Seq))
	})
	for _, f := range list[:extra] {
		w.dropReader(f.key)
	}
}

// eraseAcked erases what every reader has acked, but COMMITs. more tells that a bound ended
// it early. The caller saves the header.
func (w *work) eraseAcked() (more bool) {
	acked, ok := w.slowest(unseenDays)
	if !ok {
		return false // no reader: what is there waits for its expiry
	}
	h := &w.header
	h.Acked = min(acked, h.Seq)
	if upto := min(h.Acked, h.Swept+eraseEntries); upto > h.Swept {
		if entries := w.acked(h.Swept+1, upto); entries != nil {
			w.erase(messagesOf(entries), relay.GapAcked)
			h.Swept = upto
			return upto < h.Acked
		}
	}
	list, upto, bounded := w.collect(h.Swept+1, h.Acked, eraseEntries, func(e *stored) (bool, bool) { return !lasts(e), false })
	w.erase(list, relay.GapAcked)
	h.Swept = max(h.Swept, min(upto, h.Seq))
	return bounded
}

// messagesOf returns all but what lasts, as what is about to go.
func messagesOf(entries []*stored) []erased {
	list := make([]erased, 0, len(entries))
	for _, e := range entries {
		if !lasts(e) {
			list = append(list, leaving(e))
		}
	}
	return list
}

// eraseExpired erases what is older than the retention, and COMMITs older than theirs.
func (w *work) eraseExpired() (more bool) {
	a, err := w.authority()
	if err != nil {
		return false
	}
	h := &w.header
	old := func(e *stored, days uint32) bool { return e.Day+days < w.day }
	list, upto, more := w.collect(h.Swept+1, h.Seq, eraseEntries, func(e *stored) (bool, bool) {
		return !lasts(e), !old(e, uint32(a.Retention))
	})
	w.erase(list, relay.GapExpired)
	h.Swept = max(h.Swept, min(upto, h.Seq))
	commits, _, moreCommits := w.collect(1, h.Swept, eraseEntries, func(e *stored) (bool, bool) { return true, !old(e, commitDays) })
	w.erase(commits, relay.GapExpired)
	return more || moreCommits
}

// makeRoom makes room for one more envelope, or refuses with QUOTA and changes nothing. What
// every reader of the last week has acked goes first, oldest first, so a live group is never
// refused for an absent device; COMMITs go last.
func (w *work) makeRoom(a *authority, size int) *relay.Refusal {
	h := &w.header
	fits := func(entries uint32, bytes uint64) bool {
		return h.Entries-min(entries, h.Entries)+1 <= a.MaxEntries && h.Bytes-min(bytes, h.Bytes)+uint64(size) <= a.MaxBytes
	}
	if fits(0, 0) {
		return nil
	}
	if w.refusedBefore(a, size) {
		return quota(relay.LimitStorage, retryStorage)
	}
	w.m.walks++
	live, ok := w.slowest(liveDays)
	if !ok {
		w.rememberRefusal(a, size)
		return quota(relay.LimitStorage, retryStorage) // nobody has read it: the writer learns that it is full
	}
	live = min(live, h.Seq)
	var entries uint32
	var bytes uint64
	pick := func(commits bool) func(*stored) (bool, bool) {
		return func(e *stored) (take, stop bool) {
			if fits(entries, bytes) {
				return false, true
			}
			if lasts(e) != commits {
				return false, false
			}
			if !slices.Contains(h.Requests, e.seq) {
				entries++
				bytes += uint64(len(e.Envelope))
			}
			return true, false
		}
	}
	messages, upto, _ := w.collect(h.Swept+1, live, roomEntries, pick(false))
	var commits []erased
	if !fits(entries, bytes) {
		commits, _, _ = w.collect(1, live, roomEntries, pick(true))
	}
	if !fits(entries, bytes) {
		w.rememberRefusal(a, size)
		return quota(relay.LimitStorage, retryStorage)
	}
	w.erase(messages, relay.GapQuota)
	w.erase(commits, relay.GapQuota)
	h.Swept = max(h.Swept, min(upto, h.Seq))
	return nil
}

// dropOldestRequest makes room among the strangers' entries.
func (w *work) dropOldestRequest() {
	h := &w.header
	seq := h.Requests[0]
	e := &stored{seq: seq}
	if ok, _ := w.get(seqKey(w.key(kindEntry), seq), &e.entry); ok {
		w.erase([]erased{leaving(e)}, relay.GapQuota)
		return
	}
	h.Requests = h.Requests[1:]
}
