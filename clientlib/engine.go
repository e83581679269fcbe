package clientlib

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/clientlib/internal/transfer"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// engine owns all that changes in a client. One goroutine, run, touches the fields below
// "owned by run"; everybody else hands it a function through post or call. Blocking work
// (dialling, the key server, waiting for an answer) runs in goroutines of its own, which
// post their result. Whatever a step decides is on disk before its effects leave: a crash
// at any line is the same as a slow network.
type engine struct {
	cfg        Config          // static
	groupRules mls.Application // of every group of this client; static, but for tests

	db    *state.DB
	files *transfer.Folder
	log   *slog.Logger
	work  chan func()
	ctx   context.Context // ends all goroutines
	stop  context.CancelFunc
	done  chan struct{} // closed when run has returned
	wg    sync.WaitGroup

	transports relayclient.Memory // which gets through to which relay

	mu         sync.Mutex
	newEvents  chan struct{} // guarded by mu; closed and replaced after a transaction with events
	registered chan struct{} // guarded by mu; likewise when registration goes on
	failure    error         // guarded by mu; why run ended

	// Owned by run.
	suites    []mls.Suite // that this device can be in groups of, best first
	id        *identity
	keys      *keyserver.Client // signs in the device's name
	anonymous *keyserver.Client // look-ups and group state: over connections of its own
	groups    map[groupID]*group
	convs     map[ConversationID]*convRecord
	links     map[string]*link
	inbox     inbox
	rows      []*row // outbox, oldest first
	answered  []*row // accepted by the relay, not noted yet
	changes   []*pendingChange
	invites   map[uint64]*inviteJob
	configure map[uint64]*configureJob
	knocking  map[groupID]*knockJob
	joining   map[[32]byte]bool // arrived invitations that are being answered
	fetching  bool              // one of them is fetching its group state
	waiting   []func()          // the others
	signals   listeners[Signal]
	progress  listeners[Progress]
	saving    map[relay.Hash]int // SaveFile under way, by file
	upkeep    upkeepState
	fresh     bool         // the running transaction emitted an event
	stored    []*mls.Group // whose changes it holds
}

// workQueue bounds what waits for run; who posts beyond it waits.
const workQueue = 128

func newEngine(cfg Config, db *state.DB, files *transfer.Folder) (*engine, error) {
	ctx, stop := context.WithCancel(context.Background())
	e := &engine{
		suites: suites, groupRules: application,
		cfg: cfg, db: db, files: files, log: cfg.Logger, ctx: ctx, stop: stop,
		work: make(chan func(), workQueue), done: make(chan struct{}),
		newEvents: make(chan struct{}), registered: make(chan struct{}),
		groups: map[groupID]*group{}, convs: map[ConversationID]*convRecord{}, links: map[string]*link{},
		invites: map[uint64]*inviteJob{}, configure: map[uint64]*configureJob{}, knocking: map[groupID]*knockJob{}, joining: map[[32]byte]bool{}, signals: listeners[Signal]{}, progress: listeners[Progress]{},
		saving: map[relay.Hash]int{},
	}
	if cfg.rules != nil {
		e.groupRules = *cfg.rules
	}
	e.keys = keyserver.NewClient(cfg.KeyServer, keyserver.Options{DialContext: cfg.DialContext, ListenPacket: cfg.ListenPacket})
	e.anonymous = keyserver.NewClient(cfg.KeyServer, keyserver.Options{DialContext: cfg.DialContext, ListenPacket: cfg.ListenPacket})
	if err := db.View(ctx, e.load); err != nil {
		stop()
		return nil, err
	}
	go e.run()
	e.post(e.start)
	return e, nil
}

func (e *engine) run() {
	defer close(e.done)
	for {
		select {
		case fn := <-e.work:
			fn()
		case <-e.ctx.Done():
			e.hangUp()
			return
		}
	}
}

// post hands fn to run. It gives up when the client is closed.
func (e *engine) post(fn func()) {
	select {
	case e.work <- fn:
	case <-e.ctx.Done():
	}
}

// call runs fn on run and returns its error.
func (e *engine) call(ctx context.Context, fn func() error) error {
	result := make(chan error, 1)
	select {
	case e.work <- func() { result <- fn() }:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.ctx.Done():
		return e.reason()
	}
	select {
	case err := <-result:
		return err
	case <-e.done:
		return e.reason()
	}
}

// spawn runs fn outside of run; close waits for it.
func (e *engine) spawn(fn func(ctx context.Context)) {
	e.wg.Go(func() { fn(e.ctx) })
}

// after posts fn when d has passed.
func (e *engine) after(d time.Duration, fn func()) {
	e.spawn(func(ctx context.Context) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			e.post(fn)
		case <-ctx.Done():
		}
	})
}

func (e *engine) close() {
	e.stop()
	<-e.done
	e.wg.Wait()
	e.keys.Close()
	e.anonymous.Close()
}

// update runs one transaction and then tells the event iterators. A store that fails ends
// the client: what is in memory may be ahead of the disk, so nothing goes on from it.
func (e *engine) update(fn func(tx *state.Tx) error) error {
	e.fresh, e.stored = false, nil
	err := e.db.Update(e.ctx, fn)
	if err != nil {
		e.fail(fmt.Errorf("writing the store: %w", err))
		return err
	}
	for _, g := range e.stored {
		g.Saved()
	}
	if e.fresh {
		e.mu.Lock()
		close(e.newEvents)
		e.newEvents = make(chan struct{})
		e.mu.Unlock()
	}
	return nil
}

func (e *engine) fail(err error) {
	if errors.Is(err, context.Canceled) {
		err = ErrClosed
	}
	e.mu.Lock()
	if e.failure == nil {
		e.failure = err
	}
	e.mu.Unlock()
	e.stop()
}

func (e *engine) reason() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure != nil {
		return e.failure
	}
	return ErrClosed
}

func (e *engine) moreEvents() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.newEvents
}

func counterOf(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}
