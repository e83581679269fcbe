package clientlib

import (
	"encoding/binary"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// Buckets of the store. Keys are fixed-size ids or big-endian counters, so a scan is in
// order; values are CBOR records of this file, or raw bytes where that is said.
const (
	bucketMeta      = "meta"      // "identity"
	bucketPackage   = "package"   // KeyPackage ref → mls.KeyPackageSecrets (raw)
	bucketAccount   = "account"   // account id → knownAccount
	bucketConv      = "conv"      // conversation id → convRecord
	bucketGroup     = "group"     // group id → groupRecord
	bucketCursor    = "cursor"    // group id → newest processed position (wire bytes)
	bucketMLS       = "mls"       // group id, key of an mls.Record → its value (raw)
	bucketReader    = "reader"    // group id, leaf → leafKeys
	bucketChain     = "chain"     // group id, seq → chain value (raw), the newest chainsKept
	bucketPending   = "pending"   // group id → pendingCommit
	bucketChange    = "change"    // id → change
	bucketOutbox    = "outbox"    // id → outRow
	bucketSent      = "sent"      // group id, envelope hash → outbox id
	bucketInvite    = "invite"    // id → inviteRow
	bucketConfigure = "configure" // id → configureRow
	bucketArrived   = "arrived"   // hash → invitation that is being answered (wire bytes)
	bucketTrial     = "trial"     // kind, group, inbox or hash → trial
	bucketKept      = "kept"      // group id, epoch that it ended → keptCommit
	bucketKeptBody  = "keptbody"  // likewise → keptBody
	bucketEvent     = "event"     // id → Event
	bucketLast      = "last"      // KeyPackage ref of every last resort that was handed out (raw)
	bucketVerify    = "verify"    // group id, account, device → a member to look up (empty)
	bucketKnock     = "knock"     // group id, epoch → pastEpoch
	bucketKnocking  = "knocking"  // group id → knockRow
	bucketRoster    = "roster"    // group id, envelope hash of a commit that shut this device out → roster
	bucketGone      = "gone"      // id of a successor, account → it was removed from that (raw)
	bucketHeld      = "held"      // group id, seq → heldMessage
	bucketVote      = "vote"      // group id, envelope hash of a commit, device, successor → seq
)

// chainsKept is how many positions back a claim of another member can be compared.
const chainsKept = 1024

// identity is everything that makes this device itself. It never leaves the store.
type identity struct {
	Handle    string              `cbor:"1,keyasint"`
	Recovery  secret              `cbor:"2,keyasint"`
	Device    secret              `cbor:"3,keyasint"`
	Secret    secret              `cbor:"4,keyasint"` // queue keys derive from it
	Writer    secret              `cbor:"5,keyasint"` // seed of the inbox's request writer
	Chain     [][]byte            `cbor:"6,keyasint"`
	Account   keyserver.AccountID `cbor:"7,keyasint"`
	Inbox     relay.QueueID       `cbor:"8,keyasint"`
	Relay     string              `cbor:"9,keyasint"`
	KeyServer string              `cbor:"10,keyasint"`

	Registered  bool                `cbor:"11,keyasint"`
	InboxReady  bool                `cbor:"12,keyasint"`
	CreateID    relay.IdempotencyID `cbor:"13,keyasint"`
	RegisterID  [16]byte            `cbor:"14,keyasint"`
	Last        []lastPackage       `cbor:"15,keyasint"`
	PoolUpdated int64               `cbor:"17,keyasint"` // last upload, unix seconds
}

// contactSeed is the X-Wing key that invitations are sealed to.
func (id *identity) contactSeed() secret { return id.Secret.derive(deriveContact) }

// knownAccount is a verified account of somebody.
type knownAccount struct {
	Handle     string   `cbor:"1,keyasint"`
	Chain      [][]byte `cbor:"2,keyasint"`
	KeyPackage []byte   `cbor:"3,keyasint"` // last resort from a contact card; may be empty
	CheckedAt  int64    `cbor:"4,keyasint"` // unix seconds of the newest look-up
}

type convRecord struct {
	Kind   ConversationKind    `cbor:"1,keyasint"`
	Name   string              `cbor:"2,keyasint"`
	Peer   keyserver.AccountID `cbor:"3,keyasint"`
	Groups []groupID           `cbor:"4,keyasint"`
	Room   ConversationID      `cbor:"5,keyasint"` // that messages name, where it is another: of the group that began it
}

type groupState uint8

const (
	groupCreating groupState = 1 // the queue does not exist yet
	groupRekeying groupState = 2 // joined; the ticket is still the reader
	groupActive   groupState = 3
	groupRemoved  groupState = 4 // removed from the group, or the queue is gone
	groupStuck    groupState = 5 // a commit counts that this device cannot follow, or the queue was closed
	groupUnsafe   groupState = 6 // the store was copied back; see ErrUnsafeStore
	// groupCandidate may come to succeed another group; it is neither read nor shown.
	groupCandidate groupState = 7
	groupSucceeded groupState = 8 // its conversation goes on in another; read for who comes late
)

// groupRecord changes with a group's life, not with its messages.
type groupRecord struct {
	Conversation ConversationID      `cbor:"1,keyasint"`
	State        groupState          `cbor:"2,keyasint"`
	Queue        relay.QueueID       `cbor:"3,keyasint"`
	Relay        string              `cbor:"4,keyasint"`
	KeyServer    string              `cbor:"5,keyasint"`
	Ticket       secret              `cbor:"6,keyasint"` // seed; empty for the creator
	RequestID    relay.IdempotencyID `cbor:"7,keyasint"` // of CREATE or REKEY
	LastCommit   relay.Position      `cbor:"8,keyasint"`
	Renewed      int64               `cbor:"9,keyasint"`  // when this device's leaf got its keys, unix seconds; 0: to be renewed
	Epoch        uint64              `cbor:"10,keyasint"` // the newest that this device was in
	Gapped       bool                `cbor:"11,keyasint"` // entries went missing since the last commit that was followed

	// After a loss of the relay's:
	Loss   lossState `cbor:"20,keyasint"`
	Owed   uint64    `cbor:"21,keyasint"` // the epoch whose end the relay lacks
	LostAt int64     `cbor:"22,keyasint"` // when it was noticed, unix milliseconds
	Doubt  int64     `cbor:"23,keyasint"` // since when a COMMIT did not open and nothing else did, likewise; 0: no doubt
	Return returning `cbor:"24,keyasint"`

	Base      relay.Position `cbor:"25,keyasint"` // of the COMMIT by which this device joined; zero for the founder
	BaseEpoch uint64         `cbor:"26,keyasint"` // that it led to
	Rival     uint64         `cbor:"28,keyasint"` // 1 + the epoch from which the others went another way than this device; 0: none
	Named     int64          `cbor:"29,keyasint"` // when this device saw the last dud, unix seconds, since it had senders named; 0: it did not
	Online    int64          `cbor:"27,keyasint"` // when this device was there last, unix seconds, to within seenEvery

	Stuck     *stuckAt     `cbor:"31,keyasint,omitempty"` // where, in groupStuck and after it
	Successor groupID      `cbor:"32,keyasint"`           // founded; this group's conversation goes on there
	Complaint relay.Hash   `cbor:"33,keyasint"`           // the commit against which it was founded
	Succeeds  groupID      `cbor:"34,keyasint"`           // of a group that may take the place of that one
	Begun     bool         `cbor:"35,keyasint"`           // by this device
	Founded   bool         `cbor:"36,keyasint"`
	Withdraw  []relay.Hash `cbor:"37,keyasint,omitempty"` // commits against which this device's votes are to be taken back
	Before    *before      `cbor:"43,keyasint,omitempty"` // this device was replaced, by who may have invented the epoch
	Unopened  int          `cbor:"42,keyasint"`           // COMMITs that did not open since Doubt began, or was looked into
	Returned  bool         `cbor:"40,keyasint"`           // into a successor, after a time away: it does not know who was removed meanwhile
	Unheld    uint64       `cbor:"39,keyasint"`           // the first message that was too much to hold until this group is founded; 0: none
	LeftAt    int64        `cbor:"38,keyasint"`           // since when this device waits for its invitation to Successor, unix seconds
	Closed    bool         `cbor:"44,keyasint,omitempty"` // by an admin key; Stuck has the entry
}

// memberID is a device of an account.
type memberID struct {
	Account keyserver.AccountID `cbor:"1,keyasint"`
	Device  keyserver.DeviceID  `cbor:"2,keyasint"`
}

// stuckAt is where a device could not follow its group.
type stuckAt struct {
	Seq    uint64       `cbor:"1,keyasint"` // the last entry that it processed as a member
	Since  int64        `cbor:"2,keyasint"` // unix seconds
	Commit relay.Hash   `cbor:"3,keyasint"` // envelope of the COMMIT that shut it out, if one did, or of the CLOSED entry
	By     memberID     `cbor:"4,keyasint"` // who made that; the account of a CLOSED entry's only if it is proven
	Voted  []relay.Hash `cbor:"5,keyasint,omitempty"`
	Missed bool         `cbor:"6,keyasint"` // there were messages since
}

// leafKeys are a member's keys at the relay. Until it has spoken, the reader is its ticket.
type leafKeys struct {
	Reader  relay.PublicKey `cbor:"1,keyasint"`
	Admin   relay.PublicKey `cbor:"2,keyasint"`
	Claimed bool            `cbor:"3,keyasint"` // told by the member itself
}

// inviteDraft is an invitation that waits for its commit to be accepted.
type inviteDraft struct {
	Account    keyserver.AccountID `cbor:"1,keyasint"`
	Device     keyserver.DeviceID  `cbor:"2,keyasint"`
	Contact    []byte              `cbor:"3,keyasint"` // the KeyPackage's contact extension
	Ticket     secret              `cbor:"4,keyasint"`
	Welcome    []byte              `cbor:"5,keyasint"`
	LastResort bool                `cbor:"6,keyasint"`
	Ref        []byte              `cbor:"7,keyasint"` // of the KeyPackage
}

// pendingCommit is a staged commit whose outcome is not known yet. It is stored before
// the COMMIT leaves, so a crash anywhere ends in the same commit or in another's.
type pendingCommit struct {
	Staged     secret              `cbor:"1,keyasint"`
	Envelope   []byte              `cbor:"2,keyasint"`
	ID         relay.IdempotencyID `cbor:"3,keyasint"`
	Expect     relay.Position      `cbor:"4,keyasint"`
	NextWriter relay.PublicKey     `cbor:"5,keyasint"`
	Invites    []inviteDraft       `cbor:"6,keyasint"`
	Chunks     [][]byte            `cbor:"7,keyasint"`
	Index      [32]byte            `cbor:"8,keyasint"`
	IndexKey   secret              `cbor:"9,keyasint"`
	Change     uint64              `cbor:"10,keyasint"`
	Uploaded   bool                `cbor:"11,keyasint"`
	Blob       []byte              `cbor:"12,keyasint,omitempty"` // the sealed commit, where an envelope is too small
	BlobHash   relay.Hash          `cbor:"13,keyasint"`
	Stored     bool                `cbor:"14,keyasint"` // the relay has had the blob: the COMMIT may have left
}

// unsent reports whether the COMMIT has certainly not left, since something else has to get to
// its server first: then nothing waits for its outcome, and it can be dropped.
func (p *pendingCommit) unsent() bool { return !p.Uploaded || len(p.Blob) > 0 && !p.Stored }

// blobs are what the COMMIT keeps.
func (p *pendingCommit) blobs() []relay.Hash {
	if len(p.Blob) == 0 {
		return nil
	}
	return []relay.Hash{p.BlobHash}
}

type changeKind uint8

const (
	changeAdd    changeKind = 1
	changeRemove changeKind = 2
	changeRenew  changeKind = 3
	// changeReplace answers a knock.
	changeReplace changeKind = 4
)

// change is a wish for a group that a commit has to fulfil. It survives lost races.
type change struct {
	Group    groupID               `cbor:"1,keyasint"`
	Kind     changeKind            `cbor:"2,keyasint"`
	Accounts []keyserver.AccountID `cbor:"3,keyasint"`
	Device   keyserver.DeviceID    `cbor:"5,keyasint"`            // to remove alone; zero: all of the accounts'
	Request  [32]byte              `cbor:"4,keyasint"`            // takes the same KeyPackages at each try
	Package  []byte                `cbor:"6,keyasint,omitempty"`  // that a knock brought
	Number   uint64                `cbor:"7,keyasint,omitempty"`  // of that knock
	Late     bool                  `cbor:"8,keyasint,omitempty"`  // adds to a successor who is still in the group before it
	Waited   int64                 `cbor:"10,keyasint,omitempty"` // seconds of being connected, of a renewal
}

type rowState uint8

const (
	rowQueued   rowState = 1
	rowSealed   rowState = 2 // encrypted; outcome unknown until answered or read back
	rowAccepted rowState = 3
)

// outRow is a message on its way.
type outRow struct {
	Conversation ConversationID      `cbor:"1,keyasint"`
	Pinned       groupID             `cbor:"2,keyasint"` // control messages belong to one group
	Kind         payloadKind         `cbor:"3,keyasint"`
	ID           MessageID           `cbor:"4,keyasint"`
	Body         []byte              `cbor:"5,keyasint"`
	State        rowState            `cbor:"6,keyasint"`
	Group        groupID             `cbor:"7,keyasint"` // since sealed
	Epoch        uint64              `cbor:"8,keyasint"`
	Envelope     []byte              `cbor:"9,keyasint"`
	RequestID    relay.IdempotencyID `cbor:"10,keyasint"`
	At           relay.Position      `cbor:"11,keyasint"` // where the relay says that it is, once accepted
	File         *outFile            `cbor:"12,keyasint,omitempty"`
	Named        bool                `cbor:"13,keyasint,omitempty"` // sent with a proof of the reader
}

// outFile is a sealed file that has to be at the relay before the message that tells of it.
type outFile struct {
	Hash   relay.Hash    `cbor:"1,keyasint"` // its name in the folder and at the relay
	Plain  int64         `cbor:"2,keyasint"` // bytes of the content
	Stored bool          `cbor:"3,keyasint"`
	Queue  relay.QueueID `cbor:"4,keyasint"` // where it is stored
}

// in reports whether the relay has the file in a queue; without a file it has all there is.
func (f *outFile) in(queue relay.QueueID) bool { return f == nil || f.Stored && f.Queue == queue }

// lost notes that the relay has lost something, and perhaps the file.
func (f *outFile) lost() {
	if f != nil {
		f.Stored = false
	}
}

// inviteRow is a sealed invitation on its way to an inbox.
type inviteRow struct {
	Group    groupID             `cbor:"1,keyasint"`
	Device   keyserver.DeviceID  `cbor:"2,keyasint"`
	Relay    string              `cbor:"3,keyasint"`
	Inbox    relay.QueueID       `cbor:"4,keyasint"`
	Writer   secret              `cbor:"5,keyasint"`
	Envelope []byte              `cbor:"6,keyasint"`
	ID       relay.IdempotencyID `cbor:"7,keyasint"`
	Sent     int                 `cbor:"8,keyasint"` // how often it was accepted
	NextAt   int64               `cbor:"9,keyasint"` // unix seconds of the next repetition
}

// configureRow is a change of a queue's readers or admins that waits to be applied.
type configureRow struct {
	Group        groupID             `cbor:"1,keyasint"`
	ID           relay.IdempotencyID `cbor:"2,keyasint"`
	RemoveReader *relay.PublicKey    `cbor:"3,keyasint,omitempty"`
	Admins       []relay.PublicKey   `cbor:"4,keyasint,omitempty"`
	Named        *bool               `cbor:"5,keyasint,omitempty"` // named writing
}

// recordMode reads what was written here, whatever the strings in it: a name that a peer
// chose must not make the store unreadable.
var recordMode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}()

func counterKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

func putRecord(tx *state.Tx, bucket string, key []byte, v any) error {
	b, err := cbor.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a %s record: %w", bucket, err)
	}
	return tx.Put(bucket, key, b)
}

func decodeRecord[T any](bucket string, b []byte) (*T, error) {
	v := new(T)
	if err := recordMode.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("%w: %s record: %w", state.ErrCorrupt, bucket, err)
	}
	return v, nil
}

// clearBucket deletes every record under a prefix.
func clearBucket(tx *state.Tx, bucket string, prefix []byte) error {
	for kv, err := range tx.Scan(bucket, prefix) {
		if err != nil {
			return err
		}
		if err := tx.Delete(bucket, kv.Key); err != nil {
			return err
		}
	}
	return nil
}

// getRecord returns nil when there is none.
func getRecord[T any](tx *state.Tx, bucket string, key []byte) (*T, error) {
	b, ok, err := tx.Get(bucket, key)
	if err != nil || !ok {
		return nil, err
	}
	return decodeRecord[T](bucket, b)
}
