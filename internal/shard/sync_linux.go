package shard

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the file's bytes durable; its size never changes, so fdatasync suffices.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
