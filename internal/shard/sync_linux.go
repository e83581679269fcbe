package shard

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncsMapped: fsync and fdatasync of a file take along what was written to it through a shared
// mapping, since the kernel notes the first write to each page.
const syncsMapped = true

// commitSyncs is how often a commit syncs: the write-ahead log.
const commitSyncs = 1

// syncData makes the file's bytes durable; its size never changes, so fdatasync suffices.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
