package bench

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
)

const (
	pageSize  = 4096
	diskPages = 1024 // of the file that is written over and over
)

// diskRequest asks for single synced writes.
type diskRequest struct {
	Dir    string
	Writes int
}

// syncDisk is the role of the disk: 4 KiB written over what is there, and fdatasync, which
// then has no metadata to store.
func syncDisk(ctx context.Context, d *measure.Desk, _ Cast) error {
	return measure.Serve(d, func(q diskRequest) (done loadDone, err error) {
		f, err := os.Create(filepath.Join(q.Dir, "page"))
		if err != nil {
			return done, err
		}
		defer f.Close()
		if _, err := f.Write(make([]byte, diskPages*pageSize)); err != nil {
			return done, err
		}
		if err := f.Sync(); err != nil {
			return done, err
		}
		page := make([]byte, pageSize)
		var times []float64
		for i := 0; i < q.Writes && ctx.Err() == nil; i++ {
			page[0]++
			start := time.Now()
			if _, err := f.WriteAt(page, int64(i%diskPages)*pageSize); err != nil {
				return done, err
			}
			if err := syncData(f); err != nil {
				return done, err
			}
			times = append(times, float64(time.Since(start))/float64(time.Microsecond))
		}
		return loadDone{Messages: len(times), Median: measure.Median(times)}, ctx.Err()
	})
}
