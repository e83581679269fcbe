package relayserver

import (
	"time"

	"github.com/sealpost/sealpost/relay"
)

// Limits are the operator's. A zero field takes its default.
type Limits struct {
	Sessions          int // in all; default 20,000
	SessionsPerPrefix int // from one address prefix (IPv4 /24, IPv6 /56; four times as many from an IPv6 /48); default 1,024
	Backlog           int // bytes of entries that clients are slow to take, of all sessions; above it each holds little; default 256 MiB
	// ReconnectsPerSecond is how many clients a drain asks back in each second; default 500.
	ReconnectsPerSecond int
	CreateBurst         int           // CREATEs at once from one IPv4 /24 or IPv6 /48; default 256
	CreateEvery         time.Duration // one more CREATE after this long; default 5 s
}

func (l Limits) withDefaults() Limits {
	if l.Sessions == 0 {
		l.Sessions = 20_000
	}
	if l.SessionsPerPrefix == 0 {
		l.SessionsPerPrefix = 1024
	}
	if l.Backlog == 0 {
		l.Backlog = 256 << 20
	}
	if l.ReconnectsPerSecond == 0 {
		l.ReconnectsPerSecond = 500
	}
	if l.CreateBurst == 0 {
		l.CreateBurst = 256
	}
	if l.CreateEvery == 0 {
		l.CreateEvery = 5 * time.Second
	}
	return l
}

// Deadlines. What they bound is a peer that holds a connection and gives nothing (R10, R11).
const (
	upgradeWithin = 10 * time.Second      // writing the answer to the HTTP upgrade
	recordWithin  = relay.IdleTimeout     // one record of at most 64 KiB; between frames this is the idle timeout
	writeWithin   = 30 * time.Second      // one transport write of at most 64 KiB
	closeWithin   = time.Second           // a last word to a peer that reads nothing
	heardWithin   = 5 * time.Second       // the last frames of a session that is over: a few losses of a bad network, or the next request of a client that polls
	reconnect     = time.Second           // at least, as advice in GOAWAY, and about as much jitter
	retryCreate   = relay.IdleTimeout     // longest wait that a refused CREATE is told
	retryOpen     = time.Second           // until something of the session may have been closed that is one too many
	retryProofs   = time.Minute           // proofs last as long as the session: until the client may have another
	retryFull     = 30 * time.Second      // until a blob is tried again on a disk that is nearly full
	handshakeTime = relay.HandshakeWithin // from upgrade to the second handshake record
)

// Bounds on what one session holds.
const (
	maxInFlightBytes = 4 << 20   // of envelopes submitted and not yet answered (R09); one request always fits
	putCost          = 4         // times its size, of a part of a blob: three of the largest wait for the disk, or behind what a client does not read (R09)
	maxWindow        = 1 << 20   // bytes of an attachment's window; more is taken as this (R09)
	maxDeliver       = 64 << 10  // bytes of entries in one turn of the writer: what the client takes while the next turn is read
	deliverFrame     = 32 << 10  // bytes of entries that one DELIVER aims at: a client over a network that cuts again and again gets on by each whole frame
	ackStep          = 16 << 10  // bytes; ACKs are counted in steps of up to this, so a window costs little memory
	maxBlobData      = 256 << 10 // bytes of blobs that wait to be written before no more are read (R09); a part may go beyond
	maxBranches      = 16        // at a time; each has a goroutine, and entries of a turn that wait for the client
	branchBacklog    = 64        // entries behind the head from which on an attachment gets one: fewer are a turn or two of the writer
	branchTurn       = 64 << 10  // bytes of entries in one turn of a branch: 16 of them hold what four sessions do, and one of them a larger entry (R09)
	maxSignals       = 32        // that wait to be written to a session, of all its attachments (R09)
	maxBadProofs     = 64        // failed signatures, each a verification, before the session ends
)

// Bounds of long polling; the first seven are PROTOCOL.md's.
const (
	pollOpen   = 64 << 10         // bytes of the first POST
	pollPost   = 256 << 10        // bytes of any other
	pollGet    = 256 << 10        // bytes of an answer
	pollKept   = 512 << 10        // bytes of a session that were not fetched (R09)
	pollWait   = 25 * time.Second // a GET without anything to answer
	pollFirst  = 10 * time.Second // until the first GET
	pollAbsent = time.Minute      // without a GET, or one that gets on, until the session ends
	pollTake   = time.Minute      // one POST, all of it read by the session
)

// Bounds on what one QUIC connection holds.
const (
	quicReceive    = 768 << 10 // bytes that the client sent and nobody has read (R09)
	quicFlight     = 512 << 10 // bytes sent in one round trip, and a record more: what is not acknowledged is at most two or three times as much (R09)
	quicStreams    = 16        // that the client has opened: a session takes two, the rest is for requests
	quicUniStreams = 8         // the same; HTTP/3 takes three, and some browsers open one more that means nothing
)

// Bounds on what a round trip is taken for.
const (
	leastTrip = time.Millisecond // on one machine, where it is less than a timer's step
	mostTrip  = time.Second
)

// fairShare is what a session may hold whatever the others do, in bytes: a record.
const fairShare = 64 << 10

// maxDisk is how many sessions read or write blobs at once: more would only queue at the disk,
// each with a thread of its own.
const maxDisk = 16

// Bounds on what is counted by address.
const (
	maxPrefixes = 1 << 16 // token buckets; beyond it, new prefixes share one (R32)

	blobShare       = 8 // of the relay's quota of blobs, what one IPv4 /24 or IPv6 /48 adds at once, and in a day: nobody has to send what takes up room (R07)
	prefixesPerSite = 4 // of an IPv6 /48, whose 256 prefixes may have so many times the sessions of one (R11)
)
