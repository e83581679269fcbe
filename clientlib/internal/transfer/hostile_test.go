package transfer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

func refusal(request uint64, code relay.RefusalCode, after time.Duration) []relay.Frame {
	return []relay.Frame{&relay.Refused{Request: request, Refusal: relay.Refusal{Code: code, RetryAfter: after}}}
}

// What a relay says for good ends a transfer; what it says for a while is waited for as long as
// it says, within reason.
func TestRefusals(t *testing.T) {
	for code, want := range map[relay.RefusalCode]error{
		relay.CodeUnknown: relay.ErrUnknown, relay.CodeStale: relay.ErrStale, relay.CodeTooLarge: relay.ErrTooLarge,
		relay.CodeQuota: relay.ErrQuota, relay.CodeClosed: relay.ErrClosed, relay.CodeReused: relay.ErrReused, 99: &relay.Refusal{Code: 99},
		relay.CodeLimit: nil, relay.CodeBusy: nil, relay.CodeDraining: nil,
	} {
		bubble(t, func(t *testing.T, s *store) {
			ann, bob := folder(t, t.TempDir()), folder(t, t.TempDir())
			info := stage(t, ann, text(1000))
			refused := 0
			s.lie = func(_ int, f relay.Frame) ([]relay.Frame, bool) {
				if r, ok := f.(relay.Request); ok && f.Type() != relay.TypeProve && refused%3 < 2 {
					refused++
					return refusal(r.RequestNumber(), code, 5*time.Second), true
				}
				return nil, false
			}
			start := time.Now()
			err := ann.Upload(t.Context(), s.upload(info))
			if want != nil {
				if !errors.Is(err, want) || refused != 1 {
					t.Errorf("up, %v: %v after %d refusals", code, err, refused)
				}
				return
			}
			if d := time.Since(start); err != nil || refused != 2 || d < 10*time.Second || d > 12*time.Second {
				t.Errorf("up, %v: %v after %d refusals and %v", code, err, refused, d)
			}
			refused = 0
			if err := bob.Download(t.Context(), s.download(info)); err != nil || refused != 2 {
				t.Errorf("down, %v: %v after %d refusals", code, err, refused)
			}
		})
	}
}

// A relay that says "in 49 days" is asked again within the hour.
func TestARelayCannotMakeATransferSleep(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		ann := folder(t, t.TempDir())
		info := stage(t, ann, text(1000))
		s.lie = func(n int, f relay.Frame) ([]relay.Frame, bool) {
			store, ok := f.(*relay.StoreBlob)
			if !ok || n > 0 {
				return nil, false
			}
			return refusal(store.Request, relay.CodeBusy, 49*24*time.Hour), true
		}
		start := time.Now()
		if err := ann.Upload(t.Context(), s.upload(info)); err != nil || time.Since(start) > time.Hour {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A20: a relay that answers PINGs and nothing else. The session is given up, and the next one
// brings the file.
func TestA20_SilentRelay(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		ann, bob := folder(t, t.TempDir()), folder(t, t.TempDir())
		plain := text(500_000)
		info := stage(t, ann, plain)
		answered := 0
		s.lie = func(n int, f relay.Frame) ([]relay.Frame, bool) {
			switch f.(type) {
			case *relay.PutBlob, *relay.GetBlob:
				answered++
				return nil, n%2 == 0 && answered > 2
			}
			return nil, false
		}
		start := time.Now()
		if err := ann.Upload(t.Context(), s.upload(info)); err != nil || s.sessions != 2 {
			t.Errorf("up: %v over %d sessions", err, s.sessions)
		}
		answered = 0
		if err := bob.Download(t.Context(), s.download(info)); err != nil || s.sessions != 4 {
			t.Errorf("down: %v over %d sessions", err, s.sessions)
		}
		if d := time.Since(start); d < 2*stallAfter || d > 2*stallAfter+10*time.Second {
			t.Errorf("took %v", d)
		}
		holds(t, bob, info, plain)
	})
}

