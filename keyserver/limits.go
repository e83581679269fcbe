package keyserver

import "time"

// Our own limits, each with the reason for its size. A server may grant less in time (a
// rate), never in size: both sides compile these in.
const (
	// MaxHandle bounds a handle, in bytes: longer ones are no use on a card.
	MaxHandle = 64
	// MaxEntry bounds one chain entry, in bytes; the longest has 251.
	MaxEntry = 256
	// MaxSuites bounds the cipher suites that a device states, and with them its pools.
	MaxSuites = 12
	// MaxEntries bounds a chain, so that a hostile one costs a look-up at most 128
	// signature checks (about 8 ms) and 16 KiB.
	MaxEntries = 64
	// MaxStatements bounds the entries in which one device states its suites anew: one each
	// time that it learns or loses some.
	MaxStatements = 8
	// MaxDevices bounds the devices that an account has at a time, and with them what one
	// take hands out and one added person costs a group in leaves.
	MaxDevices = 16

	// MaxPackage bounds one KeyPackage, in bytes: a post-quantum one with a contact key has
	// about 6,000.
	MaxPackage = 8 << 10
	// MaxUpload bounds the one-time packages of one upload, and with them its body and the
	// signature checks that it costs the server.
	MaxUpload = 100
	// MaxPool bounds the one-time packages that the server keeps for a device (ATTACKS B12).
	MaxPool = 200
	// MaxLifetime bounds a KeyPackage's lifetime, from not_before to not_after: a package
	// that was drained from the pool is of no use for longer than this.
	MaxLifetime = 28 * 24 * time.Hour
	// MaxSkew is how far a signed request's time may be from the server's: a captured
	// request is worthless afterwards, a phone with a clock an hour off still works.
	MaxSkew = time.Hour

	// MaxChunk bounds a chunk of group state: 64 KiB and room for its sealing.
	MaxChunk = 64<<10 + 256

	// MaxErrorText bounds the text of an error on the wire, in bytes.
	MaxErrorText = 256
)
