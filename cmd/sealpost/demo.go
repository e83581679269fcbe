package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/cmd/sealpost/demo"
)

// demoCommand tries the promises with real processes.
type demoCommand struct {
	Messages int    `default:"300" help:"How many messages must be accepted."`
	Seed     uint64 `help:"Of the moments at which the servers are killed (default: a random one)."`
	BlockUDP bool   `name:"block-udp" help:"As in a network that drops UDP: whoever would use it finds another way."`
	Keep     string `type:"path" placeholder:"DIR" help:"Leave everything in this folder, which must be new or empty."`
}

// Run ends with exactly one line on standard output if every promise was kept.
func (c *demoCommand) Run(ctx context.Context, s streams) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	if c.Keep != "" {
		if err := os.MkdirAll(c.Keep, 0o700); err != nil {
			return err
		}
	}
	result, err := demo.Run(ctx, demo.Config{
		Binary: binary, Messages: c.Messages, Seed: c.Seed, BlockUDP: c.BlockUDP, Log: s.err, Stores: serverStores, Keep: c.Keep,
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, result)
	return nil
}

// serverStores lists the stores of a server with the default storage key.
func serverStores(dir string) ([]demo.Store, error) {
	id, err := openIdentity(serveConfig{Data: dir, StorageKey: filepath.Join(dir, storageKeyFile)}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	var out []demo.Store
	for _, s := range []struct{ server, store string }{{relayFolder, ""}, {keysFolder, "directory"}, {keysFolder, "groupstate"}} {
		key, err := storeKey(id.storage, s.server)
		if err != nil {
			return nil, err
		}
		out = append(out, demo.Store{Dir: filepath.Join(dir, s.server, s.store), Key: key})
	}
	return out, nil
}
