package queue

import (
	"cmp"
	"time"
)

// The specification's constants (DESIGN sections 3 and 4, relay/PROTOCOL.md). Days are the
// store's day numbers.
const (
	ringEntries = 64 // entries that strangers' writer may have waiting, oldest dropped first

	commitDays   = 90 // COMMIT entries are kept so long whatever is acked
	ticketDays   = 28 // an unredeemed ticket ends
	unseenDays   = 90 // a reader that nobody saw for so long is removed
	liveDays     = 7  // a reader seen within them holds back erasing over quota
	closedDays   = 7  // between DELETE and erasing
	shortMemory  = 2  // periods an APPEND's or KNOCK's answer is remembered beside the present one: 48 hours and more
	longMemory   = 7  // periods all other answers are
	recentDays   = 90 // a replaced writer key hears STALE so long
	recentAtOnce = 16 // or while it is among so many last ones
)

// Our own limits, each with its reason.
const (
	maxRecent   = 64   // replaced writer keys kept in the authority record, which COMMITs rewrite
	removedDays = 90   // a removed reader may still come for what it missed; then its record goes
	maxRemoved  = 1024 // removed readers that a queue knows: every ack and append over quota walks over them
	goneDays    = 90   // an erased queue's name stays taken, so that nobody founds it anew
	maxSegments = 1000 // incarnations that a queue remembers; each is a loss of the store

	// What one operation erases at most, so that no batch waits long for it; the rest
	// follows with the next ack or sweep.
	eraseEntries = 256
	ackErase     = 2048     // by the acks of one operation, which may be of many queues: a batch has room for so many records only
	ackBytes     = 4 << 20  // of envelopes, read for that by all acks of one batch or by one step of a sweep, and once as much by the queue with which it is reached
	roomEntries  = 4096     // over quota, where the largest envelope may need 1024 small ones
	eraseBytes   = 16 << 10 // walked over for each of them
	eraseRecords = 1000     // of an erased queue or of old answers

	uploadDays   = 2        // a blob that nobody goes on with
	minBlobBytes = 64 << 10 // that a blob counts for: a quota of bytes bounds the files, too

	voteEntries = 4096     // room that a closed queue has for votes beyond the relay's limits: two of each reader
	voteBytes   = 16 << 20 // the same in bytes

	sweepQueues = 16        // walked by one sweep operation
	sweepBlobs  = 256       // the same of blobs
	sweepEvery  = time.Hour // expiry is counted in days
	ackDelay    = time.Second
	ackSoon     = 100 * time.Millisecond // while many acks come
	manyAcks    = 256                    // in one delay,
	manyEach    = 4                      // and of each reader: a thousand readers who ack one entry have theirs written once a second
	ackBatch    = 128                    // acks in one operation: each may rewrite two records

	sweepReaders = 256 // of one queue that a sweep operation removes or forgets

	maxWaking  = 1 << 14 // queues with new entries, or readers that have left, that wait for a look; beyond it all are looked at
	maxTold    = 1 << 16 // queues whose readers were woken, and readers to be woken next, in each of two generations; about 100 bytes each
	maxAwake   = 64      // readers of one queue that are noted beside those that were woken
	wakeQueues = 16      // looked at in one step of a scan
	scanPause  = 100 * time.Millisecond
	wakeRetry  = time.Second

	maxGlances   = 1 << 12   // queues' decoded authorities, a few hundred bytes each
	maxTail      = 256 << 10 // bytes of the newest entries of a queue that are kept for those who are there: some hundred small ones, or none of the largest
	maxTails     = 16 << 20  // of all queues
	tailOverhead = 256       // of an entry that is kept: its record's buffer is larger than the envelope

	maxFresh   = 64 << 10 // bytes of entries that are kept for the other readers of a queue
	maxRefused = 1 << 14  // queues over quota that are remembered, about 150 bytes each
	maxBuckets = 1 << 17  // rate buckets in memory, about 100 bytes each
	maxSieve   = 8 << 20  // bytes that a period's answers are noted in, of which three are in use: three and a half million answers a day

	busyRetry      = 30 * time.Second
	suspendedRetry = 10 * time.Minute // an operator takes days

	// When it is worth asking again for what others have to give back first.
	retryStorage = 2 * ackDelay // acks do
	retryBlobs   = sweepEvery   // sweeps do
	retryMembers = time.Minute  // people do
)

