package main

import (
	"fmt"
	"strings"
	"testing"
)

// chatting starts one side of the conversation that serve proposes.
func chatting(t *testing.T, home, account, peer string, g greeting) *process {
	t.Helper()
	return start(t, home, "chat", "--account", account, "--peer", peer, "--server", g.relay.String())
}

// The newcomer's walk: two chats, the server killed between two lines and started again,
// then one chat killed and started again. Every line arrives once and in order.
func TestConversationOutlivesServerAndClient(t *testing.T) {
	home := t.TempDir()
	server := start(t, home, "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, server)
	alice := chatting(t, home, "alice", "bob", g)
	alice.say("typed before bob was there")
	bob := chatting(t, home, "bob", "alice", g)
	bob.until("alice: typed before bob was there")
	bob.say("hello alice")
	alice.until("bob: hello alice")

	server.kill()
	for i := range 5 {
		alice.say(fmt.Sprintf("typed while the server was dead %d", i))
	}
	bob.say("me too")
	again := start(t, home, "serve", "--listen", g.relay.Host)
	greeted(t, again)
	got := bob.until("dead 4")
	for i := range 5 {
		if n := strings.Count(got, fmt.Sprintf("alice: typed while the server was dead %d\n", i)); n != 1 {
			t.Errorf("line %d was shown %d times:\n%s", i, n, got)
		}
	}
	alice.until("bob: me too")

	bob.kill()
	alice.say("typed while bob was dead")
	bob = chatting(t, home, "bob", "alice", g)
	got = bob.until("typed while bob was dead")
	lines := []string{
		"alice: typed before bob was there", "bob: hello alice", "alice: typed while the server was dead 0",
		"alice: typed while the server was dead 4", "bob: me too", "alice: typed while bob was dead",
	}
	for _, line := range lines {
		if n := strings.Count(got, line+"\n"); n != 1 {
			t.Errorf("after bob's restart %q was shown %d times:\n%s", line, n, got)
		}
	}

	// The end of input is the end of a chat, and status 0 says that all is sent.
	for _, p := range []*process{alice, bob} {
		p.stdin.Close()
		if status, rest := p.wait(); status != 0 {
			t.Errorf("a chat ended with status %d after %q", status, rest)
		}
	}
}

// What a stranger sends cannot move the cursor, colour the terminal or fake another line.
func TestMessagesCannotDriveTheTerminal(t *testing.T) {
	var out strings.Builder
	writeLine(&out, "bob", "a\x1b[2Jb\nalice: I owe you\r\x07\u202edeo\u009b1m")
	if got := out.String(); strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "\x1b\r\x07\u202e\u009b") {
		t.Errorf("%q", got)
	}
}

func TestChatRefusesWhatCannotWork(t *testing.T) {
	good := "sealpost://127.0.0.1:1/CCG8m85FkeG4QI1ZOIh7GTtdw8oRL3rbM1eoaurLuyQ"
	for want, args := range map[string][]string{
		"relay address": {"--account", "alice", "--peer", "bob", "--server", "https://127.0.0.1:7443"},
		"account":       {"--account", "Alice", "--peer", "bob", "--server", good},
		"peer":          {"--account", "alice", "--peer", "", "--server", good},
		"--server":      {"--account", "alice", "--peer", "bob"},
	} {
		p := start(t, t.TempDir(), append([]string{"chat"}, args...)...)
		if status, _ := p.wait(); status == 0 || !strings.Contains(p.stderr.String(), want) {
			t.Errorf("%v: status %d, %q", args, status, p.stderr.String())
		}
	}
}
