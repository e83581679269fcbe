//go:build !linux

package bench

import (
	"io/fs"
	"os"
)

// syncData makes a file's bytes durable, as internal/shard does.
func syncData(f *os.File) error { return f.Sync() }

// allocated returns a file's length.
func allocated(info fs.FileInfo) int64 { return info.Size() }
