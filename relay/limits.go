package relay

import "time"

// The specification's constants (PROTOCOL.md).
const (
	Version     = 1                   // of this protocol
	Subprotocol = "sealpost.relay.v1" // of WebSocket
	Path        = "/v1/relay"         // where an HTTP server answers upgrades; long polling is below it

	MaxClientFrame = 640 << 10 // bytes of type and body, client to server
	MaxFirstFrame  = 20 << 10  // the same, until the session has shown that it holds a key: a KNOCK or CREATE fits
	MaxServerFrame = 1 << 20   // bytes of type and body, server to client

	MinEnvelope     = 512       // bytes; envelopes are powers of two between the two
	MaxEnvelope     = 512 << 10 // bytes
	MaxKnock        = 16 << 10  // bytes of a KNOCK's envelope, and of a request writer's
	MaxWakeHandle   = 512       // bytes
	MaxAdmins       = 16        // in one CREATE, set_admins or admin change
	MaxReaders      = 64        // in one CREATE; CONFIGURE and COMMIT add more
	MaxTickets      = 100       // in one COMMIT: as many as members added by it
	MaxPins         = 4         // blobs of one COMMIT
	MaxChanges      = 64        // in one CONFIGURE
	MaxRetention    = 90        // days
	DefaultDays     = 30        // retention when CREATE says 0
	SignalSize      = 256       // bytes of a sealed signal
	MaxBlobPart     = 256 << 10 // bytes of a blob in one frame
	IdleTimeout     = 90 * time.Second
	HandshakeWithin = 10 * time.Second
	FrameWithin     = 2 * time.Minute // a frame, client to server, from its first byte on
)

// Our own limits: what one session may hold on the server. Each is a bound on memory or
// CPU that a single peer could otherwise claim (ATTACKS R09, R11).
const (
	MaxProofs      = 4096 // per session; a proof is 65 bytes of memory and one verification
	MaxAttachments = 1024 // per session; each costs a batch buffer while it is pumped
	MaxUploads     = 8    // of blobs, open at once in a session; each is a few words of memory, and what it has stored counts against a quota
	MaxInFlight    = 1024 // mutations submitted and not yet answered; beyond it reading stops
)
