package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/table"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// manifestWhole reports whether Badger's list of tables is whole up to its last byte.
// Badger takes a tail that it cannot read for an unfinished write and then deletes the
// tables that only the tail names, so one flipped bit in a length would lose them silently.
// A missing file is whole: a new folder has none, and in an old one the tables are gone
// too, which the batch records show.
func manifestWhole(badgerDir string) bool {
	const header, frame = 8, 8
	b, err := os.ReadFile(filepath.Join(badgerDir, "MANIFEST"))
	if err != nil {
		return os.IsNotExist(err)
	}
	if len(b) < header {
		return false
	}
	for b = b[header:]; len(b) > 0; {
		if len(b) < frame {
			return false
		}
		n, sum := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		if uint64(n) > uint64(len(b)-frame) || crc32.Checksum(b[frame:frame+n], castagnoli) != sum {
			return false
		}
		b = b[frame+n:]
	}
	return true
}

// tablesWhole verifies every block of every table, on all processors: well under a second for
// each GiB on one. It must, because Badger reads a block whose checksum is wrong as one that has no keys, so that what
// was stored looks as if it never had been; and it takes lengths in a table on trust and
// panics in a goroutine of its own. Damage that comes about while the store is open is
// noticed at the next start only. A table that the manifest does not list was being written
// when the process was killed: what is in it is in the write-ahead log as well, and Badger
// deletes it at the start.
func tablesWhole(badgerDir string) error {
	f, err := os.Open(filepath.Join(badgerDir, "MANIFEST"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(badgerDir))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	names := make([]string, 0, len(m.Tables))
	for id := range m.Tables {
		names = append(names, table.NewFilename(id, badgerDir))
	}
	slices.Sort(names)
	workers := min(runtime.GOMAXPROCS(0), len(names))
	errs := make([]error, workers)
	var all sync.WaitGroup
	for first := range workers {
		all.Go(func() {
			for i := first; i < len(names) && errs[first] == nil; i += workers {
				if err := tableWhole(names[i]); err != nil {
					errs[first] = fmt.Errorf("table %s: %w", filepath.Base(names[i]), err)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func tableWhole(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	t := tail{f: f, end: fi.Size()}
	sum := t.vector()
	index := t.vector()
	if t.bad || len(index) < 8 || !checksumIs(sum, index) { // the checksum of nothing is 0
		return ErrCorrupt
	}
	root := fb.GetRootAsTableIndex(index, 0)
	if root.OffsetsLength() == 0 {
		return ErrCorrupt
	}
	var block []byte
	for i := range root.OffsetsLength() {
		var at fb.BlockOffset
		if !root.Offsets(&at, i) || int64(at.Offset())+int64(at.Len()) > t.end {
			return ErrCorrupt
		}
		block = slices.Grow(block[:0], int(at.Len()))[:at.Len()] // at most the file's size
		if _, err := f.ReadAt(block, int64(at.Offset())); err != nil || !blockWhole(block) {
			return ErrCorrupt
		}
	}
	return nil
}

// blockWhole verifies one block of a table: what is in it, its checksum and that one's length.
func blockWhole(block []byte) bool {
	last := func() (n uint32, ok bool) {
		if len(block) < 4 {
			return 0, false
		}
		n = binary.BigEndian.Uint32(block[len(block)-4:])
		return n, true
	}
	n, ok := last()
	if !ok || uint64(n) > uint64(len(block)-4) {
		return false
	}
	sum := block[len(block)-4-int(n) : len(block)-4]
	block = block[:len(block)-4-int(n)]
	entries, ok := last()
	return ok && checksumIs(sum, block) && uint64(entries)*4 <= uint64(len(block)-4)
}

// tail reads a file backwards: Badger writes a thing, then its length.
type tail struct {
	f   io.ReaderAt
	end int64
	bad bool
}

func (t *tail) take(n int64) []byte {
	if t.bad || n < 0 || n > t.end {
		t.bad = true
		return nil
	}
	b := make([]byte, n) // n is at most the file's size
	if _, err := t.f.ReadAt(b, t.end-n); err != nil {
		t.bad = true
		return nil
	}
	t.end -= n
	return b
}

func (t *tail) vector() []byte {
	n := t.take(4)
	if t.bad {
		return nil
	}
	return t.take(int64(binary.BigEndian.Uint32(n)))
}

// checksumIs compares data with Badger's Checksum message: field 1 the algorithm, left out
// for CRC-32C, which is the one in use; field 2 the sum.
func checksumIs(message, data []byte) bool {
	want := uint64(crc32.Checksum(data, castagnoli))
	if len(message) == 0 {
		return want == 0
	}
	if message[0] != 2<<3 {
		return false
	}
	sum, n := binary.Uvarint(message[1:])
	return n == len(message)-1 && sum == want
}
