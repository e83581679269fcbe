//go:build unix

package main

import "golang.org/x/sys/unix"

// forbidCore keeps the system from writing core files of this process. That it cannot be
// forbidden is no reason not to serve.
func forbidCore() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
