package shard

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Badger maps the files that it writes, and to write to a mapped file on a disk without a free
// block is the end of the process. What is stored is refused in time (see Store.checkSpace); here
// is what Badger writes by itself. A batch or a table that is being written in the very
// moment in which others take the last of some 64 MiB still ends the process, as a kill does:
// nothing is lost.

// bareBelow returns how many free bytes are too few for any operation.
func bareBelow(minFree uint64) uint64 { return min(minFree/4, leastFree) }

// awaitRoom returns when the disk has so many free bytes, or closing is closed. Tables that are not
// merged in time cost room and reads, which is better than nobody being served.
func awaitRoom(dir string, least uint64, closing <-chan struct{}) {
	for {
		if free, err := FreeSpace(dir); err != nil || free >= least {
			return
		}
		select {
		case <-closing:
			return
		case <-time.After(time.Second):
		}
	}
}

// roomForTables returns ErrFull where the disk has fewer free bytes than least, or no room for the
// tables that Badger makes of its logs when it is opened and closed.
func roomForTables(badgerDir string, least uint64) error {
	free, err := FreeSpace(badgerDir)
	if err != nil {
		return nil // it cannot be told
	}
	entries, err := os.ReadDir(badgerDir)
	if err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	need := uint64(1 << 20) // the first bytes of a log, a line in the list of tables
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".mem" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("shard: %w", err)
		}
		use := min(diskUse(info), memTable)
		need += use + use/8 // a table's index and filter
	}
	if need = max(need, least); free < need {
		return fmt.Errorf("%w: %d MiB are needed", ErrFull, (need+1<<20-1)>>20)
	}
	return nil
}
