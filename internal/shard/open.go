package shard

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/internal/folder"
	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/wire"
)

// Open opens the store in cfg.Dir, or makes one. It returns ErrLocked, ErrWrongKey, ErrFormat, ErrFull
// (all before anything is written), ErrCorrupt, or an error of the file system. A shortfall is
// no error: the store begins a new incarnation.
func Open(cfg Config) (*Store, error) {
	v, err := newVault(cfg.Key)
	if err != nil {
		return nil, err
	}
	if err := folder.Make(cfg.Dir); err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	lock, err := lockDir(filepath.Join(cfg.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	s, err := open(cfg, v)
	if err != nil {
		_ = lock.release()
		return nil, err
	}
	s.lock = lock
	go s.run()
	return s, nil
}

// open opens the files in the order that writes nothing under a wrong key.
func open(cfg Config, v *vault) (*Store, error) {
	markPath := filepath.Join(cfg.Dir, "mark")
	ev, next, err := readMark(markPath)
	if err != nil {
		return nil, err
	}
	if ev.newest != nil && ev.newest.KeyCheck != v.keyCheck {
		return nil, ErrWrongKey
	}
	// What a check left that was killed: its links keep every table on the disk, and with it what
	// was erased since.
	if err := os.RemoveAll(filepath.Join(cfg.Dir, inspectFolder)); err != nil {
		return nil, fmt.Errorf("shard: removing what a check left: %w", err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	badgerDir := filepath.Join(cfg.Dir, "badger")
	if err := tablesWhole(badgerDir); err != nil {
		return nil, err
	}
	whole := manifestWhole(badgerDir)
	minFree, closing := cmp.Or(cfg.MinFree, defaultMinFree), make(chan struct{})
	db, err := openBadger(badgerDir, badgerLog{log, func() { awaitRoom(badgerDir, bareBelow(minFree), closing) }})
	if err != nil {
		return nil, err
	}
	wal, err := OpenLog(badgerDir)
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("shard: %w", err)
	}
	s := &Store{
		vault: v, db: db, wal: wal, machine: cfg.Machine, clock: cfg.Clock, log: log,
		minFree: minFree, dir: cfg.Dir, closing: closing,
		metrics: cfg.Metrics, queue: newQueue(), recent: newRecent(), stopped: make(chan struct{}), broken: make(chan struct{}),
		commit: wal.Commit,
	}
	s.free = func() (uint64, error) { return FreeSpace(s.dir) }
	if s.metrics == nil {
		s.metrics = metrics.New().Store("")
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	p, err := readPast(db, v, ev.newest != nil)
	p.complete = p.complete && whole
	if err == nil {
		s.mark, err = openMark(markPath, next)
	}
	if err == nil && (ev.newest == nil || cfg.Restored) { // else the start that wrote the mark did this
		err = syncNames(cfg.Dir)
	}
	if err != nil {
		if s.mark != nil {
			_ = s.mark.f.Close()
		}
		_ = wal.Close()
		_ = db.Close()
		return nil, err
	}
	if err := s.begin(ev, p, cfg.Restored); err != nil {
		_ = s.mark.f.Close()
		_ = wal.Close()
		_ = db.Close()
		return nil, err
	}
	s.metrics.Opened(len(s.lives), func() float64 {
		free, _ := s.free()
		return float64(free)
	})
	return s, nil
}

// syncNames makes the names of the mark and of Badger's folder durable, and the store's own where
// the folder above may be opened.
func syncNames(dir string) error {
	if !syncsMapped {
		return nil // such systems sync no folders, or do it by themselves
	}
	if err := folder.Sync(dir); err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	if err := folder.Sync(filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("shard: %w", err)
	}
	return nil
}

// begin decides whether the store goes on with its life or starts another, and makes the
// present state visible.
func (s *Store) begin(ev evidence, p past, restored bool) error {
	s.batch, s.high, s.lives = p.last.Batch, p.last.High, p.lives
	fresh := p.empty && ev.missing
	if !fresh && !restored && !shortfall(ev, p) {
		s.mark.last = *ev.newest
		if ev.damaged || s.batch > ev.newest.Batch {
			// Mends the torn slot; or a process died between a batch and its mark, and what
			// is shown from now on may not be lost unnoticed.
			return s.writeMark(s.batch, s.high)
		}
		s.show(s.batch)
		return nil
	}
	// Numbers and batches of the new life lie above all that any evidence tells of.
	s.batch = max(s.batch, s.db.MaxVersion())
	floor := s.high
	if ev.newest != nil {
		s.batch = max(s.batch, ev.newest.Batch)
		floor = max(floor, ev.newest.High)
		known := func(i Incarnation) bool { return i.ID == ev.newest.Incarnation }
		if !slices.ContainsFunc(s.lives, known) {
			s.lives = append(s.lives, Incarnation{ID: ev.newest.Incarnation})
		}
	}
	if !fresh {
		floor++ // floors rise from life to life: a floor itself is a number that clients hear
	}
	if !fresh && (ev.damaged || restored) {
		floor += blindJump // the newest mark may be among what is missing
	}
	if restored {
		floor = max(floor, restoredFloor(s.clock()))
	}
	life := Incarnation{Floor: floor, Since: s.batch + 1}
	_, _ = rand.Read(life.ID[:])
	s.lives = append(s.lives, life)
	s.high = floor
	if !fresh {
		s.log.Warn("stored data is missing or was restored: a new incarnation begins", "incarnations", len(s.lives))
	}
	return s.storeLife()
}

// restoredFloor is what a life that begins with a restore counts above, beside what the evidence
// says. That is in the folder, and so it is the same each time that the same copy is put back,
// whatever was answered in between. Time goes on: a number for each microsecond since 1970 is more
// than any queue gives out. A clock that is far off gives at most a quarter of all numbers away.
func restoredFloor(now time.Time) uint64 {
	return uint64(min(max(now.UnixMicro(), 0), maxClockFloor))
}

// storeLife commits the list of incarnations as a batch of its own, then the mark, in both
// slots. A crash between leaves a life that nobody was told of; the next start goes on with
// it or begins another.
func (s *Store) storeLife() error {
	tx := s.newTx(nil, nil, 1)
	list, err := wire.Marshal(&s.lives)
	if err != nil {
		return err
	}
	tx.writes[string(keyCheckKey)] = write{value: keyCheckValue}
	tx.writes[string(livesKey)] = write{value: list}
	if err := s.persist(tx); err != nil {
		return fmt.Errorf("shard: storing the incarnation: %w", err)
	}
	s.batch = tx.number
	crashpoint.At(crashpoint.LifeStored)
	return s.writeMark(s.batch, s.high)
}

// show makes a batch the one that readers see.
func (s *Store) show(batch uint64) { s.db.SetDiscardTs(s.horizon.advance(batch)) }

// Options are the Badger options of every store, for measuring what Badger does alone. What is
// written with them is durable only after [Log.Commit].
func Options(dir string) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(!syncsMapped). // else Log does
		WithVerifyValueChecksum(true).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithValueThreshold(1 << 20). // all values inline: nothing ever goes to the value log
		WithValueLogFileSize(1 << 20).
		WithMemTableSize(memTable).
		WithNumMemtables(3).
		WithNumCompactors(2).
		WithCompression(options.None). // sealed values do not compress
		WithBlockCacheSize(0).
		WithDetectConflicts(false). // one writer
		WithMetricsEnabled(false)
}

func openBadger(dir string, log badgerLog) (db *badger.DB, err error) {
	if err := folder.Make(dir); err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	if err := dropUnbegun(dir); err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	if err := roomForTables(dir, 0); err != nil {
		return nil, fmt.Errorf("%w: opening the store", err)
	}
	if err := syncLogs(dir, (*os.File).Sync); err != nil {
		return nil, fmt.Errorf("shard: syncing what the last process left: %w", err)
	}
	// Badger panics on some damaged files.
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("%w: opening Badger: %v", ErrCorrupt, p)
		}
	}()
	db, err = badger.OpenManaged(Options(dir).WithLogger(log))
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EMFILE),
		errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("shard: opening Badger: %w", err)
	}
	return nil, fmt.Errorf("%w: opening Badger: %w", ErrCorrupt, err)
}

