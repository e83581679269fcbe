//go:build !unix

package main

import "syscall"

// boundSends does nothing: these systems bound what they hold by themselves, or not at all.
func boundSends(_, _ string, _ syscall.RawConn) error { return nil }
