package queue

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// promises is what clients asked a relay for and what it answered them: what a store that was
// hurt is held to. Safe for concurrent use.
type promises struct {
	mu    sync.Mutex
	life  relay.Incarnation // of the store that answered
	logs  map[relay.QueueID]*promisedLog
	blobs map[relay.Hash]promisedBlob
}

// promisedLog is one queue.
type promisedLog struct {
	readers []string
	writer  string // in force, as of the last answer
	next    string // in force once the COMMIT that is asked for is answered
	asked   map[relay.Hash]bool
	pending int // COMMITs that were asked for and not answered
	at      map[uint64]promisedEntry
	head    relay.Position
	last    relay.Mutation // the newest that was answered
	acked   uint64         // every reader may have acked so far: this much may be gone
	gone    uint64         // it is gone, all but COMMITs, and that is on disk
}

type promisedEntry struct {
	envelope relay.Hash
	commit   bool
	position relay.Position
}

// promisedBlob is a blob that was asked for.
type promisedBlob struct {
	queue    relay.QueueID
	bytes    []byte
	complete bool // that was answered
}

func newPromises(life relay.Incarnation) *promises {
	return &promises{life: life, logs: make(map[relay.QueueID]*promisedLog), blobs: make(map[relay.Hash]promisedBlob)}
}

// ask notes that m is about to be submitted.
func (p *promises) ask(m relay.Mutation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, q := envelopeOf(m); b != nil {
		l := p.logs[q]
		l.asked[sha256.Sum256(b)] = true
		if _, commit := m.(*relay.Commit); commit {
			l.pending++
		}
	}
}

// accept notes the answer.
func (p *promises) accept(m relay.Mutation, at relay.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, q := envelopeOf(m)
	if b == nil {
		return
	}
	l := p.logs[q]
	_, commit := m.(*relay.Commit)
	if commit {
		l.pending--
		l.writer = l.next
	}
	l.at[at.Seq] = promisedEntry{sha256.Sum256(b), commit, at}
	if at.Seq > l.head.Seq {
		l.head, l.last = at, m
	}
}

// envelopeOf returns what m adds to which log, and nil if it is nothing.
func envelopeOf(m relay.Mutation) ([]byte, relay.QueueID) {
	switch m := m.(type) {
	case *relay.Append:
		return m.Envelope, m.Queue
	case *relay.Commit:
		return m.Envelope, m.Queue
	}
	return nil, relay.QueueID{}
}

// How a hurt store holds its promises. All but the last are in order.
const (
	keptWhole      = "nothing is missing"
	keptTold       = "a new incarnation tells of a loss"
	keptUnreadable = "what is damaged is refused"
	keptSeen       = "a client sees that a blob is damaged"
	keptBroken     = "a promise is broken"
)

// errUnreadable: the store says by itself that it cannot read something.
var errUnreadable = errors.New("unreadable")

// kept looks at everything that was promised through the eyes of clients, and asks for more. It
// returns one of the above, and of a broken promise which.
func (p *promises) kept(s *Store, files *blob.Store) (how string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how = keptWhole
	changed := s.Incarnation() != p.life
	if changed {
		how = keptTold
	}
	for q, l := range p.logs {
		for _, reader := range l.readers {
			err = errors.Join(err, l.read(s, q, reader, changed), l.resume(s, q, reader, changed))
		}
		err = errors.Join(err, l.goOn(s, q, changed))
	}
	for hash, b := range p.blobs {
		wrong, failed := b.read(s, files, hash, changed)
		if wrong && how == keptWhole {
			how = keptSeen
		}
		err = errors.Join(err, failed)
	}
	switch {
	case err == nil:
		return how, nil
	case onlyUnreadable(err):
		return keptUnreadable, nil
	}
	return keptBroken, err
}

// onlyUnreadable tells whether all that err joins is errUnreadable.
func onlyUnreadable(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(e error) bool { return !onlyUnreadable(e) })
	}
	return errors.Is(err, errUnreadable)
}

