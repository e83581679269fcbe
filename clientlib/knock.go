package clientlib

import (
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/edkey"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// A member that cannot follow knocks: it posts a fresh KeyPackage, sealed for whoever was in the
// last epoch that it knew, and any member puts that in the place of its leaf (DESIGN section 4).

const (
	knockVersion = 1
	markVersion  = 1

	knockReplace uint8 = 1 // asks to be replaced; the number is the wire's
)

var errBadKnock = errors.New("clientlib: knock is damaged, old or another's")

// mark is the leaf extension of a KeyPackage that was made for one knock. The package's own key
// signs it, and the device that key, so a knock needs no other signature: one by the leaf that is
// to go would be of no use for a device whose store was copied back, and has an earlier one.
//
// It binds the package to its queue, to the reader that knocks and to the order of the device's
// knocks. So it stands in no other group, and not a second time in this one. Since it is in the
// tree, all that decides whether a commit may replace a leaf is the same for all members.
type mark struct {
	Queue  relay.QueueID
	Reader relay.PublicKey             // the device's reader, which knocks
	Proof  [ed25519.SignatureSize]byte // by that reader, as in joined: nobody names another's
	Last   relay.Position              // the newest that the device has processed
	Number uint64                      // milliseconds since 1970, above those of all its knocks before
}

func (m *mark) MarshalWire(w *wire.Writer) {
	w.Uint8(markVersion)
	w.Raw(m.Queue[:])
	w.Raw(m.Reader[:])
	w.Raw(m.Proof[:])
	m.Last.MarshalWire(w)
	w.Uint64(m.Number)
}

func (m *mark) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != markVersion {
		r.Fail(errBadKnock)
	}
	r.Copy(m.Queue[:])
	r.Copy(m.Reader[:])
	r.Copy(m.Proof[:])
	m.Last.UnmarshalWire(r)
	m.Number = r.Uint64()
}

// markOf finds the mark among a leaf's extensions; nil if there is none.
func markOf(extensions []mls.Extension) *mark {
	for _, x := range extensions {
		if x.Type != extensionMark {
			continue
		}
		m := new(mark)
		if wire.Unmarshal(x.Data, m) != nil {
			return nil
		}
		return m
	}
	return nil
}

// replaces reports whether a leaf may take the place of another: it is the same device's, was
// made for a knock in this queue, and for a later one than the leaf that it replaces.
func replaces(queue relay.QueueID, now, old mls.Member) bool {
	a, err := parseCredential(now.Credential)
	if err != nil {
		return false
	}
	b, err := parseCredential(old.Credential)
	if err != nil || a.Account != b.Account || a.Device != b.Device {
		return false
	}
	m := markOf(now.Extensions)
	if m == nil || m.Queue != queue || !edkey.Verify(m.Reader[:], joinedProof(queue, a.Device), m.Proof[:]) {
		return false
	}
	before := markOf(old.Extensions)
	return before == nil || before.Number < m.Number
}

// replacement is a leaf and the one in whose place it comes.
type replacement struct{ old, now mls.Member }

// replacements takes those out of what a commit adds and removes which answer knocks.
func replacements(queue relay.QueueID, adds, removes []mls.Member) (pairs []replacement, otherAdds, otherRemoves []mls.Member) {
	taken := map[int]bool{}
	for _, old := range removes {
		found := false
		for i, now := range adds {
			if found = !taken[i] && replaces(queue, now, old); found {
				taken[i] = true
				pairs = append(pairs, replacement{old, now})
				break
			}
		}
		if !found {
			otherRemoves = append(otherRemoves, old)
		}
	}
	for i, m := range adds {
		if !taken[i] {
			otherAdds = append(otherAdds, m)
		}
	}
	return pairs, otherAdds, otherRemoves
}

// knock is what a KNOCK entry of class 0 encloses:
//
//	struct { uint8 version = 1; uint8 kind = 1; opaque key_package<V>; }
type knock struct{ Package []byte }

func (k *knock) MarshalWire(w *wire.Writer) {
	w.Uint8(knockVersion)
	w.Uint8(knockReplace)
	w.Bytes(k.Package)
}

func (k *knock) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != knockVersion || r.Uint8() != knockReplace {
		r.Fail(errBadKnock)
	}
	k.Package = r.Bytes()
}

// checkKnock says what a knock asks for, nil if it does not count: it does by the reader of a leaf
// that stands, which was not replaced for this knock or a later one. A knock whose log is another
// than this device's is told as a fork. An error is the store's.
func (e *engine) checkKnock(tx *state.Tx, g *group, en *relayclient.Entry, content []byte) (*change, error) {
	k := new(knock)
	if wire.Unmarshal(content, k) != nil {
		return nil, nil
	}
	kp, err := mls.ParseKeyPackage(k.Package)
	if err != nil || kp.Suite() != g.mls.Suite() || kp.Verify(time.Now(), validator{}) != nil {
		return nil, nil
	}
	cred, err := parseCredential(kp.Credential())
	if err != nil {
		return nil, nil
	}
	now := mls.Member{Credential: kp.Credential()}
	if data, ok := kp.LeafExtension(extensionMark); ok {
		now.Extensions = []mls.Extension{{Type: extensionMark, Data: data}}
	}
	old, ok := standing(g, cred)
	if !ok || !replaces(g.rec.Queue, now, old) {
		return nil, nil
	}
	m := markOf(now.Extensions)
	if en.Reader == nil || m.Reader != *en.Reader || m.Last.Incarnation == en.Position.Incarnation && m.Last.Seq >= en.Position.Seq {
		return nil, nil
	}
	keys, err := getRecord[leafKeys](tx, bucketReader, leafKey(g.id, old.Leaf))
	if err != nil {
		return nil, err
	}
	if keys != nil && keys.Claimed && keys.Reader != m.Reader {
		return nil, nil // the device has spoken since, under another: this is a knock of before
	}
	from := Event{Conversation: g.rec.Conversation, Account: cred.Account, Device: cred.Device}
	if err := e.checkSeen(tx, g, old.Leaf, en, m.Last, from); err != nil {
		return nil, err
	}
	return &change{
		Group: g.id, Kind: changeReplace, Accounts: []keyserver.AccountID{cred.Account}, Device: cred.Device,
		Package: k.Package, Number: m.Number,
	}, nil
}

// standing finds the leaf of a device.
func standing(g *group, c *keyserver.Credential) (mls.Member, bool) {
	for _, m := range g.mls.Members() {
		if have, err := parseCredential(m.Credential); err == nil && have.Account == c.Account && have.Device == c.Device {
			return m, true
		}
	}
	return mls.Member{}, false
}