// dropUnbegun removes logs of no bytes. A process that is killed between creating a log and
// giving it its size leaves one; there has never been anything in it, and Badger takes it for
// a file that it did not mean to create, and does not open.
func dropUnbegun(badgerDir string) error {
	entries, err := os.ReadDir(badgerDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() == 0 {
			if err := os.Remove(filepath.Join(badgerDir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// syncLogs syncs Badger's logs and their folder. They are mapped: a batch that a process wrote
// and did not sync before it was killed is in the page cache, where Badger finds and replays
// it. Readers would see it, and a power cut could take it back.
func syncLogs(badgerDir string, sync func(*os.File) error) error {
	entries, err := os.ReadDir(badgerDir)
	if err != nil {
		return err
	}
	paths := make([]string, 0, len(entries)+1)
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".mem" || ext == ".vlog" {
			paths = append(paths, filepath.Join(badgerDir, e.Name()))
		}
	}
	flag := os.O_RDWR // Windows syncs only what is open for writing, and no folders
	if runtime.GOOS != "windows" {
		flag, paths = os.O_RDONLY, append(paths, badgerDir)
	}
	for _, path := range paths {
		f, err := os.OpenFile(path, flag, 0)
		if err != nil {
			return err
		}
		err = sync(f)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// noFree is what a file system that cannot tell its free space counts as.
const noFree = math.MaxUint64
