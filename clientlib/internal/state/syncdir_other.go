//go:build !unix

package state

// syncDir does nothing: these systems make folder entries durable by themselves, and offer no call.
func syncDir(string) error { return nil }
