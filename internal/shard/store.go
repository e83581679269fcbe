package shard

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sealpost/sealpost/internal/metrics"
)

// A Store is one open shard. All methods are safe for concurrent use.
type Store struct {
	// Static after Open.
	vault   *vault
	db      *badger.DB
	wal     *Log
	machine Machine
	clock   func() time.Time
	log     *slog.Logger
	metrics *metrics.Store
	lives   lives
	minFree uint64
	dir     string
	lock    *dirLock
	queue   *queue
	flows   flows
	stopped chan struct{} // closed when the storing goroutine has ended
	broken  chan struct{} // closed when the store has failed
	closing chan struct{} // closed when the files are about to be

	horizon horizon
	failed  atomic.Bool   // a batch failed: nothing is stored any more
	syncs   atomic.Uint64 // what Syncs returns

	mu     sync.Mutex
	closed bool           // guarded by mu
	users  sync.WaitGroup // open views; Add only under mu while not closed

	// Owned by the storing goroutine (by Open before it starts).
	mark   *markFile
	batch  uint64 // the last batch committed
	high   uint64 // the largest number raised
	recent recent
	full   bool // the disk was nearly full at the last batch
	bare   bool // there was next to nothing left: others use the disk, and filled it

	// What the storing goroutine calls; tests put failing ones in their place.
	commit func(txn *badger.Txn, batch uint64) error
	free   func() (uint64, error)
}

// Syncs returns how often the store has waited for the disk since Open: for each batch once
// for Badger's write-ahead log (see [Log]) and once for the mark. What Badger does in the background, some four calls for every memtable that it
// writes out, is not in it.
func (s *Store) Syncs() uint64 { return s.syncs.Load() }

// enter admits a view unless the store is closed.
func (s *Store) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.users.Add(1)
	return true
}

// Close refuses new operations, stores and answers the accepted ones, waits for open views
// and closes the files. Later calls return nil at once. ErrFull: the disk has no room to write the
// database out, which stays as SIGKILL leaves it until the process ends. Nothing is lost.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		<-s.stopped
		return nil
	}
	s.queue.close()
	<-s.stopped
	s.users.Wait()
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	err := s.wal.Close()
	derr := roomForTables(s.wal.dir, bareBelow(s.minFree))
	if derr == nil {
		close(s.closing) // else whoever waits for room goes on waiting
		derr = s.db.Close()
	}
	if err == nil {
		err = derr
	}
	if merr := s.mark.f.Close(); err == nil {
		err = merr
	}
	if lerr := s.lock.release(); err == nil {
		err = lerr
	}
	return err
}
