package metrics

// The names of all series, without those of the process. METRICS.md of cmd/sealpost says what
// each tells; a test compares the two and what is written.
const (
	relayAccepted       = "sealpost_relay_accepted_total"
	relayRefused        = "sealpost_relay_refused_total"
	relayDelivered      = "sealpost_relay_delivered_total"
	relayDeliveredBytes = "sealpost_relay_delivered_bytes_total"
	relayGaps           = "sealpost_relay_gaps_total"
	relaySignals        = "sealpost_relay_signals_total"
	relaySessions       = "sealpost_relay_sessions"
	relayTurnedAway     = "sealpost_relay_sessions_refused_total"
	relayHandshakes     = "sealpost_relay_handshakes_failed_total"
	relayAttachments    = "sealpost_relay_attachments"
	relayPending        = "sealpost_relay_pending_bytes"
	relayBacklog        = "sealpost_relay_backlog_bytes"
	relayBlobs          = "sealpost_relay_blob_bytes"

	storeSync         = "sealpost_store_sync_seconds"
	storeBatch        = "sealpost_store_batch_operations"
	storeFree         = "sealpost_store_disk_free_bytes"
	storeFull         = "sealpost_store_disk_full"
	storeFailed       = "sealpost_store_failed"
	storeIncarnations = "sealpost_store_incarnations"

	connectionsOpen    = "sealpost_connections"
	connectionsRefused = "sealpost_connections_refused_total"
	tlsFailed          = "sealpost_tls_handshakes_failed_total"

	keysRequests = "sealpost_keyserver_requests_total"

	goGoroutines = "go_goroutines"
	goHeap       = "go_heap_objects_bytes"
	goMemory     = "go_memory_bytes"
	goCollected  = "go_gc_cycles"
)

// Operation is what a relay accepted.
type Operation uint8

// The operations.
const (
	Other Operation = iota
	Create
	Configure
	Delete
	Append
	Commit
	Knock
	Leave
	Rekey
	StoreBlob
)

var operations = []string{
	Other: "other", Create: "create", Configure: "configure", Delete: "delete", Append: "append",
	Commit: "commit", Knock: "knock", Leave: "leave", Rekey: "rekey", StoreBlob: "store_blob",
}

// refusals and limits stand at their numbers in the relay's protocol. codeLimit and codeQuota
// have a series for each limit, and one for a refusal that names none.
var (
	refusals = []string{
		"other", "unknown", "stale", "conflict", "bad_proof", "malformed", "too_large", "limit_other", "quota", "closed", "reused",
		"rollback", "forbidden", "busy", "draining", "no_blob", "suspended",
	}
	limits = []string{
		"limit_other", "limit_create", "limit_appends", "limit_commits", "limit_conflicts", "limit_knocks", "limit_votes", "limit_configures",
		"limit_readers", "limit_writers", "limit_proofs", "limit_attachments", "limit_uploads",
		"quota_storage", "quota_share", "quota_blobs", "quota_blob_share", "quota_relay_blobs",
	}
)

const (
	codeLimit = 7
	codeQuota = 8
)

// gaps stand at their numbers in the relay's protocol.
var gaps = []string{"other", "expired", "removed", "lost", "acked", "quota"}

// Transport is what a session runs over.
type Transport uint8

// The transports.
const (
	OtherTransport Transport = iota
	WebSocket
	WebTransport
	Polling
)

var transports = []string{OtherTransport: "other", WebSocket: "websocket", WebTransport: "webtransport", Polling: "polling"}

// Turned says why a connection or a session was not let in.
type Turned uint8

// The reasons. When a bound of a whole server is reached it is ServerFull, when one of the
// client's network is, NetworkFull.
const (
	OtherReason Turned = iota
	ServerFull
	NetworkFull
	Draining
	NotAProxy // on a listener behind proxies: not from one, or without its header
	Busy      // too many handshakes wait, or are under way
)

var reasons = []string{OtherReason: "other", ServerFull: "full", NetworkFull: "network", Draining: "draining", NotAProxy: "proxy", Busy: "busy"}

// Fate is what became of a signal for one reader.
type Fate uint8

// The fates.
const (
	OtherFate Fate = iota
	SignalSent
	SignalDropped // for a newer one: the client was slow
)

var fates = []string{OtherFate: "other", SignalSent: "sent", SignalDropped: "dropped"}

// StoreName names one of a server's stores.
type StoreName string

// The stores.
const (
	RelayStore      StoreName = "relay"
	DirectoryStore  StoreName = "directory"
	GroupStateStore StoreName = "groupstate"
)

// Route is an operation of the key server.
type Route uint8

// The routes.
const (
	OtherRoute Route = iota
	Register
	AppendEntry
	Lookup
	Upload
	Take
	Stock
	PutChunk
	GetChunk
)

var routes = []string{
	OtherRoute: "other", Register: "register", AppendEntry: "append", Lookup: "lookup", Upload: "upload", Take: "take",
	Stock: "stock", PutChunk: "put_chunk", GetChunk: "get_chunk",
}

// outcomes stand at their numbers in the key server's protocol, behind "other" and before "ok".
var outcomes = []string{
	"other", "invalid", "not_found", "handle_taken", "conflict", "expired", "limited", "too_large", "quota", "incarnation", "exhausted",
	"denied", "unavailable", "ok",
}
