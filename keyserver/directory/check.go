package directory

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
)

// Check looks whether a directory that is not open is sound, and changes nothing: whether every
// record opens and decodes, every account's chain verifies and says what is noted of it, handles
// and accounts name each other, and what pools can hand out is there. What is wrong is reported;
// errors are those of [shard.Inspect] and ctx's.
func Check(ctx context.Context, dir string, key shard.Key, report func(shard.Finding)) error {
	return shard.Inspect(dir, key, report, func(s *shard.Store) error { return check(ctx, s, time.Now(), report) })
}

// Check is the function of that name for a directory that is open, as of one batch.
func (d *Directory) Check(ctx context.Context, report func(shard.Finding)) error {
	return d.store.Inspect(report, func(s *shard.Store) error { return check(ctx, s, d.clock(), report) })
}

// checker walks one snapshot.
type checker struct {
	names
	snap   *shard.Snapshot
	now    time.Time
	report func(shard.Finding)
}

// What findings mean.
const (
	meansAccount = "the account cannot be looked up or reached; " + shard.MeansRestore
	meansPool    = "who writes to this device for the first time gets fewer packages; its next upload mends it"
	meansRest    = "it takes up room and nobody misses it; tell the project, since no damage does this alone"
)

func check(ctx context.Context, store *shard.Store, now time.Time, report func(shard.Finding)) error {
	return store.View(func(snap *shard.Snapshot) error {
		c := &checker{names: store.Name, snap: snap, now: now, report: report}
		err := snap.Records(nil, nil, func(key, value []byte, err error) bool {
			if err != nil {
				c.find(key, meansAccount, "the record does not open")
			} else {
				c.record(key, value)
			}
			return ctx.Err() == nil
		})
		if err == nil {
			err = ctx.Err()
		}
		return err
	})
}

func (c *checker) find(key []byte, means, format string, args ...any) {
	c.report(shard.Finding{Where: "record " + hex.EncodeToString(key), What: fmt.Sprintf(format, args...), Means: means})
}

// record looks at one record.
func (c *checker) record(key, value []byte) {
	decodes := func(v wire.Unmarshaler, what, means string) bool {
		if wire.Unmarshal(value, v) != nil {
			c.find(key, means, "%s does not decode", what)
			return false
		}
		return true
	}
	switch key[0] {
	case kindAccount:
		if rec := new(accountRecord); decodes(rec, "an account", meansAccount) {
			c.account(key, rec)
		}
	case kindHandle:
		c.handle(key, value)
	case kindPool:
		decodes(new(poolRecord), "a pool", meansPool)
	case kindPackage:
		if rec := new(packageRecord); decodes(rec, "a package", meansPool) && !bytes.HasPrefix(key, c.of(kindPackage, rec.owner)) {
			c.find(key, meansPool, "a package stands in another device's place")
		}
	case kindRef:
		decodes(new(refRecord), "a package's reference", meansPool)
	case kindTaken:
		decodes(new(takenRecord), "what a request was given", "one request that is repeated gets another package")
	case kindInit, kindDue:
	case kindDay:
		if len(value) != 4 {
			c.find(key, "nothing expires, and nothing is handed out; "+shard.MeansRestore, "the store's day cannot be read")
		}
	default:
		c.find(key, meansRest, "a record of a kind that this version does not know")
	}
}

// account verifies a chain and compares it with what is noted of it.
func (c *checker) account(key []byte, rec *accountRecord) {
	a, err := keyserver.VerifyChain(rec.entries)
	if err != nil {
		c.find(key, "its contacts see that the chain does not verify and refuse it; "+shard.MeansRestore, "an account's chain does not verify")
		return
	}
	if !bytes.Equal(key, c.names.account(a.ID)) {
		c.find(key, meansAccount, "an account stands in another's place")
	}
	same := func(x, y deviceRecord) bool { return x.id == y.id && slices.Equal(x.suites, y.suites) }
	if !slices.EqualFunc(rec.devices, devicesOf(a), same) {
		c.find(key, meansPool, "an account's devices are not noted as its chain states them")
	}
	id, ok, err := c.snap.Get(c.names.handle(rec.handle))
	if err != nil || !ok || keyserver.AccountID(id) != a.ID {
		c.find(key, "the account cannot be looked up by its handle; "+shard.MeansRestore, "an account's handle does not lead to it")
	}
	for _, d := range rec.devices {
		for _, suite := range d.suites {
			c.pool(owner{a.ID, d.id, suite})
		}
	}
}

// pool looks whether what a pool can hand out is there.
func (c *checker) pool(o owner) {
	key := c.names.pool(o)
	pool, err := load[poolRecord](c.snap, key)
	if err != nil || pool == nil {
		return // reported where the record itself is met
	}
	slots := pool.live(c.now)
	if pool.last != nil && !pool.last.expired(c.now) {
		slots = append(slots, *pool.last)
	}
	missing := 0
	for _, s := range slots {
		if _, ok, err := c.snap.Get(c.pack(o, s.seq)); err == nil && !ok || s.seq >= pool.next {
			missing++
		}
	}
	if missing > 0 {
		c.find(key, meansPool, "%d of %d packages of a pool are missing", missing, len(slots))
	}
}

// handle looks whether a handle leads to an account that has it.
func (c *checker) handle(key, value []byte) {
	if len(value) != len(keyserver.AccountID{}) {
		c.find(key, meansAccount, "a handle does not decode")
		return
	}
	rec, err := load[accountRecord](c.snap, c.names.account(keyserver.AccountID(value)))
	if err == nil && (rec == nil || !bytes.Equal(key, c.names.handle(rec.handle))) {
		c.find(key, "the handle is taken by nobody; "+shard.MeansRestore, "a handle leads to no account that has it")
	}
}
