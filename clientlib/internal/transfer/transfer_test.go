package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/relay"
)

func stage(t *testing.T, f *Folder, plain []byte) sealedfile.Info {
	t.Helper()
	info, err := f.Stage(bytes.NewReader(plain), 0)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func (s *store) upload(info sealedfile.Info) Upload {
	return Upload{Dial: s.dial, Queue: queue, Key: reader, Info: info, Days: 7}
}

func (s *store) download(info sealedfile.Info) Download {
	return Download{Dial: s.dial, Queue: queue, Info: info}
}

// holds checks that f has the file whole, and that it opens to plain.
func holds(t *testing.T, f *Folder, info sealedfile.Info, plain []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := f.Unseal(&out, info); err != nil || !bytes.Equal(out.Bytes(), plain) {
		t.Errorf("unsealed to %d bytes: %v", out.Len(), err)
	}
	files, err := f.Files()
	if err != nil || len(files) != 1 || files[0].Hash != info.Hash || !files[0].Whole || files[0].Size != info.Size() {
		t.Errorf("the folder has %v, %v", files, err)
	}
}

// rising checks that progress goes up to the whole, which comes once and last, and no more than
// ten times a second.
type rising struct {
	t     *testing.T
	last  int64
	at    time.Time
	calls int
	whole bool
}

func (r *rising) report(done, size int64) {
	r.calls++
	if r.whole || done <= r.last || done > size {
		r.t.Errorf("progress from %d to %d of %d", r.last, done, size)
	}
	if done < size && time.Since(r.at) < reportEvery {
		r.t.Errorf("progress again after %v", time.Since(r.at))
	}
	r.last, r.at, r.whole = done, time.Now(), done == size
}

func TestThereAndBack(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 70_000, 3 << 20} {
		bubble(t, func(t *testing.T, s *store) {
			ann, bob := folder(t, t.TempDir()), folder(t, t.TempDir())
			plain := text(n)
			info := stage(t, ann, plain)
			up, down := s.upload(info), s.download(info)
			upward, downward := &rising{t: t}, &rising{t: t}
			up.Progress, down.Progress = upward.report, downward.report
			if err := ann.Upload(t.Context(), up); err != nil {
				t.Fatal(err)
			}
			if err := bob.Download(t.Context(), down); err != nil {
				t.Fatal(err)
			}
			if !upward.whole || !downward.whole {
				t.Error("progress did not reach the whole")
			}
			holds(t, bob, info, plain)
			holds(t, ann, info, plain)
			// What is there costs one request at most.
			asked, stores := s.gets, s.stores
			down.Progress, up.Progress = (&rising{t: t}).report, (&rising{t: t}).report
			if err := bob.Download(t.Context(), down); err != nil || s.gets != asked {
				t.Errorf("again: %v, %d bytes asked for", err, s.gets-asked)
			}
			if err := ann.Upload(t.Context(), up); err != nil || s.stores != stores+1 || s.puts != int(info.Size()) {
				t.Errorf("again: %v, %d bytes came up", err, s.puts)
			}
		})
	}
}

// A20: the line is cut every few KiB, not always at the same place. Everything arrives whole,
// and little is sent twice.
func TestA20_CutEveryFewKilobytes(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		s.limit = func(n int) int64 { return int64(9_000 + 1_777*(n%9)) }
		ann, bob := folder(t, t.TempDir()), folder(t, t.TempDir())
		plain := text(100_000)
		info := stage(t, ann, plain)
		up, down := s.upload(info), s.download(info)
		upward, downward := &rising{t: t}, &rising{t: t}
		up.Progress, down.Progress = upward.report, downward.report
		start := time.Now()
		if err := ann.Upload(t.Context(), up); err != nil {
			t.Fatal(err)
		}
		sessions, sent := s.dials, s.puts
		if err := bob.Download(t.Context(), down); err != nil {
			t.Fatal(err)
		}
		holds(t, bob, info, plain)
		if sessions < 12 || s.dials-sessions < 12 || upward.calls < 5 || downward.calls < 5 {
			t.Errorf("%d sessions up, %d down: the cuts do not cover the transfer", sessions, s.dials-sessions)
		}
		// A line that lets something through each time does not make the pauses grow.
		if d := time.Since(start); d > time.Minute {
			t.Errorf("%d sessions took %v", s.dials, d)
		}
		if size := int(info.Size()); sent > 2*size {
			t.Errorf("%d bytes came up of a file of %d", sent, size)
		}
	})
}

