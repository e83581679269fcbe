package shard

import (
	"os"
	"syscall"

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

// diskUse returns how many bytes of the disk a file takes: of a log, what is written so far.
func diskUse(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(max(st.Blocks, 0)) * 512
	}
	return uint64(info.Size())
}
