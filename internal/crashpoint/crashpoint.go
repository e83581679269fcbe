// Package crashpoint names the places on the way of a request to the disk and back at which a
// crash leaves a state of its own (ATTACKS R25). Tests kill a process there, or look at its files.
//
// The code on that way calls [At]; a test begins with [Watch]. In a program there is nobody who
// watches and no way to begin: Watch panics outside a test binary, and a test of the module's root
// sees that nothing but tests calls it. What is left of a point is one comparison with nil.
//
// The tests of faults are short in a plain run, and as long as one likes with a flag (the two with
// a disk of their own are skipped where nothing can be mounted; each needs a -timeout that fits):
//
//	go test -run TestR25_KilledAtEveryPoint ./relay/relayclient -pointkills 200            at each point, under load
//	go test -run TestR25_KilledManyTimes ./relay/relayclient -kills 10000                  at random moments
//	go test -run TestR26 ./relay/internal/queue -cuts 5000                                 what was not synced is dropped, kept or torn
//	go test -run TestR26_DiskThatLosesPower ./relay/relayclient -powercuts 500             an ext4 is shut down without its journal
//	go test -run TestR27_OthersFillTheDisk ./relay/relayclient -fills 100                  to the last block
//	go test -run TestR28_AnyBitOfARelay ./relay/internal/queue -flips 1000 -flipseed 1     one bit in any file
//	go test -run TestR28_BitFlips ./internal/shard -flips 1000                             in each file of a store
package crashpoint

import "flag"

// A Point is a place. Its name says what has just happened there.
type Point string

// The points, in the order in which a request passes them.
const (
	Received    Point = "received"     // a mutation was read and verified; nothing was done with it
	Applied     Point = "applied"      // a batch is applied, in memory
	Storing     Point = "storing"      // a batch is about to be committed
	Committed   Point = "committed"    // Badger has committed it; not synced
	LogBegun    Point = "log-begun"    // the same, as the first one of a new write-ahead log
	Synced      Point = "synced"       // the write-ahead log is synced
	MarkWritten Point = "mark-written" // the high-water mark is written; not synced
	MarkSynced  Point = "mark-synced"  // the mark is synced; nobody has heard anything
	Shown       Point = "shown"        // readers can see the batch; nobody was woken
	FannedOut   Point = "fanned-out"   // attached readers were woken; nobody was answered
	Answering   Point = "answering"    // the first one of a batch was answered
	Answered    Point = "answered"     // all of them were
	Delivered   Point = "delivered"    // a session's frames were written, answers and entries

	AckNoted   Point = "ack-noted"   // an ACK is in memory
	AckStoring Point = "ack-storing" // the acks of a second are about to be submitted
	Erasing    Point = "erasing"     // entries are being erased, in memory
	AckStored  Point = "ack-stored"  // acks, and what they erased, are stored
	Sweeping   Point = "sweeping"    // a step of a sweep begins

	TableFlush Point = "table-flush" // Badger begins to write a memtable out as a table
	Compacting Point = "compacting"  // Badger is merging tables; the manifest does not list the result yet

	BlobWritten  Point = "blob-written"  // a part of a blob is written; not synced
	BlobVerified Point = "blob-verified" // the whole blob is synced and has its hash
	BlobRenamed  Point = "blob-renamed"  // it has its name; the folder is not synced
	BlobPlaced   Point = "blob-placed"   // the folder is; no record says that it is complete

	LifeStored Point = "life-stored" // a new incarnation is stored; the mark does not tell of it
)

// hook is set before anything runs that passes a point, and not changed while it does.
var hook func(Point)

// At tells the test that watches, if there is one, that the process is at p. It returns when the
// test lets the process go on.
func At(p Point) {
	if hook != nil {
		hook(p)
	}
}

// Watched reports whether a test watches: for points whose finding costs something.
func Watched() bool { return hook != nil }

// Watch has fn called at every point, on the goroutine that is there; nil ends that. Nothing that
// passes a point may run meanwhile. It panics outside a test binary.
func Watch(fn func(Point)) {
	if flag.Lookup("test.v") == nil {
		panic("crashpoint: only tests watch")
	}
	hook = fn
}
