package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay/relayclient"
)

// TestR11_FullServerSaysWhenToComeAgain: over every transport, and clients hear it.
func TestR11_FullServerSaysWhenToComeAgain(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "c.toml")
	if err := os.WriteFile(config, []byte("listen = \"127.0.0.1:0\"\n[limits]\nsessions = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := greeted(t, start(t, home, "serve", "--config", config))
	only, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{Transports: []relayclient.Transport{relayclient.WebSocket}})
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close()
	for _, transport := range []relayclient.Transport{relayclient.WebTransport, relayclient.WebSocket, relayclient.LongPolling} {
		conn, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{Transports: []relayclient.Transport{transport}})
		if err == nil {
			conn.Close()
			t.Fatalf("%v: there is room for two", transport)
		}
		refused, ok := errors.AsType[*relayclient.UpgradeError](err)
		if !ok || refused.Status != 503 || relayclient.RetryAfter(err) != 30*time.Second {
			t.Errorf("%v: %v, come again after %v", transport, err, relayclient.RetryAfter(err))
		}
	}
}
