package sim

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/httpserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayserver"
	"github.com/sealpost/sealpost/relay/session"
)

// The hosts of the network.
const (
	relayHost = "relay.example:443"
	keysHost  = "keys.example:443"
)

// host is one server with its disk. A crash takes the disk as it is and leaves the process
// behind, which can do no more harm: nobody hears it, and what it writes goes into a folder that
// is not looked at again.
type host struct {
	w     *world
	name  string
	dir   string // of the present life
	lives int
	saved string // a backup of its disk
	old   bool   // its disk is an older copy
	open  func(dir string, old bool) (server, error)
	run   server // nil while down
	http  *http.Server
	ended chan struct{}

	doom   doom
	deaths int
	fault  error // of the simulation's
}

// server is what runs on a host.
type server struct {
	handler http.Handler
	close   func() error
	check   func(ctx context.Context, report func(shard.Finding)) error // nil: there is none
}

// servers makes both hosts, which are down.
func (w *world) servers() error {
	var err error
	if w.cert, err = certpin.OpenDevelopment(w.dir, "relay.example", "keys.example"); err != nil {
		return err
	}
	key, err := session.NewPrivateKey([32]byte{1})
	if err != nil {
		return err
	}
	pin := w.cert.Pin()
	w.relayAddr = relay.Address{Host: relayHost, Key: key.Public(), Pin: new(relay.Hash(pin))}
	w.keysAddr = keyserver.Address{Host: "keys.example", Port: 443, Pin: &pin}
	w.relay = &host{w: w, name: relayHost, dir: filepath.Join(w.dir, "relay-0"), open: func(dir string, old bool) (server, error) {
		s, err := relayserver.Open(relayserver.Config{Dir: filepath.Join(dir, "queues"), StorageKey: [32]byte{2}, Key: key, Restored: old})
		if err != nil {
			return server{}, err
		}
		mux := http.NewServeMux()
		mux.Handle(relay.Path, s)
		mux.Handle(relay.Path+"/", s)
		return server{mux, func() error { return s.Shutdown(context.Background()) }, s.Check}, nil
	}}
	w.keys = &host{w: w, name: keysHost, dir: filepath.Join(w.dir, "keys-0"), open: func(dir string, old bool) (server, error) {
		s, err := httpserver.Open(httpserver.Config{Dir: dir, Key: [32]byte{3}, Restored: old})
		if err != nil {
			return server{}, err
		}
		return server{s.Handler(), s.Close, nil}, nil
	}}
	return nil
}

// start opens the server on its disk and has it listen.
func (h *host) start() error {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	run, err := h.open(h.dir, h.old)
	h.old = false
	if err != nil {
		return fmt.Errorf("%s does not start: %w", h.name, err)
	}
	conf := h.w.cert.ServerConfig()
	conf.NextProtos = []string{"http/1.1"}
	h.run, h.ended = run, make(chan struct{})
	h.http = &http.Server{
		Handler: run.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	l := tls.NewListener(h.w.net.listen(h.name), conf)
	go func() {
		_ = h.http.Serve(l)
		close(h.ended)
	}()
	return nil
}

// crash ends the server at once and leaves its disk in dir for the next start. What it did and
// nobody heard of yet is in it: the network is cut off first, and then it gets on as far as it can.
func (h *host) crash() error {
	if err := h.bury(); err != nil || !h.up() {
		return err
	}
	all := h.w.net.those(func(c *connection) bool { return c.host == h.name })
	for _, c := range all {
		c.up.swallow()
		c.down.swallow()
	}
	synctest.Wait()
	old := h.dir
	h.dir, h.doom = h.nextDir(), doom{}
	if err := copyTree(old, h.dir); err != nil {
		return err
	}
	if err := h.stop(all); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// backup keeps a copy of the disk, as a backup of a crashed machine's would be.
func (h *host) backup() error {
	if err := h.bury(); err != nil {
		return err
	}
	synctest.Wait()
	if err := os.RemoveAll(h.saved); err != nil {
		return err
	}
	h.saved = h.dir + "-backup"
	return copyTree(h.dir, h.saved)
}

// restore ends the server and puts its disk back as it was at the backup. The operator says so at
// the next start.
func (h *host) restore() error {
	if h.up() {
		if err := h.crash(); err != nil {
			return err
		}
	}
	old := h.dir
	h.dir, h.old = h.nextDir(), true
	if err := copyTree(h.saved, h.dir); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

func (h *host) nextDir() string {
	h.lives++
	return filepath.Join(h.w.dir, fmt.Sprintf("%s-%d", h.name, h.lives))
}

// stop ends the process.
func (h *host) stop(all []*connection) error {
	for _, c := range all {
		c.cut()
	}
	_ = h.http.Close()
	<-h.ended
	err := h.run.close()
	h.run = server{}
	return err
}

// up reports whether the server runs.
func (h *host) up() bool { return h.run.handler != nil }

// copyTree copies a folder. The marks of a store go first: what is written while the rest is
// copied makes the copy look like a disk with more on it than its mark says, which a crash can
// leave behind, and never the other way round.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rest), 0o700)
		}
		return copyFile(path, filepath.Join(to, rest))
	})
}
