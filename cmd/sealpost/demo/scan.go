package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/sealpost/sealpost/internal/canary"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// Store is one of a server's stores, with the key that opens it.
type Store struct {
	Dir string
	Key shard.Key
}

// names lists what must not be in anything of the relay's beside plaintext.
func (r *run) names(context.Context) ([]canary.Mark, error) {
	var out []canary.Mark
	for _, p := range r.people {
		out = append(out, canary.Of("handle", []byte(p.handle)), canary.Of("account id", p.account[:]))
	}
	return out, nil
}

// plant puts a marker where plaintext would be if something leaked: into a queue, as an
// envelope that nobody sealed, and into a group-state chunk. A scan that does not find it
// proves nothing.
func (r *run) plant(ctx context.Context) (canary.Mark, error) {
	var tag [12]byte
	rand.Read(tag[:])
	marker := []byte("control-" + hex.EncodeToString(tag[:]))
	addr, err := relay.ParseAddress(r.relay.relayURI)
	if err != nil {
		return canary.Mark{}, err
	}
	frames, err := os.Create(r.path("control.frames"))
	if err != nil {
		return canary.Mark{}, err
	}
	defer frames.Close()
	conn, err := relayclient.Dial(ctx, addr, relayclient.Options{FrameTap: func(_ bool, f []byte) { _, _ = frames.Write(f) }})
	if err != nil {
		return canary.Mark{}, err
	}
	defer conn.Close()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return canary.Mark{}, err
	}
	public := relay.PublicKey(key.Public().(ed25519.PublicKey))
	create := relayclient.CreateParams{Admin: key, Admins: []relay.PublicKey{public}, Writer: &public, Readers: []relay.PublicKey{public}}
	rand.Read(create.Queue[:])
	rand.Read(create.ID[:])
	if _, err := conn.Create(create).Wait(ctx); err != nil {
		return canary.Mark{}, err
	}
	var id relay.IdempotencyID
	rand.Read(id[:])
	envelope := make([]byte, relay.MinEnvelope)
	copy(envelope[100:], marker)
	if _, err := conn.Append(create.Queue, id, key, envelope).Wait(ctx); err != nil {
		return canary.Mark{}, err
	}
	keys, err := keyserver.ParseAddress(r.keys.keysURI)
	if err != nil {
		return canary.Mark{}, err
	}
	client := keyserver.NewClient(keys, keyserver.Options{})
	defer client.Close()
	if _, err := client.PutChunk(ctx, marker); err != nil {
		return canary.Mark{}, err
	}
	return canary.Of("planted control", marker), nil
}

// scan looks through everything that the servers have or had: every key and value of their
// stores, opened; the stores' files as they lie on the disk; their logs; and the frames that
// the members exchanged with the relay. It returns how many places hold plaintext, or hold a
// name where the relay could see it.
func (r *run) scan(control canary.Mark, names []canary.Mark) (found int, err error) {
	text := canary.Of("plaintext", []byte(r.mark))
	relayLooksFor := append([]canary.Mark{text}, names...)
	hits := func(where string, hay []byte, ns []canary.Mark) {
		for _, n := range ns {
			if n.In(hay) {
				r.say("%s of a member in %s", n.What, where)
				found++
			}
		}
	}
	controls := map[string]bool{}
	for _, s := range []struct {
		name string
		p    *process
		ns   []canary.Mark
	}{{"relay", r.relay, relayLooksFor}, {"key server", r.keys, []canary.Mark{text}}} {
		records := 0
		err := r.records(s.p.dir, func(key, value []byte) {
			records++
			hits("the "+s.name+"'s store", key, s.ns)
			hits("the "+s.name+"'s store", value, s.ns)
			if control.In(value) {
				controls[s.name] = true
			}
		})
		if err != nil {
			return found, err
		}
		files, err := canary.EachFile(s.p.dir, func(path string, b []byte) { hits("a file of the "+s.name, b, s.ns) })
		if err != nil {
			return found, err
		}
		log, err := os.ReadFile(s.p.log.Name())
		if err != nil {
			return found, err
		}
		hits("the "+s.name+"'s log", log, append([]canary.Mark{text}, names...))
		r.say("scanned the %s: %d records, %d files, %d bytes of log", s.name, records, files, len(log))
	}
	for _, name := range []string{"alice", "bob", "carol", "control"} {
		frames, err := os.ReadFile(r.path(name + ".frames"))
		if err != nil {
			return found, err
		}
		hits(name+"'s frames", frames, relayLooksFor)
		if control.In(frames) {
			controls["frames"] = true
		}
		r.say("scanned %d bytes of %s's frames", len(frames), name)
	}
	for _, where := range []string{"relay", "key server", "frames"} {
		if !controls[where] {
			return found, fmt.Errorf("the planted marker was not found (%s): the scan proves nothing", where)
		}
	}
	return found, nil
}

// records opens each store of a server and calls fn for each of its records.
func (r *run) records(dir string, fn func(key, value []byte)) error {
	stores, err := r.Stores(dir)
	if err != nil {
		return err
	}
	for _, s := range stores {
		store, err := shard.Open(shard.Config{Dir: s.Dir, Key: s.Key, Machine: idle{}})
		if err != nil {
			return fmt.Errorf("opening a server's store: %w", err)
		}
		err = store.View(func(v *shard.Snapshot) error {
			return v.Scan(nil, nil, func(key, value []byte) bool {
				fn(key, value)
				return true
			})
		})
		if closing := store.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return fmt.Errorf("reading a server's store: %w", err)
		}
	}
	return nil
}

// idle is a machine for a store that is only read.
type idle struct{}

func (idle) Apply(*shard.Tx, shard.Env, shard.Op) any { return nil }
