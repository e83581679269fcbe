package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// An image is all files of a relay: those of the store below queues/, the blobs below blobs/.
type image map[string]fileImage

// fileImage is a file up to the last byte that says something, and its size.
type fileImage struct {
	data []byte
	size int64
}

// take reads the files as they are, or those that begin and end so; the ones that Badger maps are
// read as far as they are written.
func (s *story) take(begins, ends string) (image, error) {
	m := make(image)
	for below, dir := range map[string]string{"queues": s.dir, "blobs": s.blobDir} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if errors.Is(err, fs.ErrNotExist) {
					return nil // Badger erased it meanwhile
				}
				return err
			}
			rel, err := filepath.Rel(dir, p)
			if err != nil {
				return err
			}
			name := below + "/" + filepath.ToSlash(rel)
			if !strings.HasPrefix(name, begins) || !strings.HasSuffix(name, ends) {
				return nil
			}
			f, err := readUsed(p)
			if err == nil {
				m[name] = f
			} else if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// readUsed reads a file up to the first 256 KiB of zeros: logs are sparse, and written from their
// beginning on.
func readUsed(path string) (fileImage, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileImage{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fileImage{}, err
	}
	out := fileImage{size: info.Size()}
	chunk := make([]byte, 256<<10)
	for {
		n, err := io.ReadFull(f, chunk)
		used := bytes.TrimRight(chunk[:n], "\x00")
		if len(used) > 0 {
			out.data = append(out.data, chunk[:n]...)
		}
		if err != nil || len(used) == 0 {
			break
		}
	}
	out.data = bytes.TrimRight(out.data, "\x00")
	return out, nil
}

// put writes the files below dir.
func (m image) put(dir string) error {
	for name, f := range m {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(p, f.data, 0o600); err != nil {
			return err
		}
		if err := os.Truncate(p, f.size); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(dir, "blobs"), 0o700)
}

// judge opens a relay on the image, and says how it keeps p. keptRefused: it does not open, and
// says why. With sound it also has the store checked.
func (m image) judge(t testing.TB, cfg Config, p *promises, sound bool) (how string, err error) {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		return keptBroken, err
	}
	defer os.RemoveAll(dir)
	if err := m.put(dir); err != nil {
		return keptBroken, err
	}
	files, err := blob.Open(blob.Config{Dir: filepath.Join(dir, "blobs"), MinFree: 1})
	if err != nil {
		return keptBroken, err
	}
	defer files.Close()
	cfg.Dir, cfg.Blobs = filepath.Join(dir, "queues"), files
	s, err := Open(cfg)
	switch {
	case errors.Is(err, shard.ErrCorrupt), errors.Is(err, shard.ErrWrongKey), errors.Is(err, shard.ErrFormat):
		return keptRefused, nil
	case err != nil:
		return keptBroken, fmt.Errorf("it does not open, with an error of no type: %w", err)
	}
	defer s.Close()
	if sound {
		var found []error
		err := s.Check(t.Context(), files, func(f shard.Finding) { found = append(found, fmt.Errorf("a check finds: %s: %s", f.Where, f.What)) })
		if err := errors.Join(append(found, err)...); err != nil {
			return keptBroken, err
		}
	}
	return p.kept(s, files)
}

// keptRefused is one more way in which a hurt store keeps its promises.
const keptRefused = "it refuses to start and says why"

// mix returns what a power cut may leave of a file of which synced was made durable and now was
// written: of what differs, each sector is there or not; they reach the disk in any order.
func mix(random *rand.Rand, synced, now fileImage) fileImage {
	const sector, page = 512, 4096
	out := fileImage{size: now.size, data: make([]byte, max(len(synced.data), len(now.data)))}
	copy(out.data, synced.data)
	from := make([]byte, len(out.data))
	copy(from, now.data)
	unit, all := sector, len(from)
	switch random.IntN(6) {
	case 0: // nothing of it
		return out
	case 1: // all of it
		out.data = from
		return out
	case 2: // the beginning, torn in the middle of a sector or not
		n := random.IntN(all + 1)
		if random.IntN(2) == 0 {
			n -= n % sector
		}
		first := firstDifference(out.data, from)
		if n < first && first < all {
			n = first + random.IntN(all-first)
		}
		copy(out.data, from[:n])
		return out
	case 3:
		unit = page
	}
	for at := 0; at < all; at += unit {
		if random.IntN(2) == 0 {
			copy(out.data[at:min(at+unit, all)], from[at:])
		}
	}
	return out
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// kind is what a file is, for counting.
func fileKind(name string) string {
	base := filepath.Base(name)
	switch {
	case strings.HasPrefix(name, "blobs/"):
		return "blob"
	case filepath.Ext(base) != "":
		return filepath.Ext(base)
	}
	return base
}