// refusal sorts a refusal of what should be given.
func refusal(err error, changed bool) error {
	switch {
	case errors.Is(err, relay.ErrBusy):
		return errUnreadable
	case changed: // the session's HELLO has told the client that the store lost something
		return nil
	}
	return err
}

// shownLog is what one reader was shown of a log.
type shownLog struct {
	entries map[uint64]relay.Entry
	gaps    []relay.Gap
}

// read reads the log from its beginning, as nobody does who ever stored a position, and compares.
// A store that lost what came last has lost acks with it, and says so: then what they erased is
// there once more, and resume sees that it is nobody's who acked it.
func (l *promisedLog) read(s *Store, q relay.QueueID, reader string, changed bool) error {
	a, _, err := s.Attach(q, key(reader), nil, func() {})
	if err != nil {
		return refusal(fmt.Errorf("attach: %w", err), changed)
	}
	defer a.Close()
	got, err := readAll(a)
	if err != nil {
		return err
	}
	where := make(map[relay.Hash]uint64)
	for _, seq := range slices.Sorted(maps.Keys(got.entries)) {
		e := got.entries[seq]
		h := relay.Hash(sha256.Sum256(e.Envelope))
		was, answered := l.at[seq]
		switch first, twice := where[h]; {
		case !l.asked[h]:
			return fmt.Errorf("entry %d is what nobody wrote", seq)
		case twice:
			return fmt.Errorf("entry %d is the same as entry %d", seq, first)
		case answered && was.envelope != h:
			return fmt.Errorf("entry %d is another than was accepted there", seq)
		case seq <= l.gone && e.Kind != relay.KindCommit && !changed:
			return fmt.Errorf("entry %d was acked by all and erased, and is back", seq)
		}
		where[h] = seq
	}
	for seq, was := range l.at {
		if _, there := got.entries[seq]; there {
			continue
		}
		if err := l.explained(got.gaps, seq, was, changed); err != nil {
			return err
		}
	}
	return nil
}

// resume reads on from what was acked, as every client does: nothing of that comes again.
func (l *promisedLog) resume(s *Store, q relay.QueueID, reader string, changed bool) error {
	was, acked := l.at[l.gone]
	if !acked {
		return nil
	}
	a, _, err := s.Attach(q, key(reader), &was.position, func() {})
	if errors.Is(err, relay.ErrRollback) {
		return fmt.Errorf("who has acked up to %d hears of a rollback: %w", l.gone, err)
	}
	if err != nil {
		return refusal(fmt.Errorf("attach after %d: %w", l.gone, err), changed)
	}
	defer a.Close()
	got, err := readAll(a)
	if err != nil {
		return err
	}
	for seq := range got.entries {
		if seq <= l.gone {
			return fmt.Errorf("entry %d comes again to a reader who has acked up to %d", seq, l.gone)
		}
	}
	for seq, e := range l.at {
		if _, there := got.entries[seq]; !there && seq > l.gone {
			err = errors.Join(err, l.explained(got.gaps, seq, e, changed))
		}
	}
	return err
}

// explained looks for the gap that tells of an entry that is not there.
func (l *promisedLog) explained(gaps []relay.Gap, seq uint64, was promisedEntry, changed bool) error {
	for _, g := range gaps {
		if seq < g.From || seq > g.To {
			continue
		}
		switch {
		case g.Reason == relay.GapLost && changed:
			return nil
		case g.Reason == relay.GapAcked && seq <= l.acked && !was.commit:
			return nil
		}
		return fmt.Errorf("entry %d, accepted and acked by all up to %d, is missing for reason %d", seq, l.acked, g.Reason)
	}
	return fmt.Errorf("entry %d was accepted and is missing, and no gap tells of it", seq)
}

