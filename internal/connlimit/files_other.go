//go:build !unix

package connlimit

// openFiles returns how many sockets this process may have open, on a system without a limit
// that can be asked for.
func openFiles() uint64 { return 1 << 14 }