// The program is stopped in the middle and started again: both directions go on where they
// were.
func TestGoesOnAfterRestart(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		annPath, bobPath := t.TempDir(), t.TempDir()
		plain := text(2 << 20)
		stop := errors.New("the user said stop")
		halfway := func(cancel context.CancelCauseFunc, size int64) func(int, relay.Frame) ([]relay.Frame, bool) {
			return func(_ int, f relay.Frame) ([]relay.Frame, bool) {
				if int64(s.gets) > size/2 || int64(s.puts) > size/2 {
					cancel(stop)
				}
				return nil, false
			}
		}
		ann := folder(t, annPath)
		info := stage(t, ann, plain)
		ctx, cancel := context.WithCancelCause(t.Context())
		s.lie = halfway(cancel, info.Size())
		if err := ann.Upload(ctx, s.upload(info)); !errors.Is(err, stop) {
			t.Fatalf("stopped: %v", err)
		}
		s.lie = nil
		if err := folder(t, annPath).Upload(t.Context(), s.upload(info)); err != nil {
			t.Fatal(err)
		}
		if s.puts > int(info.Size())+maxPart {
			t.Errorf("%d bytes came up of a file of %d", s.puts, info.Size())
		}
		s.puts = 0
		ctx, cancel = context.WithCancelCause(t.Context())
		s.lie = halfway(cancel, info.Size())
		if err := folder(t, bobPath).Download(ctx, s.download(info)); !errors.Is(err, stop) {
			t.Fatalf("stopped: %v", err)
		}
		bob := folder(t, bobPath)
		files, err := bob.Files()
		if err != nil || len(files) != 1 || files[0].Whole || files[0].Size == 0 || files[0].Hash != info.Hash {
			t.Fatalf("left over: %v, %v", files, err)
		}
		s.lie, s.gets = nil, 0
		if err := bob.Download(t.Context(), s.download(info)); err != nil {
			t.Fatal(err)
		}
		if s.gets != int(info.Size()-files[0].Size) {
			t.Errorf("%d bytes were asked for, %d of %d were there", s.gets, files[0].Size, info.Size())
		}
		holds(t, bob, info, plain)
	})
}

