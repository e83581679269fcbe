package bench

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes a file's bytes durable, as internal/shard does.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
