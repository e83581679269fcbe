package shard

// Format is the version of everything in a store's folder, the records of all machines included:
// whoever changes what any of them stores raises it. It stands in the high-water mark, which is
// read before anything else, and in the database. A store of another format is [ErrFormat], and
// nothing of it is changed (ATTACKS R36).
const Format = 1

// The store's format: none of these can change without a new [Format].
const (
	slotSize   = 128     // bytes of a mark slot that are written
	slotStride = 4096    // distance of the slots: a torn write damages one of them only
	nameSize   = 20      // bytes of HMAC in a name
	ringSize   = 1 << 16 // batch records kept as evidence inside Badger
)

// Our own limits, each with its reason.
const (
	maxBatchOps   = 256     // bounds how long the first operation of a batch waits for the last
	maxBatchBytes = 2 << 20 // Badger refuses transactions above 15 % of its memtable
	ownShare      = 4       // a part of a batch that goes to the store's own operations first: enough for them, and little for all others

	// What the operations of one batch may write: far enough below Badger's limit
	// (4.8 MiB and about 48,000 entries with this memtable) that it is never met.
	maxWriteBytes = 3 << 20
	maxWrites     = 16 << 10
	writeOverhead = 80       // bytes that sealing and Badger add to a value
	memTable      = 32 << 20 // Badger's in-memory table

	// What may wait for the storing goroutine before Submit blocks: a flood costs the
	// relay this much memory and no more.
	maxQueuedOps   = 4096
	maxQueuedBytes = 16 << 20

	// What recent holds of records, in bytes of each of its two generations: some twenty
	// thousand busy queues.
	maxRecent      = 8 << 20
	maxRecentValue = 4 << 10 // larger ones are payload, which is not read again and again
	recentOverhead = 64      // of the map

	// maxUnsorted is how many keys that a batch wrote are looked through at each scan before they
	// are put in order: acks write and scan in turn, and putting all in order each time was a
	// tenth of the relay's time.
	maxUnsorted = 128

	maxValue = 1<<20 - 1024 // larger ones would leave the LSM tree for Badger's value log

	defaultMinFree = 256 << 20 // three memtables being flushed, one compaction

	// What no operation may use, but what Badger does in the background: a memtable being
	// flushed and the log that follows it. See Store.bare.
	leastFree = 2 * memTable

	// blindJump is added to the floor when the mark itself is gone: nobody knows what was
	// answered, and no queue sees 2^32 entries between two losses.
	blindJump = 1 << 32

	// maxClockFloor bounds what a clock can do to the numbers after a restore: clients keep
	// them as signed ones of 64 bits.
	maxClockFloor = 1 << 61
)
