//go:build !linux

package bench

import "os"

// syncData makes a file's bytes durable, as internal/shard does.
func syncData(f *os.File) error { return f.Sync() }