// C08: what is in the folder at any time is sealed, under names that say nothing, and for its
// owner alone.
func TestC08_NoPlaintextInTheFolder(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		canary := []byte("the canary in the coal mine")
		plain := bytes.Repeat(canary, 40_000)
		path := filepath.Join(t.TempDir(), "files")
		f := folder(t, path)
		looks := 0
		look := func() {
			looks++
			err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := d.Info()
				if err != nil || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s: %v, %v", d.Name(), info.Mode(), err)
				}
				if d.IsDir() {
					return nil
				}
				b, err := os.ReadFile(name)
				if bytes.Contains(b, canary[:16]) || strings.Contains(name, "canary") {
					t.Errorf("%s holds plaintext", d.Name())
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
		info, err := f.Stage(readerFunc(func(b []byte) (int, error) {
			look()
			n := copy(b, plain)
			if plain = plain[n:]; n == 0 {
				return 0, io.EOF
			}
			return n, nil
		}), 0)
		if err != nil {
			t.Fatal(err)
		}
		up, down := s.upload(info), s.download(info)
		up.Progress, down.Progress = func(_, _ int64) { look() }, func(_, _ int64) { look() }
		if err := f.Upload(t.Context(), up); err != nil {
			t.Fatal(err)
		}
		if err := f.Remove(info.Hash); err != nil {
			t.Fatal(err)
		}
		if err := f.Download(t.Context(), down); err != nil {
			t.Fatal(err)
		}
		if err := f.Unseal(writerFunc(func(b []byte) (int, error) { look(); return len(b), nil }), info); err != nil {
			t.Fatal(err)
		}
		if looks < 20 {
			t.Errorf("looked %d times", looks)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// What a crash leaves: a file that was being sealed goes, beginnings of downloads stay until
// they are removed, and other people's files are nobody's business.
func TestFolderAfterACrash(t *testing.T) {
	path := t.TempDir()
	hash := sha256.Sum256([]byte("x"))
	for _, name := range []string{stagePrefix + "ABC", fileName(hash, false), "notes.txt", strings.ToUpper(fileName(hash, true)), "ab.part"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := folder(t, path)
	files, err := f.Files()
	if err != nil || len(files) != 1 || files[0].Hash != hash || files[0].Whole || files[0].Size != 5 {
		t.Errorf("%v, %v", files, err)
	}
	if err := f.Unseal(io.Discard, sealedfile.Info{Hash: hash}); !errors.Is(err, ErrMissing) {
		t.Errorf("a beginning was opened: %v", err)
	}
	for range 2 {
		if err := f.Remove(hash); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(path)
	if err != nil || len(left) != 3 {
		t.Errorf("left: %v, %v", left, err)
	}
	broken := errors.New("broken")
	if _, err := f.Stage(io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) { return 0, broken })), 0); !errors.Is(err, broken) {
		t.Errorf("a source that breaks: %v", err)
	}
	if _, err := f.Stage(bytes.NewReader(text(5000)), 4096); !errors.Is(err, sealedfile.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if left, _ := os.ReadDir(path); len(left) != 3 {
		t.Errorf("a failed Stage left %v", left)
	}
}

// Whoever asks twice gets one transfer, and a file that is being moved is not removed.
func TestOneTransferOfAFile(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		ann, bob := folder(t, t.TempDir()), folder(t, t.TempDir())
		info := stage(t, ann, text(100_000))
		if err := ann.Upload(t.Context(), s.upload(info)); err != nil {
			t.Fatal(err)
		}
		hold := make(chan struct{})
		s.lie = func(int, relay.Frame) ([]relay.Frame, bool) { <-hold; return nil, false }
		results := make(chan error, 3)
		for range cap(results) {
			go func() { results <- bob.Download(t.Context(), s.download(info)) }()
		}
		synctest.Wait()
		if err := bob.Remove(info.Hash); !errors.Is(err, ErrBusy) {
			t.Errorf("removed under way: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := bob.Download(ctx, s.download(info)); !errors.Is(err, context.Canceled) {
			t.Errorf("did not wait: %v", err)
		}
		close(hold)
		for range cap(results) {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if s.gets != int(info.Size()) {
			t.Errorf("%d bytes were asked for", s.gets)
		}
		if err := bob.Remove(info.Hash); err != nil {
			t.Error(err)
		}
	})
}

// A file of any size moves through memory that does not grow with it.
func TestMemoryIsBounded(t *testing.T) {
	size := int64(64 << 20)
	if testing.Short() {
		size = 8 << 20
	}
	loopback(t, func(t *testing.T, s *store) {
		ann, bob := folder(t, t.TempDir()), folder(t, t.TempDir())
		live := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before, most := live(), uint64(0)
		sample := func(_, _ int64) { most = max(most, live()) }
		seen := int64(0)
		info, err := ann.Stage(io.LimitReader(readerFunc(func(b []byte) (int, error) {
			if seen += int64(len(b)); seen/(16<<20) != (seen-int64(len(b)))/(16<<20) {
				sample(0, 0)
			}
			return len(b), nil
		}), size), 0)
		if err != nil {
			t.Fatal(err)
		}
		up, down := s.upload(info), s.download(info)
		up.Progress, down.Progress = sample, sample
		if err := ann.Upload(t.Context(), up); err != nil {
			t.Fatal(err)
		}
		if err := bob.Download(t.Context(), down); err != nil {
			t.Fatal(err)
		}
		plain := int64(0)
		err = bob.Unseal(writerFunc(func(b []byte) (int, error) {
			if plain += int64(len(b)); plain/(16<<20) != (plain-int64(len(b)))/(16<<20) {
				sample(0, 0)
			}
			return len(b), nil
		}), info)
		if err != nil || plain != size {
			t.Errorf("%d bytes unsealed: %v", plain, err)
		}
		// Both ends of the session are in this process, each with a megabyte under way.
		if most > before+16<<20 {
			t.Errorf("%d MiB were live while %d MiB moved", (most-before)>>20, size>>20)
		}
		t.Logf("%d KiB live at most", (int64(most)-int64(before))>>10)
	})
}
