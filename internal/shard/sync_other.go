//go:build !linux

package shard

import "os"

// syncsMapped: nothing is known of mapped pages here, so Badger syncs its own.
const syncsMapped = false

// commitSyncs is how often Badger syncs at a commit: its value log, and its write-ahead log.
const commitSyncs = 2

// syncData makes the file's bytes durable.
func syncData(f *os.File) error { return f.Sync() }

// diskUse returns how many bytes of the disk a file takes, as far as can be told.
func diskUse(info os.FileInfo) uint64 { return uint64(info.Size()) }
