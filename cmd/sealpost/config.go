package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Our own limits on a configuration.
const (
	minDrain = time.Second      // below it readers are cut off before they hear of it
	maxDrain = 10 * time.Minute // service managers kill a process that takes longer
)

// serveConfig is what serve can be told. Everything has a default; sealpost.example.toml
// describes each key. A flag wins over the file, the file over the default.
type serveConfig struct {
	Data        string        `toml:"data"`         // folder, made if missing
	Listen      string        `toml:"listen"`       // HOST:PORT, the one listener; empty with Listeners
	Public      string        `toml:"public"`       // HOST:PORT that clients dial; Listen if empty
	StorageKey  string        `toml:"storage-key"`  // file; if empty a systemd credential, else inside Data
	OperatorLog string        `toml:"operator-log"` // file; if empty inside Data
	Drain       time.Duration `toml:"drain"`        // how long SIGTERM waits for readers to leave
	Log         slog.Level    `toml:"log"`
	TLS         tlsConfig     `toml:"tls"`
	ACME        acmeConfig    `toml:"acme"`
	Origins     []string      `toml:"origins"` // browser pages that may connect, as scheme://host[:port]

	Observe   observeConfig    `toml:"observe"`
	Limits    limitsConfig     `toml:"limits"`
	Listeners []listenerConfig `toml:"listener"` // several listeners, in place of Listen
}

func defaultConfig() serveConfig {
	return serveConfig{Listen: "localhost:7443", Drain: 10 * time.Second, Log: slog.LevelInfo}
}

// readConfig reads the TOML file at path over cfg. A key that it does not know is an error:
// a misspelt limit that is silently the default is worse than a server that does not start.
func readConfig(path string, cfg *serveConfig) error {
	meta, err := toml.DecodeFile(path, cfg)
	if syntax, ok := errors.AsType[toml.ParseError](err); ok {
		return fmt.Errorf("%s: %s", path, syntax.ErrorWithPosition())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		names := make([]string, len(unknown))
		for i, key := range unknown {
			names[i] = key.String()
		}
		return fmt.Errorf("%s: unknown key %s; the example file lists all there are", path, strings.Join(names, ", "))
	}
	if len(cfg.Listeners) > 0 && !meta.IsDefined("listen") {
		cfg.Listen = "" // the default is for a file that says nothing
	}
	// A path in the file means the same from wherever the server is started.
	for _, p := range []*string{&cfg.Data, &cfg.StorageKey, &cfg.OperatorLog, &cfg.TLS.Certificate, &cfg.TLS.Key, &cfg.ACME.Roots} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return nil
}

// complete fills what depends on other values, and refuses what cannot work.
func (c *serveConfig) complete() error {
	if c.Data == "" {
		dir, err := userData()
		if err != nil {
			return err
		}
		c.Data = filepath.Join(dir, "server")
	}
	if c.Drain < minDrain || c.Drain > maxDrain {
		return fmt.Errorf("drain is %v, not between %v and %v", c.Drain, minDrain, maxDrain)
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if err := c.Observe.check(); err != nil {
		return err
	}
	if err := c.completeListeners(); err != nil {
		return err
	}
	return c.completeCertificates()
}

// userData returns the folder of Sealpost's data of this user (XDG base directories).
func userData() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sealpost"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home folder to keep data in, name one with --data: %w", err)
	}
	return filepath.Join(home, ".local", "share", "sealpost"), nil
}
