package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSelfCommand(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	cases := []struct{ executable, typed, want string }{
		{"/tmp/go-build4289508749/b001/exe/sealpost", "/tmp/go-build4289508749/b001/exe/sealpost", "go run ./cmd/sealpost"},
		{"/c/go-build/3b/" + hash + "-d/sealpost", "x", "go run ./cmd/sealpost"},
		{"/tmp/empty/cache/3b/" + hash + "-d/sealpost", "x", "go run ./cmd/sealpost"},
		{"/usr/bin/sealpost", "sealpost", "sealpost"},
		{"/src/sealpost/sealpost", "./sealpost", "./sealpost"},
		{"/opt/my tools/sealpost", "/opt/my tools/sealpost", "'/opt/my tools/sealpost'"},
	}
	for _, c := range cases {
		if got := selfCommand(c.executable, c.typed); got != c.want {
			t.Errorf("%s: %s, want %s", c.executable, got, c.want)
		}
	}
}

// A shell hands the program exactly the words that were meant.
func TestChatLineSurvivesTheShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh here")
	}
	server := "sealpost://127.0.0.1:7443/KEY?pin=PIN&a=$HOME;'`"
	line := chatLine("printf '%s|'", "alice", "bob o'hara", server)
	out, err := exec.CommandContext(t.Context(), sh, "-c", line).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "chat|--account|alice|--peer|bob o'hara|--server|" + server + "|"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if strings.Contains(line, "\n") {
		t.Error("it is not one line")
	}
}
