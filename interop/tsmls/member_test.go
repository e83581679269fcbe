package tsmls

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// member is one member of a group, on one library or the other.
type member interface {
	// keyPackage makes a KeyPackage, with which join enters.
	keyPackage() ([]byte, error)
	found(group []byte, extensions []mls.Extension) error
	// join enters a group, one that grew out of the parent's if there is one.
	join(welcome, tree []byte, parent member) error
	// grow founds the group that takes the place of the parent's, or branches off it.
	grow(parent member, usage string, begin mls.ReInit, packages [][]byte) (committed, error)
	propose(what change, how manner) ([]byte, error)
	// commit takes up the proposals that wait and those asked for. It counts with merge.
	commit(what []change, how manner) (committed, error)
	merge() error
	process(message []byte) (received, error)
	encrypt(data, aad []byte) ([]byte, error)
	view() (view, error)
	// know makes a pre-shared key known to this member alone.
	know(id mls.PSKID, secret []byte) error
}

// change is a proposal: one of its fields.
type change struct {
	add        []byte // a KeyPackage
	remove     *mls.LeafIndex
	update     bool
	extensions *[]mls.Extension
	psk        *mls.PSKID
	reInit     *mls.ReInit
}

// manner is how a handshake message is made.
type manner struct {
	path       bool // a commit that renews the committer's keys where nothing asks for it
	treeInside bool // the ratchet tree stands in the Welcome
	public     bool // a PublicMessage
	aad        []byte
}

// The two ways in which groups grow out of others.
const (
	successor = "reinit"
	branch    = "branch"
)

// committed is a commit and what it sends to those it adds.
type committed struct {
	message  []byte
	welcome  []byte            // for all who are added, or
	welcomes map[string][]byte // for each, by KeyPackageRef
}

// received is what a member makes of a message.
type received struct {
	kind      string // application, proposal or commit
	data, aad []byte
	removed   bool // by this commit
}

// view is what all members of an epoch see alike, but for Leaf.
type view struct {
	Epoch         uint64
	Leaf          mls.LeafIndex
	Authenticator octets
	Exported      octets
	TreeHash      octets
	Tree          octets
	Extensions    []extension
}

// What view exports from the epoch.
const (
	exportLabel  = "interop"
	exportLength = 80 // more than one block of each hash
)

var exportContext = []byte("the same for all")

type extension struct {
	Type mls.ExtensionType `json:"type"`
	Data octets            `json:"data"`
}

func extensions(es []mls.Extension) []extension {
	out := []extension{} // null is not a list
	for _, e := range es {
		out = append(out, extension{e.Type, e.Data})
	}
	return out
}

// octets are hexadecimal in requests and answers.
type octets []byte

func (o octets) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(o)) }

func (o *octets) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	var err error
	*o, err = hex.DecodeString(s)
	return err
}

// understood is an extension type that all members understand.
const understood mls.ExtensionType = 0xf0a1

// pastEpochs is how long ago an epoch may be whose messages come late, in epochs. It is less
// than what ts-mls keeps.
const pastEpochs = 2

// lifetime is that of all KeyPackages.
func lifetime(now time.Time) (notBefore, notAfter time.Time) {
	return now.Add(-time.Hour), now.Add(24 * time.Hour)
}

// identity is what a member is made with. A key of its own is generated where none is given.
type identity struct {
	name       string
	credential mls.Credential
	key        *mls.SignaturePrivateKey
}

func basic(name string) identity {
	return identity{name: name, credential: mls.Credential{Type: mls.CredentialBasic, Identity: []byte(name)}}
}