// readAll reads as a client does: numbers without holes, and a chain of its own. Where an
// incarnation begins only a gap can tell.
func readAll(a *Attachment) (shownLog, error) {
	got := shownLog{entries: make(map[uint64]relay.Entry)}
	at, blind := a.at, a.blind
	for {
		b, err := a.Next(1 << 20)
		switch {
		case errors.Is(err, relay.ErrBusy):
			return got, errUnreadable
		case err != nil:
			return got, fmt.Errorf("reading after %d: %w", at.Seq, err)
		case b.Gap != nil:
			if b.Gap.From != at.Seq+1 || b.Gap.To < b.Gap.From || b.Gap.After.Seq != b.Gap.To {
				return got, fmt.Errorf("a gap from %d to %d after %d", b.Gap.From, b.Gap.To, at.Seq)
			}
			if !blind && b.Gap.After.Incarnation != at.Incarnation && b.Gap.Reason != relay.GapLost {
				return got, fmt.Errorf("a gap of reason %d changes the incarnation", b.Gap.Reason)
			}
			got.gaps, at = append(got.gaps, *b.Gap), b.Gap.After
		case len(b.Entries) > 0:
			for _, e := range b.Entries {
				if e.Seq != at.Seq+1 {
					return got, fmt.Errorf("entry %d after %d", e.Seq, at.Seq)
				}
				at.Seq, at.Chain = e.Seq, relay.ChainNext(at.Chain, e.Seq, e.Kind, e.Envelope, e.Blobs...)
				e.Envelope = bytes.Clone(e.Envelope)
				got.entries[e.Seq] = e
			}
			if b.Chain != at.Chain {
				return got, fmt.Errorf("the chain after %d is not what the entries give", at.Seq)
			}
		default:
			return got, nil
		}
		blind = false
	}
}

// goOn asks for the newest answer again, which is the same, and for one more entry, whose number
// nobody was ever given.
func (l *promisedLog) goOn(s *Store, q relay.QueueID, changed bool) error {
	submit := func(m relay.Mutation) (relay.Position, error) {
		c := make(chan Answer, 1)
		s.SubmitFrom(new(Flow), m, Authority{}, func(a Answer) { c <- a })
		if a := <-c; a.Err != nil {
			return relay.Position{}, a.Err
		} else {
			return a.Position, nil
		}
	}
	if l.last != nil && !changed {
		switch at, err := submit(l.last); {
		case err != nil:
			return refusal(fmt.Errorf("a retry: %w", err), changed)
		case at != l.head:
			return fmt.Errorf("a retry was answered %d, and %d the first time", at.Seq, l.head.Seq)
		}
	}
	more := &relay.Append{ID: relay.IdempotencyID{0xff, 1}, Queue: q, Writer: key(l.writer), Envelope: envelope("one more", 512)}
	at, err := submit(more)
	if err != nil {
		if errors.Is(err, relay.ErrStale) && l.pending > 0 {
			return nil // a COMMIT that nobody was answered has come through
		}
		return refusal(fmt.Errorf("one more: %w", err), changed)
	}
	if at.Seq <= l.head.Seq {
		return fmt.Errorf("number %d is given again: %d was answered before", at.Seq, l.head.Seq)
	}
	return nil
}

// read fetches a blob. wrong tells that a client sees other bytes than it asked for, by their hash.
func (b promisedBlob) read(s *Store, files *blob.Store, hash relay.Hash, changed bool) (wrong bool, err error) {
	name, size, err := s.FindBlob(b.queue, hash)
	switch {
	case errors.Is(err, relay.ErrUnknown) && !b.complete:
		return false, nil
	case err != nil:
		return false, refusal(fmt.Errorf("a complete blob: %w", err), changed)
	case size != uint64(len(b.bytes)):
		return false, fmt.Errorf("a blob has %d bytes, and had %d", size, len(b.bytes))
	}
	got := make([]byte, size)
	switch err := files.Read(name, int64(size), got, 0); {
	case errors.Is(err, blob.ErrMissing):
		return false, fmt.Errorf("a blob of which the record says that it is complete: %w", err)
	case err != nil:
		return false, errUnreadable
	}
	return !bytes.Equal(got, b.bytes), nil
}
