// Package mls is Messaging Layer Security, RFC 9420: groups that agree on keys.
//
// Start with [NewGroup] and [Join]: the one begins a group of one member, the other enters with
// an invitation that [Group.Commit] made for a KeyPackage ([NewKeyPackage]). From then on every
// member encrypts with [Group.Encrypt] and gives whatever comes to [Group.Process]. A commit is
// staged: nothing changes until [Group.Merge], so a caller first learns from its delivery service
// whether the commit counts. The example below is a group of two; [JoinExternal] enters where a
// group lets people in by themselves, and [NewPublicGroup] follows from outside, without a secret.
// README.md says more.
//
// The package is a pure state machine: no I/O, clock, log or storage. Randomness is crypto/rand.
// Time comes in as a parameter where lifetimes are checked, and never decides whether a received
// commit counts.
//
// # What it leaves to others
//
// The delivery service, which brings all members the same commits in the same order. The
// authentication service, which knows who may be who: the caller's [CredentialValidator]; without
// one every credential is accepted. Who may change what: a [CommitValidator]. Storing records,
// and encrypting them: they hold secrets. Credentials are basic or X.509 chains, of which only
// that the first certificate holds its leaf's signature key is checked here. A group has at most
// 65,536 leaves.
//
// # What counts
//
// Whether a received commit counts is decided by public checks (framing, signature, proposals,
// tree and parent hashes, the policy), which come out alike for every member: [ErrInvalidCommit].
// A commit that passes them and yet cannot be followed by this member is [ErrCannotFollow].
// After an error of Process nothing has changed. VALIDATION.md lists every rule with its function
// and test.
//
// # Suites
//
// A group has one cipher suite for life, one of [Suites]: those of RFC 9420, and the
// post-quantum ones of draft-ietf-mls-pq-ciphersuites. P-521 costs some twenty times the time of
// [DefaultSuite].
//
// # Concurrency
//
// No [Group] or [PublicGroup] is safe for concurrent use. What never changes is: views, staged
// commits and KeyPackages may be read by several goroutines, while their groups go on. Calls
// that verify much do so on all processors and leave no goroutine behind; the application is
// asked from the caller's own. Values that methods return belong to the caller unless their
// documentation says otherwise.
//
// # What stays
//
// There is no release yet, and until version 1.0 the Go API may change with each. What is stored
// is read by all later ones: the records of [Group.Save] and the other stored forms
// ([StagedCommit.MarshalBinary], [KeyPackageSecrets.MarshalBinary], [PublicGroup.MarshalBinary])
// carry a version. The wire is that of RFC 9420; what is of a draft says so, and follows it.
package mls

import "time"

// Limits that are ours, each with the attack it answers.
const (
	// maxForward and maxSkipped are the sender ratchet window of RFC 9420 section 15.3:
	// maxForward is how many generations a message may lie ahead of the newest one seen of
	// its sender; beyond, it is refused before any key is derived (an insider could otherwise
	// ask for 2^32 derivations with one message).
	maxForward = 2000
	// maxSkipped is how many unused message keys are kept for one ratchet, oldest dropped
	// first: out-of-order delivery, within memory that an insider cannot grow.
	maxSkipped = 2000
	// maxLeaves bounds the tree: a listed blank node costs one byte on the wire and some
	// sixty in memory.
	maxLeaves = 1 << 16
	// maxPending and maxPendingPerSender bound queued proposals of an epoch, so that an
	// insider's flood costs bounded memory. Counted in the order of the log, hence alike for
	// every member. Whoever proposes to be added is one sender, all of them together: anybody
	// can be as many as it likes.
	maxPending          = 256
	maxPendingPerSender = 16
	// maxDropped bounds the remembered proposals of an epoch that DropProposals has dropped.
	maxDropped = 4096
	// maxOwnMessages bounds remembered digests of commits that this member made in an epoch.
	maxOwnMessages = 1024
	// maxSigned bounds the remembered content that this member has signed in an epoch, which
	// is stored and gone through. Beyond, an own message is never taken for a copy's: a
	// missed warning costs less than one that any member could forge.
	maxSigned = 4096
	// maxExportHashes is the longest exported secret in hashes of the suite: RFC 5869 allows
	// no more.
	maxExportHashes = 255
)

// MaxLifetime is the longest lifetime that [KeyPackage.Verify] and [NewKeyPackage] accept, and
// a group too unless its [Application] says otherwise:
// 28 days and a day for clocks that disagree. A stolen package that was never used is
// worthless afterwards.
const MaxLifetime = 29 * 24 * time.Hour

// Constants of RFC 9420.
const (
	versionMLS10 = 1

	wireFormatPublic     = 1
	wireFormatPrivate    = 2
	wireFormatWelcome    = 3
	wireFormatGroupInfo  = 4
	wireFormatKeyPackage = 5

	contentApplication = 1
	contentProposal    = 2
	contentCommit      = 3

	senderMember            = 1
	senderExternal          = 2
	senderNewMemberProposal = 3
	senderNewMemberCommit   = 4

	sourceKeyPackage = 1
	sourceUpdate     = 2
	sourceCommit     = 3

	proposalAdd             = 1
	proposalUpdate          = 2
	proposalRemove          = 3
	proposalPSK             = 4
	proposalReInit          = 5
	proposalExternalInit    = 6
	proposalGroupExtensions = 7

	proposalByValue     = 1
	proposalByReference = 2

	nodeTypeLeaf   = 1
	nodeTypeParent = 2

	pskExternal   = 1
	pskResumption = 2
)

// Extension types of RFC 9420 section 17.3. Types from 0xF000 are for private use.
const (
	ExtensionApplicationID        ExtensionType = 1 // of leaves: whatever the application says
	extensionRatchetTree          ExtensionType = 2
	ExtensionRequiredCapabilities ExtensionType = 3 // of group contexts; see [EncodeRequiredCapabilities]
	extensionExternalPub          ExtensionType = 4
	ExtensionExternalSenders      ExtensionType = 5 // of group contexts; see [EncodeExternalSenders]
)

// Extension types of draft-ietf-mls-extensions. A leaf that holds one, or stands in a group
// whose context does, must announce it.
const (
	ExtensionAppDataDictionary    ExtensionType = 6 // see [EncodeComponents]
	ExtensionSupportedWireFormats ExtensionType = 7 // of leaves; see [EncodeWireFormats]
	ExtensionRequiredWireFormats  ExtensionType = 8 // of group contexts
)
