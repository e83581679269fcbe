//go:build !unix

package transfer

import "os"

// syncFolder does nothing: these systems make names durable by themselves, and offer no call.
func syncFolder(*os.Root) error { return nil }
