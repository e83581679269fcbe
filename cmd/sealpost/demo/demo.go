// Package demo tries Sealpost's main promises on this machine, with real processes, sockets
// and disks: three members, each over another transport, talk in a group and send a file while
// the servers are killed, and afterwards nothing is lost, nothing doubled, and the servers have
// seen no plaintext.
//
// Start with [Run]. It is what "sealpost demo" does; it needs the sealpost binary itself,
// which it starts as relay and as key server.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/clientlib"
)

// Config says what to run. The zero value of a number means its default.
type Config struct {
	Binary   string    // the sealpost executable
	Messages int       // how many messages must be accepted; 300
	Seed     uint64    // of the moments at which servers die; 0: a random one
	BlockUDP bool      // the members are in a network that drops UDP
	Log      io.Writer // what happens, for people
	// Stores lists the stores in a server's data folder, with their keys.
	Stores func(dataDir string) ([]Store, error)
	Keep   string // folder to leave everything in; empty: a temporary one, removed if all is well
}

// limit bounds the whole run: whatever hangs ends as a failure.
const limit = 4 * time.Minute

// rounds is how many bursts of messages the run has. Each has a killing in its middle.
const rounds = 6

// Result is what the last line says.
type Result struct {
	Members, Sent, Delivered, Lost, Duplicated, Plaintext int
}

// String is the last line of a run that kept every promise.
func (r Result) String() string {
	return fmt.Sprintf("ok members=%d sent=%d delivered=%d lost=%d duplicated=%d plaintext_on_server=%d",
		r.Members, r.Sent, r.Delivered, r.Lost, r.Duplicated, r.Plaintext)
}

// kept reports whether all promises were.
func (r Result) kept() bool {
	return r.Sent > 0 && r.Delivered == r.Sent && r.Lost == 0 && r.Duplicated == 0 && r.Plaintext == 0
}

// run is one demo under way.
type run struct {
	Config
	dir    string
	mark   string // in every message, and in nothing else
	random *mathrand.Rand
	relay  *process
	keys   *process
	people []*person
	kills  int

	group   clientlib.ConversationID
	written int                            // messages that were given to a client
	texts   map[clientlib.MessageID]string // what each said
	file    []byte                         // what the file of the story holds
	fileID  clientlib.MessageID
}

// Run runs the demo and returns what it found. An error says which promise was broken, or
// why the demo could not be run; the folder with all evidence is left behind then.
func Run(ctx context.Context, cfg Config) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := &run{Config: cfg, dir: cfg.Keep, texts: map[clientlib.MessageID]string{}}
	if r.Messages == 0 {
		r.Messages = 300
	}
	if r.Seed == 0 {
		r.Seed = mathrand.Uint64()
	}
	if r.dir == "" {
		dir, err := os.MkdirTemp("", "sealpost-demo-")
		if err != nil {
			return Result{}, err
		}
		r.dir = dir
	}
	var tag [6]byte
	rand.Read(tag[:])
	r.mark = "plaintext-" + hex.EncodeToString(tag[:])
	r.random = mathrand.New(mathrand.NewPCG(r.Seed, 0))
	r.say("folder %s, seed %d", r.dir, r.Seed)
	result, err := r.all(ctx)
	r.stop()
	if err == nil && !result.kept() {
		err = fmt.Errorf("a promise was broken: sent=%d delivered=%d lost=%d duplicated=%d plaintext_on_server=%d",
			result.Sent, result.Delivered, result.Lost, result.Duplicated, result.Plaintext)
	}
	if err != nil {
		return result, fmt.Errorf("%w (evidence is in %s)", err, r.dir)
	}
	if cfg.Keep == "" {
		err = os.RemoveAll(r.dir)
	}
	return result, err
}

func (r *run) say(format string, args ...any) {
	if r.Log != nil {
		fmt.Fprintf(r.Log, "demo: "+format+"\n", args...)
	}
}

// all runs the whole, from two empty folders to the scan of what the servers kept.
func (r *run) all(ctx context.Context) (Result, error) {
	if err := r.startServers(ctx); err != nil {
		return Result{}, err
	}
	if err := r.gather(ctx); err != nil {
		return Result{}, err
	}
	for n := range rounds {
		if err := r.round(ctx, n); err != nil {
			return Result{}, fmt.Errorf("round %d: %w", n+1, err)
		}
	}
	if err := r.settle(ctx); err != nil {
		return Result{}, err
	}
	r.say("the servers were killed %d times", r.kills)
	if err := r.checkFile(ctx); err != nil {
		return Result{}, err
	}
	control, err := r.plant(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("planting the positive control: %w", err)
	}
	result, err := r.count(ctx)
	if err != nil {
		return result, err
	}
	ids, err := r.names(ctx)
	if err != nil {
		return result, err
	}
	r.stop()
	result.Plaintext, err = r.scan(control, ids)
	return result, err
}

// stop ends everything that runs. It may be called twice.
func (r *run) stop() {
	for _, p := range r.people {
		p.leave()
	}
	for _, p := range []*process{r.relay, r.keys} {
		if p != nil {
			p.terminate()
		}
	}
}

func (r *run) path(name string) string { return filepath.Join(r.dir, name) }
