package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The example states every default as it is, and every line that is commented out is a key
// that exists.
func TestExampleConfigLoads(t *testing.T) {
	cfg := defaultConfig()
	if err := readConfig("sealpost.example.toml", &cfg); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(cfg, defaultConfig()) {
		t.Errorf("the example states other values than the defaults: %+v", cfg)
	}
	text, err := os.ReadFile("sealpost.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	commentedOut := regexp.MustCompile(`(?m)^# (\[\[?[a-z]+\]\]?|[a-z-]+ = .*)$`)
	path := filepath.Join(t.TempDir(), "all.toml")
	if err := os.WriteFile(path, commentedOut.ReplaceAll(text, []byte("$1")), 0o600); err != nil {
		t.Fatal(err)
	}
	var all serveConfig
	if err := readConfig(path, &all); err != nil {
		t.Fatal(err)
	}
	for _, table := range []any{all, all.TLS, all.ACME, all.Limits, all.Listeners[0]} {
		v := reflect.ValueOf(table)
		for i := range v.NumField() {
			if v.Field(i).IsZero() && v.Type().Field(i).Name != "Log" { // info is slog's zero
				t.Errorf("the example does not show %s", v.Type().Field(i).Tag.Get("toml"))
			}
		}
	}
	if want := filepath.Join(filepath.Dir(path), "privkey.pem"); all.TLS.Key != want {
		t.Errorf("a relative path became %s, not %s", all.TLS.Key, want)
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"unknown key":     {`listn = "127.0.0.1:1"`, "unknown key listn"},
		"unknown table":   {"[relay]\nport = 1", "unknown key relay"},
		"syntax":          {`listen = `, "line 1"},
		"wrong type":      {`listen = 7443`, "listen"},
		"unquoted drain":  {`drain = 10s`, "line 1"},
		"drain too long":  {`drain = "1h"`, "drain is 1h"},
		"drain too short": {`drain = 30`, "drain is 30ns"},
		"negative limit":  {"[limits]\nsessions = -1", "limits.sessions is -1"},
		"negative blob":   {"[limits]\nblob = -1", "blob"},
		"large blob":      {"[limits]\nblob = 2000\nqueue-blobs = 1000", "more than limits.queue-blobs"},
		"blob alone":      {"[limits]\nblob = 2000000000", "set that too"},
		"large queue":     {"[limits]\nqueue-blobs = 2000\nrelay-blobs = 1000", "more than limits.relay-blobs"},
		"no port":         {`listen = "localhost"`, "is no HOST:PORT"},
		"all addresses":   {`listen = "0.0.0.0:7443"`, "all addresses"},
		"both ways":       {"listen = \":1\"\n[[listener]]\naddress = \":1\"", "do not go together"},
		"public for none": {"public = \"a:1\"\n[[listener]]\naddress = \":1\"", "public goes with listen"},
		"nobody is told":  {"[[listener]]\naddress = \":1\"\n[[listener]]\naddress = \"[::]:2\"", "no listener has an address"},
		"only a proxy":    {"[[listener]]\naddress = \"192.0.2.1:1\"\nproxy-from = [\"192.0.2.0/24\"]", "no listener has an address"},
		"quic by proxy":   {"[[listener]]\naddress = \"h:1\"\npublic = \"h:1\"\nquic = true\nproxy-from = [\"::/0\"]", "quic does not go with proxy-from"},
		"any proxy":       {"[[listener]]\naddress = \"h:1\"\npublic = \"h:1\"\nproxy-from = [\"0.0.0.0/0\"]", "proxy-from has 0.0.0.0/0"},
		"half of them":    {"[[listener]]\naddress = \"h:1\"\npublic = \"h:1\"\nproxy-from = [\"10.0.0.0/8\", \"128.0.0.0/1\"]", "proxy-from has 128.0.0.0/1"},
		"any proxy of 6":  {"[[listener]]\naddress = \"h:1\"\npublic = \"h:1\"\nproxy-from = [\"fc00::/7\", \"2000::/3\"]", "proxy-from has 2000::/3"},
		"no network":      {"[[listener]]\naddress = \"h:1\"\nproxy-from = [\"192.0.2.1\"]", "proxy-from"},
		"no domains":      {"[acme]\naccept-terms = true", "acme.domains is empty"},
		"terms":           {"public = \"a.example:1\"\n[acme]\ndomains = [\"a.example\"]", "accept-terms is not true"},
		"wildcard":        {"[acme]\naccept-terms = true\ndomains = [\"*.example.org\"]", "no host name"},
		"capitals":        {"[acme]\naccept-terms = true\ndomains = [\"Example.org\"]", "no host name"},
		"one label":       {"[acme]\naccept-terms = true\ndomains = [\"localhost\"]", "no host name"},
		"an IP":           {"[acme]\naccept-terms = true\ndomains = [\"192.0.2.1\"]", "no host name"},
		"plain authority": {"public = \"a.example:1\"\n[acme]\naccept-terms = true\ndomains = [\"a.example\"]\ndirectory = \"http://ca\"", "no https URL"},
		"other public":    {"public = \"b.example:1\"\n[acme]\naccept-terms = true\ndomains = [\"a.example\"]", "public must have one of acme.domains"},
		"no public":       {"[acme]\naccept-terms = true\ndomains = [\"a.example\"]", "public must have one of acme.domains"},
		"two sources":     {"[tls]\ncertificate = \"c\"\nkey = \"k\"\n[acme]\ndomains = [\"a.example\"]", "one certificate is enough"},
		"acme.http":       {"public = \"a.example:1\"\n[acme]\naccept-terms = true\ndomains = [\"a.example\"]\nhttp = \"80\"", "acme.http is no HOST:PORT"},
		"half of tls":     {"[tls]\nkey = \"k.pem\"", "go together"},
		"no public host":  {`public = ":443"`, "public is"},
		"unknown level":   {`log = "loud"`, "log"},
		"watched by all":  {"[observe]\nlisten = \"0.0.0.0:7444\"", "observe.listen"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.toml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := defaultConfig()
			err := readConfig(path, &cfg)
			if err == nil {
				err = cfg.complete()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error about %q", err, c.want)
			}
		})
	}
}

func TestDefaultFolders(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/xdg")
	cfg := defaultConfig()
	if err := cfg.complete(); err != nil || cfg.Data != "/xdg/sealpost/server" {
		t.Errorf("data %s, %v", cfg.Data, err)
	}
	t.Setenv("XDG_DATA_HOME", "relative paths are to be ignored")
	t.Setenv("HOME", "/h")
	cfg = defaultConfig()
	if err := cfg.complete(); err != nil || cfg.Data != "/h/.local/share/sealpost/server" {
		t.Errorf("data %s, %v", cfg.Data, err)
	}
	if cfg.Drain != 10*time.Second {
		t.Errorf("drain %v", cfg.Drain)
	}
}
