package operatorlog

import (
	"os"
	"syscall"
)

// keepSize is FALLOC_FL_KEEP_SIZE: the file ends where it did.
const keepSize = 1

// allocate reserves room in a file from a place on.
func allocate(f *os.File, from, bytes int64) error {
	return syscall.Fallocate(int(f.Fd()), keepSize, from, bytes)
}