// The relay lost what an earlier session stored, or another session took the upload over: it
// goes on from what the relay says, and progress does not go back.
func TestRelayForgetsAnUpload(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		ann := folder(t, t.TempDir())
		info := stage(t, ann, text(500_000))
		s.lie = func(n int, f relay.Frame) ([]relay.Frame, bool) {
			put, ok := f.(*relay.PutBlob)
			if !ok || n == 2 || put.Offset < uint64(200_000+n*100_000) {
				return nil, false
			}
			if n == 1 {
				os.Truncate(s.path(put.Blob), 50_000)
			}
			return refusal(put.Request, relay.CodeUnknown, 0), true
		}
		up := s.upload(info)
		progress := &rising{t: t}
		up.Progress = progress.report
		if err := ann.Upload(t.Context(), up); err != nil || s.sessions != 3 || !progress.whole {
			t.Errorf("%v over %d sessions", err, s.sessions)
		}
	})
}

// A relay that takes a part each time, and forgets it, is asked ever less often.
func TestARelayThatForgetsKeepsNobodyBusy(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		ann := folder(t, t.TempDir())
		info := stage(t, ann, text(500_000))
		s.lie = func(_ int, f relay.Frame) ([]relay.Frame, bool) {
			put, ok := f.(*relay.PutBlob)
			if !ok || put.Offset == 0 {
				return nil, false
			}
			os.Remove(s.path(put.Blob))
			return refusal(put.Request, relay.CodeUnknown, 0), true
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := ann.Upload(ctx, s.upload(info)); !errors.Is(err, context.DeadlineExceeded) || s.sessions > 80 {
			t.Errorf("%v after %d sessions in an hour", err, s.sessions)
		}
	})
}

// The relay finds another hash. If what an earlier session stored may be spoiled, all is sent
// once more; if this disk spoiled the file, the app hears it; else it is the relay's last word.
func TestRelayFindsAnotherHash(t *testing.T) {
	plain := text(300_000)
	bubble(t, func(t *testing.T, s *store) {
		ann := folder(t, t.TempDir())
		info := stage(t, ann, plain)
		if err := os.WriteFile(s.path(info.Hash), make([]byte, 100_000), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ann.Upload(t.Context(), s.upload(info)); err != nil || s.stores != 2 || !s.whole(info.Hash) {
			t.Errorf("spoiled at the relay: %v after %d uploads", err, s.stores)
		}
	})
	bubble(t, func(t *testing.T, s *store) {
		path := t.TempDir()
		ann := folder(t, path)
		info := stage(t, ann, plain)
		spoil(t, ann, info, true)
		if err := ann.Upload(t.Context(), s.upload(info)); !errors.Is(err, sealedfile.ErrDamaged) || s.stores != 1 {
			t.Errorf("spoiled here: %v after %d uploads", err, s.stores)
		}
		info.Plain *= 2
		if err := ann.Upload(t.Context(), s.upload(info)); !errors.Is(err, sealedfile.ErrDamaged) || s.stores != 1 {
			t.Errorf("of another length: %v after %d uploads", err, s.stores)
		}
		info.Hash[0]++
		if err := ann.Upload(t.Context(), s.upload(info)); !errors.Is(err, ErrMissing) {
			t.Errorf("not there: %v", err)
		}
	})
	bubble(t, func(t *testing.T, s *store) {
		ann := folder(t, t.TempDir())
		info := stage(t, ann, plain)
		s.lie = func(_ int, f relay.Frame) ([]relay.Frame, bool) {
			put, ok := f.(*relay.PutBlob)
			if !ok {
				return nil, false
			}
			return refusal(put.Request, relay.CodeMalformed, 0), true
		}
		if err := ann.Upload(t.Context(), s.upload(info)); !errors.Is(err, relay.ErrMalformed) || s.stores != 1 {
			t.Errorf("a relay that says so: %v after %d uploads", err, s.stores)
		}
	})
}

// spoil flips a bit in the middle of a file.
func spoil(t *testing.T, f *Folder, info sealedfile.Info, whole bool) {
	t.Helper()
	file, err := f.root.OpenFile(fileName(info.Hash, whole), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, 1000); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := file.WriteAt(b, 1000); err != nil {
		t.Fatal(err)
	}
}

// C17: a relay that gives other bytes than those of the hash. They are shown to nobody and
// kept by nobody.
func TestC17_RelayGivesOtherBytes(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		ann, bob := folder(t, t.TempDir()), folder(t, t.TempDir())
		info := stage(t, ann, text(300_000))
		other := bytes.Repeat([]byte{1}, int(info.Size()))
		if err := os.WriteFile(s.path(info.Hash), other, 0o600); err != nil {
			t.Fatal(err)
		}
		down := s.download(info)
		down.Progress = func(done, size int64) {
			if done == size {
				t.Error("progress calls it whole")
			}
		}
		if err := bob.Download(t.Context(), down); !errors.Is(err, sealedfile.ErrDamaged) || s.gets != len(other) {
			t.Errorf("%v after %d bytes", err, s.gets)
		}
		if files, err := bob.Files(); err != nil || len(files) != 0 {
			t.Errorf("kept: %v, %v", files, err)
		}
		// Another size is seen at once.
		if err := os.WriteFile(s.path(info.Hash), other[1:], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := bob.Download(t.Context(), s.download(info)); !errors.Is(err, relayclient.ErrProtocol) {
			t.Errorf("another size: %v", err)
		}
		os.Remove(s.path(info.Hash))
		if err := bob.Download(t.Context(), s.download(info)); !errors.Is(err, relay.ErrUnknown) {
			t.Errorf("none: %v", err)
		}
		if err := bob.Download(t.Context(), Download{Info: sealedfile.Info{Plain: -1}}); !errors.Is(err, sealedfile.ErrTooLarge) {
			t.Errorf("a size that no file has: %v", err)
		}
	})
}

