package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// runCache matches the folders that "go run" starts programs from: a temporary one when it
// has just linked, one of the build cache when it had linked before.
var runCache = regexp.MustCompile(`[/\\]go-build[0-9]+[/\\]b[0-9]+[/\\]exe$|[/\\][0-9a-f]{2}[/\\][0-9a-f]{64}-d$`)

// selfCommand returns how whoever reads the output starts this program again.
func selfCommand(executable, typed string) string {
	if runCache.MatchString(filepath.Dir(executable)) {
		return "go run ./cmd/sealpost"
	}
	return quote(typed)
}

// chatLine returns one complete line for a POSIX shell.
func chatLine(self, account, peer, server string) string {
	return self + " chat --account " + quote(account) + " --peer " + quote(peer) + " --server " + quoteAlways(server)
}

func self() string {
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	return selfCommand(executable, os.Args[0])
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// quote makes s one word for a POSIX shell, as it stands where nothing in it is special.
func quote(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return quoteAlways(s)
}

func quoteAlways(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
