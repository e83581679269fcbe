package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

// end is how a server's process ends in the middle of its work.
type end int

const (
	killed    end = iota // what it wrote is on its disk
	powerless            // what it wrote and did not sync is there, or not, or torn, sector by sector
	lied                 // and the end of what it did sync is not: the disk said that it was
)

func (e end) String() string {
	return [...]string{"the process is killed", "the power goes", "the power goes, and its disk has lied"}[e]
}

// doom is a server's end to come. It is looked at and changed at crash points alone, and while
// everybody waits.
type doom struct {
	fuse   int // so many crash points until then; 0: none is planned
	end    end
	synced map[string][]byte // logs and mark, by their path below the host's folder
	random *rand.Rand
	grave  string // what its disk was then; "": it lives
}

// dies has the relay end after so many crash points.
func (h *host) dies(after int, e end) error {
	h.deaths++
	h.doom = doom{fuse: after, end: e, synced: map[string][]byte{}, random: stream(h.w.net.seed, fmt.Sprint("death ", h.deaths))}
	return h.noteSynced(func(string) bool { return true })
}

// noteSynced takes note of the files that ok wants as they are.
func (h *host) noteSynced(ok func(name string) bool) error {
	for _, name := range h.unsyncedFiles() {
		if !ok(name) {
			continue
		}
		b, err := written(filepath.Join(h.dir, name))
		if err != nil {
			return err
		}
		h.doom.synced[name] = b
	}
	return nil
}

// unsyncedFiles are those that the store writes and syncs itself: the mark, and the logs in order.
// What Badger syncs, tables and its manifest, counts as synced.
func (h *host) unsyncedFiles() []string {
	logs, _ := filepath.Glob(filepath.Join(h.dir, "queues", "badger", "*.mem")) // the pattern is right
	slices.Sort(logs)
	names := []string{filepath.Join("queues", "mark")}
	for _, l := range logs {
		names = append(names, strings.TrimPrefix(l, h.dir+string(filepath.Separator)))
	}
	return names
}

// written reads a file up to the last byte that says something: logs are large, and nearly all of
// them is a hole.
func written(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const chunk = 256 << 10
	var out []byte
	for {
		part := make([]byte, chunk)
		n, err := f.ReadAt(part, int64(len(out)))
		if out = append(out, part[:n]...); err != nil || len(bytes.Trim(part, "\x00")) == 0 {
			return bytes.TrimRight(out, "\x00"), nil
		}
	}
}

// passes is called at every crash point, on the goroutine that is there. Some are the key server's,
// which look like the relay's: they are moments as good as any.
func (h *host) passes(p crashpoint.Point) {
	d := &h.doom
	if d.fuse == 0 || d.grave != "" {
		return
	}
	var err error
	switch files := h.unsyncedFiles(); p {
	case crashpoint.Synced:
		err = h.noteSynced(func(name string) bool { return name == files[len(files)-1] })
	case crashpoint.MarkSynced:
		err = h.noteSynced(func(name string) bool { return name == files[0] })
	}
	if d.fuse--; err == nil && d.fuse == 0 {
		err = h.die(p)
	}
	if err != nil {
		h.w.trace.add("%s: its disk is not copied: %v", h.name, err)
		h.fault = err
	}
}

// die copies the disk as the end leaves it. From here on nobody hears the process.
func (h *host) die(p crashpoint.Point) error {
	h.doom.grave = h.nextDir()
	h.w.net.killHost(h.name)
	h.w.trace.add("%s: %s, at %s", h.name, h.doom.end, p)
	if err := copyTree(h.dir, h.doom.grave); err != nil || h.doom.end == killed {
		return err
	}
	files := h.unsyncedFiles()
	for i, name := range files {
		now, err := written(filepath.Join(h.dir, name))
		if err != nil {
			return err
		}
		left := torn(h.doom.random, h.doom.synced[name], now)
		if h.doom.end == lied && i == len(files)-1 {
			left = left[:max(0, len(left)-1-h.doom.random.IntN(4<<10))]
			h.w.restored = true
		}
		if err := overwrite(filepath.Join(h.doom.grave, name), left); err != nil {
			return err
		}
	}
	return nil
}

// overwrite has a file say this and nothing else, in its size.
func overwrite(path string, b []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, b, 0o600); err != nil { // which truncates
		return err
	}
	return os.Truncate(path, info.Size())
}

// torn is what a power cut may leave of a file: of what was written after the last sync each
// sector, or each page, is there or not, or all up to a byte is.
func torn(random *rand.Rand, synced, now []byte) []byte {
	out := make([]byte, max(len(synced), len(now)))
	copy(out, synced)
	unit := 512
	switch random.IntN(5) {
	case 0:
		return out
	case 1:
		return now
	case 2:
		n := random.IntN(len(now) + 1)
		for first := range now {
			if first >= len(synced) || synced[first] != now[first] {
				n = first + random.IntN(len(now)-first+1)
				break
			}
		}
		copy(out, now[:n])
		return out
	case 3:
		unit = 4096
	}
	for at := 0; at < len(now); at += unit {
		if random.IntN(2) == 0 {
			copy(out[at:min(at+unit, len(now))], now[at:])
		}
	}
	return out
}

// bury ends a process that nobody hears any more, and leaves its disk as it was when it died.
func (h *host) bury() error {
	grave := h.doom.grave
	if grave == "" {
		return h.fault
	}
	err := h.stop(h.w.net.those(func(c *connection) bool { return c.host == h.name }))
	if err != nil {
		return err
	}
	old := h.dir
	h.dir, h.doom = grave, doom{}
	return os.RemoveAll(old)
}
