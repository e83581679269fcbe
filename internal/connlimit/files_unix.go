//go:build unix

package connlimit

import "syscall"

// openFiles returns how many files this process may have open; Go has raised the soft limit
// to the hard one by then.
func openFiles() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 1024 // the least that systems in use grant
	}
	return uint64(r.Cur)
}