// Rate is a token bucket: Burst at once, then one every Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// Limits are the server's limits; zero fields take the value of [DefaultLimits].
type Limits struct {
	MaxEntries uint32 // stored in one queue
	MaxBytes   uint64 // of envelopes stored in one queue
	MaxReaders uint32 // readers and tickets of one queue
	MaxWriters uint32 // contact writers of one queue

	ContactEntries uint32 // of one contact writer, waiting
	ContactBytes   uint64 // the same in bytes: no contact can fill an inbox alone (ATTACKS R07)

	GroupAppends   Rate // all members share one writer key
	ContactAppends Rate // of one contact
	RequestAppends Rate // all strangers share one writer key
	Commits        Rate // accepted, of one reader
	Conflicts      Rate // refused COMMITs of one reader
	Knocks         Rate // of one reader
	Votes          Rate // of one reader
	Configures     Rate // CONFIGUREs and LEAVEs of one key
	StoreBlobs     Rate // STORE_BLOBs of one key

	MaxBlob          uint64 // bytes of one blob
	QueueBlobBytes   uint64 // of all blobs of one queue; each counts as at least 64 KiB
	ContactBlobBytes uint64 // of one contact writer's in a queue
	RelayBlobBytes   uint64 // of all blobs of the relay
}

// DefaultLimits are what a relay runs with unless its operator says otherwise.
var DefaultLimits = Limits{
	MaxEntries: 1 << 16, MaxBytes: 256 << 20,
	MaxReaders: 2048, MaxWriters: 4096,
	ContactEntries: 8192, ContactBytes: 32 << 20,
	GroupAppends:   Rate{4096, time.Millisecond},
	ContactAppends: Rate{256, 100 * time.Millisecond},
	RequestAppends: Rate{64, 250 * time.Millisecond},
	Commits:        Rate{20, time.Minute},
	Conflicts:      Rate{60, time.Second},
	Knocks:         Rate{1, time.Hour},
	Votes:          Rate{30, 2 * time.Minute},
	Configures:     Rate{120, time.Second},
	StoreBlobs:     Rate{256, 100 * time.Millisecond},
	MaxBlob:        100 << 20, QueueBlobBytes: 1 << 30, ContactBlobBytes: 128 << 20, RelayBlobBytes: 64 << 30,
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	return Limits{
		MaxEntries:     cmp.Or(l.MaxEntries, d.MaxEntries),
		MaxBytes:       cmp.Or(l.MaxBytes, d.MaxBytes),
		MaxReaders:     cmp.Or(l.MaxReaders, d.MaxReaders),
		MaxWriters:     cmp.Or(l.MaxWriters, d.MaxWriters),
		ContactEntries: cmp.Or(l.ContactEntries, d.ContactEntries),
		ContactBytes:   cmp.Or(l.ContactBytes, d.ContactBytes),
		GroupAppends:   cmp.Or(l.GroupAppends, d.GroupAppends),
		ContactAppends: cmp.Or(l.ContactAppends, d.ContactAppends),
		RequestAppends: cmp.Or(l.RequestAppends, d.RequestAppends),
		Commits:        cmp.Or(l.Commits, d.Commits),
		Conflicts:      cmp.Or(l.Conflicts, d.Conflicts),
		Knocks:         cmp.Or(l.Knocks, d.Knocks),
		Votes:          cmp.Or(l.Votes, d.Votes),
		Configures:     cmp.Or(l.Configures, d.Configures),
		StoreBlobs:     cmp.Or(l.StoreBlobs, d.StoreBlobs),

		MaxBlob:          cmp.Or(l.MaxBlob, d.MaxBlob),
		QueueBlobBytes:   cmp.Or(l.QueueBlobBytes, d.QueueBlobBytes),
		ContactBlobBytes: cmp.Or(l.ContactBlobBytes, d.ContactBlobBytes),
		RelayBlobBytes:   cmp.Or(l.RelayBlobBytes, d.RelayBlobBytes),
	}
}
