//go:build !unix

package main

// forbidCore does nothing: the system has no core files.
func forbidCore() {}