// A power cut spoiled the beginning of a download, or the disk a whole file.
func TestSpoiledFilesAreFetchedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *store) {
		ann, bob := folder(t, t.TempDir()), folder(t, t.TempDir())
		plain := text(300_000)
		info := stage(t, ann, plain)
		if err := ann.Upload(t.Context(), s.upload(info)); err != nil {
			t.Fatal(err)
		}
		size := int(info.Size())
		for name, c := range map[string]struct {
			length, asked int
			flip          bool
		}{
			"a good beginning": {100_000, size - 100_000, false},
			"a bad beginning":  {100_000, 2*size - 100_000, true},
			"all of it":        {size, 0, false},
			"all of it, bad":   {size, size, true},
			"too long":         {size + 1, size, false},
			"nothing":          {0, size, false},
		} {
			sealed, err := os.ReadFile(s.path(info.Hash))
			if err != nil {
				t.Fatal(err)
			}
			file, err := bob.root.Create(fileName(info.Hash, false))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.Write(append(sealed, 0)[:c.length]); err != nil {
				t.Fatal(err)
			}
			file.Close()
			if c.flip {
				spoil(t, bob, info, false)
			}
			s.gets = 0
			if err := bob.Download(t.Context(), s.download(info)); err != nil || s.gets != c.asked {
				t.Errorf("%s: %v after %d bytes, want %d", name, err, s.gets, c.asked)
			}
			holds(t, bob, info, plain)
			if err := bob.Remove(info.Hash); err != nil {
				t.Fatal(err)
			}
		}
		if err := bob.Download(t.Context(), s.download(info)); err != nil {
			t.Fatal(err)
		}
		spoil(t, bob, info, true)
		if err := bob.Unseal(writerFunc(func([]byte) (int, error) { t.Error("shown"); return 0, nil }), info); !errors.Is(err, sealedfile.ErrDamaged) {
			t.Errorf("a whole file, spoiled: %v", err)
		}
	})
}
