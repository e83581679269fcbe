package clientlib

// Labels that separate what is derived or signed for one purpose from all else. The
// exporter labels (RFC 9420 section 8.5) stand in this one table: two uses of one label
// would make two keys equal, so a new use gets a new line here.
const (
	exportEnvelope = "sealpost envelope 1" // key of a group's envelopes, per epoch
	exportHint     = "sealpost hint 1"     // key of the hint that tells which epoch opens an envelope
	exportWriter   = "sealpost writer 1"   // seed of the epoch's writer key
	exportSignal   = "sealpost signal 1"   // key of signals
	exportKnock    = "sealpost knock 1"    // secret that seals knocks by members stuck at this epoch
)

// Labels of device keys (HKDF-SHA256 over the device secret).
const (
	deriveReader  = "sealpost reader 1"
	deriveAdmin   = "sealpost admin 1"
	deriveContact = "sealpost contact key 1"
)

// Labels of what an epoch's knock secret gives (HKDF-SHA256).
const (
	deriveKnockKey  = "sealpost knock key 1"  // key of knocks
	deriveKnockHint = "sealpost knock hint 1" // key of their hints
)

// Labels of what is sealed to a key or under a one-time key.
const (
	sealInvitation = "sealpost invitation 1"
	sealGroupState = "sealpost group state 1"
)

// Labels of signatures.
const (
	signJoined = "sealpost joined 1" // the proof that a reader key belongs to a member's device
	signSignal = "sealpost signal 1" // by a leaf (SignWithLabel)
	signVote   = "sealpost vote 1"   // likewise
	signKeeper = "sealpost keeper 1" // by the device that founds a group's queue, over its admin key
)
