// Package transfer moves sealed files between a folder of this device and a relay, until they
// are there or cannot be.
//
// Start with [Open] and [Folder.Stage] to send, with [Folder.Download] to receive. A transfer
// has a connection of its own, which ends with it: live messages do not wait behind it, and a
// relay cannot tell by it which other queues the device reads. It goes on where it was after
// every cut of the line, and after a restart of the program.
//
// The folder holds sealed bytes only, under names that the relay knows as well: whoever takes
// the disk learns sizes, and nothing of contents, names or senders (ATTACKS C08). What a crash
// leaves in it:
//
//	stage-…          a file that was being sealed; its key is lost, and Open removes it
//	<hash>.part      the beginning of a download, which goes on; a power cut may have spoiled
//	                 it, which the hash finds, and then all of it is fetched again
//	<hash>.sealed    a whole file: staged and synced, or downloaded, verified and synced
//
// Nothing else in the folder goes away by itself, but the beginning of a download that found the
// disk full: [Folder.Files] lists it, [Folder.Remove] removes.
// Out of scope: which file belongs to which message, and how long to keep it.
//
// All methods are safe for concurrent use. One process may have a folder open.
package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/sealpost/sealpost/relay/relayclient"
)

// Our own limits.
const (
	// atOnce is how many transfers of a folder are under way; more wait for their turn. Each may
	// hold a megabyte.
	atOnce = 3
	// stallAfter without any part moved, a session is given up: a relay that answers PINGs and
	// nothing else holds nobody for longer (ATTACKS A20). A part of 64 KiB comes through at
	// half a KiB a second.
	stallAfter = 2 * time.Minute
	// The bytes of a part. A session that ended before one was through halves them, so that a
	// line which is cut every few KiB still moves something each time; one that moved eight
	// doubles them.
	maxPart = 64 << 10
	minPart = 1 << 10
	// reportEvery is the shortest time between two calls of a Progress, the last one apart.
	reportEvery = 100 * time.Millisecond
)

// Errors, by what the caller does next. Refusals of the relay that are final (package relay
// says which; QUOTA is one here, since nobody knows when it ends), relayclient.ErrProtocol and
// errors of the file system come as they are; sealedfile.ErrDamaged means that the relay keeps
// giving other bytes than those of the hash, or that the disk changed a file.
var (
	// ErrMissing: no whole file of this hash is in the folder.
	ErrMissing = errors.New("transfer: no such file in the folder")
	// ErrBusy: a transfer of this file is under way.
	ErrBusy = errors.New("transfer: the file is being moved")

	errStalled = errors.New("transfer: nothing moved for too long")
)

// A Dial opens a session with the relay that a transfer is for. It is called again after each
// end; the transfer closes what it returns.
type Dial func(ctx context.Context) (*relayclient.Conn, error)

// Options of a folder. The zero value is the normal one.
type Options struct {
	// Backoff is where every transfer starts from; tests set its Jitter.
	Backoff relayclient.Backoff
}
