package clientlib

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// childConfig is what the killed process is told, in its environment.
type childConfig struct{ Path, Relay, KeyServer, Peer, Name string }

const childEnv = "SEALPOST_TEST_KILLED_CLIENT"

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := writeUntilKilled(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // nobody set it
		_ = flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))) // these tests wait more than they compute
	}
	os.Exit(m.Run())
}

// writeUntilKilled sends numbered messages, and says so when each is on disk.
func writeUntilKilled(text string) error {
	var cfg childConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	c, err := openChild(cfg)
	if err != nil {
		return err
	}
	peer, err := keyserver.ParseAccountID(cfg.Peer)
	if err != nil {
		return err
	}
	ctx := context.Background()
	next := 0
	for en, err := range c.History(ctx, directID(peer)) {
		if err != nil {
			return err
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(en.Text, "number ")); err == nil && n >= next {
			next = n + 1
		}
	}
	for ; ; next++ {
		if _, err := c.Send(ctx, directID(peer), content.Text(fmt.Sprintf("number %d", next))); err != nil {
			return err
		}
		fmt.Println(next)
	}
}

func openChild(cfg childConfig) (*Client, error) {
	addr, err := relay.ParseAddress(cfg.Relay)
	if err != nil {
		return nil, err
	}
	keys, err := keyserver.ParseAddress(cfg.KeyServer)
	if err != nil {
		return nil, err
	}
	out := Config{Path: cfg.Path, Relay: addr, KeyServer: keys}
	copy(out.Key[:], cfg.Name)
	return Open(out)
}

// TestC03_KilledWhileSending: a client is killed again and again while it sends and
// receives. What was on disk arrives, once and in order, and no key is ever used for two
// messages: the other side would have to pass one over.
func TestC03_KilledWhileSending(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err := alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	alice.say(id, "hello")
	bob.awaitText("hello")
	alice.close()
	cfg, err := json.Marshal(childConfig{
		Path: alice.cfg.Path, Relay: s.relay.String(), KeyServer: s.keys.String(), Peer: peer.String(), Name: "alice",
	})
	if err != nil {
		t.Fatal(err)
	}
	random := mathrand.New(mathrand.NewPCG(3, 3))
	stored, back := -1, 0
	for kill := range 12 {
		last := runAndKill(t, string(cfg), time.Duration(random.IntN(350))*time.Millisecond)
		stored = max(stored, last)
		bob.say(directID(alice.id), fmt.Sprintf("answer %d", kill))
		back++
	}
	alice.open()
	alice.quiet()
	bob.quiet()
	bob.awaitText(fmt.Sprintf("number %d", stored))
	alice.awaitText(fmt.Sprintf("answer %d", back-1))
	for name, got := range map[string][]string{"bob": bob.texts(directID(alice.id)), "alice": alice.texts(id)} {
		checkNumbers(t, name, got, "number ", stored)
		checkNumbers(t, name, got, "answer ", back-1)
	}
	if entries, skipped := bob.logged(directID(alice.id)); skipped != 0 {
		t.Errorf("bob passed over %d of %d entries", skipped, entries)
	}
	if _, skipped := alice.logged(id); skipped != 0 {
		t.Errorf("alice passed over %d entries", skipped)
	}
}

// runAndKill runs the child until some time after it stored its first message, and returns the
// number of the last one that it had stored.
func runAndKill(t *testing.T, cfg string, life time.Duration) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	cmd.Env = append(os.Environ(), childEnv+"="+cfg)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			if last < 0 {
				kill := time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
				defer kill.Stop()
			}
			last = n
		}
	}
	_ = cmd.Wait()
	if stderr.Len() > 0 {
		t.Fatalf("the client ended by itself: %s", stderr.String())
	}
	return last
}

// checkNumbers wants 0 to at least last, each once and in order. The number after the last
// that was reported may have been stored as well.
func checkNumbers(t *testing.T, who string, texts []string, prefix string, last int) {
	t.Helper()
	next := 0
	for _, text := range texts {
		rest, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(rest); err != nil || n != next {
			t.Errorf("%s has %q where %d comes next", who, text, next)
			return
		}
		next++
	}
	if next <= last {
		t.Errorf("%s has %d of %q, want at least %d", who, next, prefix, last+1)
	}
}
