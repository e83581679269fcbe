//go:build !linux

package shard

import "os"

// syncData makes the file's bytes durable.
func syncData(f *os.File) error { return f.Sync() }
