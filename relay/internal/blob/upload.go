package blob

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

// An Upload is a blob on its way in: a few words of memory. Its methods are for one goroutine
// at a time.
type Upload struct {
	store *Store
	name  Name
	size  int64
	at    int64 // bytes written
}

// Begin begins the upload of a blob of size bytes, or goes on with it; then whoever had it
// before is over. complete tells that the blob is there already, synced, and u is nil. ErrFull: there
// is no room for the rest.
func (s *Store) Begin(name Name, size int64) (u *Upload, complete bool, err error) {
	defer s.names.lock(name)()
	n, ok, err := s.size(name.file())
	switch {
	case err != nil:
		return nil, false, err
	case ok && n == size:
		// The process may have been killed between the rename and this.
		return nil, true, s.syncFolder()
	case ok:
		if err := s.remove(name.file()); err != nil { // cut by a damaged file system
			return nil, false, err
		}
	}
	at, ok, err := s.size(name.part())
	if err != nil {
		return nil, false, err
	}
	if at > size {
		if err := s.remove(name.part()); err != nil {
			return nil, false, err
		}
		at, ok = 0, false
	}
	if err := s.room(size - at); err != nil {
		return nil, false, err
	}
	if !ok {
		f, err := s.root.OpenFile(name.part(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, false, fmt.Errorf("blob: %w", plain(err))
		}
		_ = f.Close()
		s.forget(name.part())
	}
	u = &Upload{store: s, name: name, size: size, at: at}
	s.mu.Lock()
	s.uploads[name] = u
	s.mu.Unlock()
	return u, false, nil
}

// live reports whether u has not ended. The caller holds the name.
func (u *Upload) live() bool {
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	return u.store.uploads[u.name] == u
}

// Stored returns how many bytes are there.
func (u *Upload) Stored() int64 { return u.at }

// Close gives up the upload; what is there stays.
func (u *Upload) Close() {
	s := u.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploads[u.name] == u {
		delete(s.uploads, u.name)
	}
}

// Write writes the next part, at off. After an error the upload is over; what was there
// before is still there.
func (u *Upload) Write(p []byte, off int64) error {
	defer u.store.names.lock(u.name)()
	if !u.live() {
		return ErrOver
	}
	err := u.put(p, off)
	if err != nil {
		u.Close()
	}
	return err
}

func (u *Upload) put(p []byte, off int64) error {
	s := u.store
	if off != u.at || int64(len(p)) > u.size-u.at {
		return ErrOffset
	}
	if err := s.room(int64(len(p))); err != nil {
		return err
	}
	f, err := s.root.OpenFile(u.name.part(), os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return ErrOver // swept away with its record
	}
	if err != nil {
		return fmt.Errorf("blob: %w", plain(err))
	}
	_, err = s.write(f, p, off)
	if err != nil {
		_ = f.Truncate(off) // a full disk takes half a part
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	s.forget(u.name.part())
	if err != nil {
		return fmt.Errorf("blob: writing: %w", plain(err))
	}
	u.at += int64(len(p))
	crashpoint.At(crashpoint.BlobWritten)
	return nil
}

// Finish ends the upload: the blob is synced, verified and in its place, or it is not there.
// The caller has written all of it. After ErrHash nothing of it is left, and neither after a
// sync that failed.
func (u *Upload) Finish(hash [sha256.Size]byte) error {
	s := u.store
	defer s.names.lock(u.name)()
	if !u.live() {
		return ErrOver
	}
	u.Close()
	if u.at != u.size {
		return ErrOffset
	}
	f, err := s.root.OpenFile(u.name.part(), os.O_RDWR, 0) // Windows syncs only what is open for writing
	if errors.Is(err, os.ErrNotExist) {
		return ErrOver
	}
	if err != nil {
		return fmt.Errorf("blob: %w", plain(err))
	}
	if err := s.sync(f); err != nil {
		_ = f.Close()
		return errors.Join(fmt.Errorf("blob: syncing: %w", plain(err)), s.remove(u.name.part()))
	}
	sum, err := digest(f, u.size)
	_ = f.Close()
	switch {
	case err != nil:
		return err
	case sum != hash:
		return errors.Join(ErrHash, s.remove(u.name.part()))
	}
	crashpoint.At(crashpoint.BlobVerified)
	if err := s.root.Rename(u.name.part(), u.name.file()); err != nil {
		return fmt.Errorf("blob: %w", plain(err))
	}
	crashpoint.At(crashpoint.BlobRenamed)
	if err := s.syncFolder(); err != nil {
		return errors.Join(err, s.remove(u.name.file()))
	}
	crashpoint.At(crashpoint.BlobPlaced)
	return nil
}

var buffers = sync.Pool{New: func() any { return new([verifyBuffer]byte) }}

// digest hashes size bytes of r, and makes sure that there are no more.
func digest(r io.Reader, size int64) (sum [sha256.Size]byte, err error) {
	buf := buffers.Get().(*[verifyBuffer]byte)
	defer buffers.Put(buf)
	h := sha256.New()
	// Neither end has a copy of its own to offer, so that the buffer is all there is.
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.LimitReader(r, size+1)}, buf[:])
	if err != nil {
		return sum, fmt.Errorf("blob: reading back: %w", plain(err))
	}
	if n != size {
		return sum, nil // the hash of nothing that anybody stored
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
