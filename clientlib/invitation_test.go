package clientlib

import (
	"bytes"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// testInvitation is a filled-in invitation with the given Welcome.
func testInvitation(welcome []byte) *invitation {
	return &invitation{
		Relay: "relay", KeyServer: "keys", Queue: relay.QueueID{1}, Position: relay.Position{Seq: 9}, Ticket: newSecret(),
		Package: newSecret(), Welcome: welcome, Index: [32]byte{2}, IndexKey: newSecret(),
	}
}

// inboxOf returns a contact seed and its public key.
func inboxOf(t testing.TB) (seed secret, public []byte) {
	t.Helper()
	seed = newSecret()
	return seed, need[[]byte](t)(contactPublicKey(seed))
}

// welcomes has a group add n devices in one commit, and returns the Welcomes.
func welcomes(t testing.TB, p *policy, n int) []mls.Welcome {
	t.Helper()
	d := newTestDevice(t)
	params := mls.CommitParams{Now: time.Now()}
	for range n {
		kp, _ := newTestDevice(t).keyPackage(t, nil)
		params.Add = append(params.Add, kp)
	}
	return need[*mls.StagedCommit](t)(d.mlsGroup(t, p).Commit(params)).Welcomes()
}

// TestInvitationConstantSize: the relay that keeps an inbox cannot tell by the size whether
// its owner was invited to a conversation of two or to a large group with a long name.
func TestInvitationConstantSize(t *testing.T) {
	t.Parallel()
	seed, public := inboxOf(t)
	inbox := relay.QueueID{3}
	uri := strings.Repeat("u", maxURI)
	large := &policy{Kind: Group, Relay: uri, KeyServer: uri, Name: uri[:maxName], AnyoneAdd: true, Admins: make([]keyserver.AccountID, maxAdmins), Keeper: new(keeper)}
	for name, c := range map[string]struct {
		p   *policy
		add int
	}{
		"two":                       {&policy{Kind: Direct}, 1},
		"forty":                     {&policy{Kind: Group, Name: "forty", AnyoneAdd: true}, 40},
		"all fields at their limit": {large, 1},
	} {
		for i, w := range welcomes(t, c.p, c.add) {
			v := testInvitation(w.Message)
			v.Relay, v.KeyServer, v.Queue = c.p.Relay, c.p.KeyServer, c.p.Queue
			sealed := need[[]byte](t)(v.seal(public, inbox))
			if len(sealed) != invitationSize {
				t.Errorf("%s, joiner %d: %d bytes, want %d", name, i, len(sealed), invitationSize)
			}
			if got, err := openInvitation(seed, inbox, sealed); err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%s, joiner %d: opens to another invitation: %v", name, i, err)
			}
		}
	}
}

// TestInvitationTooLargeForItsSize grows to the next power of two instead of failing.
func TestInvitationTooLargeForItsSize(t *testing.T) {
	t.Parallel()
	seed, public := inboxOf(t)
	v := testInvitation(make([]byte, invitationSize))
	sealed := need[[]byte](t)(v.seal(public, relay.QueueID{}))
	if len(sealed) != 2*invitationSize {
		t.Errorf("%d bytes, want %d", len(sealed), 2*invitationSize)
	}
	if _, err := openInvitation(seed, relay.QueueID{}, sealed); err != nil {
		t.Error(err)
	}
}

func TestInvitationForAnother(t *testing.T) {
	t.Parallel()
	seed, public := inboxOf(t)
	inbox, v := relay.QueueID{3}, testInvitation([]byte("welcome"))
	sealed := need[[]byte](t)(v.seal(public, inbox))
	if _, err := openInvitation(seed, relay.QueueID{4}, sealed); !errors.Is(err, errBadInvitation) {
		t.Errorf("in another inbox: %v, want errBadInvitation", err)
	}
	if _, err := openInvitation(newSecret(), inbox, sealed); !errors.Is(err, errBadInvitation) {
		t.Errorf("with another contact key: %v, want errBadInvitation", err)
	}
	again := need[[]byte](t)(v.seal(public, inbox))
	if bytes.Equal(again[:32], sealed[:32]) || bytes.Equal(again[invitationSize-16:], sealed[invitationSize-16:]) {
		t.Error("an invitation that is repeated can be recognised")
	}
	for name, key := range map[string][]byte{"empty": nil, "short": public[:len(public)-1], "long": append(bytes.Clone(public), 0)} {
		if _, err := v.seal(key, inbox); !errors.Is(err, ErrBadCard) {
			t.Errorf("%s contact key: %v, want ErrBadCard", name, err)
		}
	}
}

// TestInvitationTampered flips a bit of every byte of the encapsulated key, the beginning and
// the tag, and of every 61st byte between, which is all one stream cipher.
func TestInvitationTampered(t *testing.T) {
	t.Parallel()
	seed, public := inboxOf(t)
	inbox := relay.QueueID{3}
	sealed := need[[]byte](t)(testInvitation([]byte("welcome")).seal(public, inbox))
	const head, tail = invitationExtra + 64, 32
	for i := range sealed {
		if i > head && i < len(sealed)-tail && i%61 != 0 {
			continue
		}
		sealed[i] ^= 1 << (i % 8)
		if _, err := openInvitation(seed, inbox, sealed); !errors.Is(err, errBadInvitation) {
			t.Fatalf("bit %d of byte %d flipped: %v, want errBadInvitation", i%8, i, err)
		}
		sealed[i] ^= 1 << (i % 8)
	}
	for _, n := range []int{0, 1, 1119, 1120, invitationExtra, len(sealed) - 1} {
		if _, err := openInvitation(seed, inbox, sealed[:n]); !errors.Is(err, errBadInvitation) {
			t.Errorf("cut to %d bytes: %v, want errBadInvitation", n, err)
		}
	}
}

// TestInvitationFromAnybody: whoever has a KeyPackage can seal what it likes to its inbox.
func TestInvitationFromAnybody(t *testing.T) {
	t.Parallel()
	seed, public := inboxOf(t)
	inbox := relay.QueueID{3}
	pk := need[hpke.PublicKey](t)(hpke.MLKEM768X25519().NewPublicKey(public))
	good := need[[]byte](t)(wire.Marshal(testInvitation([]byte("welcome"))))
	shortTicket := testInvitation(nil)
	shortTicket.Ticket = shortTicket.Ticket[1:]
	for name, c := range map[string]struct {
		content []byte
		change  func(plain []byte)
		want    error
	}{
		"good":                    {good, func([]byte) {}, nil},
		"first byte of padding":   {good, func(p []byte) { p[lengthSize+len(good)] = 1 }, errBadInvitation},
		"last byte of padding":    {good, func(p []byte) { p[len(p)-1] = 1 }, errBadInvitation},
		"length beyond the end":   {good, func(p []byte) { binary.BigEndian.PutUint32(p, 1<<32-1) }, errBadInvitation},
		"nothing":                 {nil, func([]byte) {}, errBadInvitation},
		"another version":         {good, func(p []byte) { p[lengthSize] = 2 }, errBadInvitation},
		"bytes after the message": {append(bytes.Clone(good), 0), func([]byte) {}, errBadInvitation},
		"cut":                     {good[:len(good)-1], func([]byte) {}, errBadInvitation},
		"ticket of 31 bytes":      {need[[]byte](t)(wire.Marshal(shortTicket)), func([]byte) {}, errBadInvitation},
	} {
		plain := make([]byte, invitationSize-invitationExtra)
		binary.BigEndian.PutUint32(plain, uint32(len(c.content)))
		copy(plain[lengthSize:], c.content)
		c.change(plain)
		sealed := need[[]byte](t)(hpke.Seal(pk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), invitationInfo(inbox), plain))
		if _, err := openInvitation(seed, inbox, sealed); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, n := range map[string]int{"without a length": 0, "half a length": 3} {
		sealed := need[[]byte](t)(hpke.Seal(pk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), invitationInfo(inbox), make([]byte, n)))
		if _, err := openInvitation(seed, inbox, sealed); !errors.Is(err, errBadInvitation) {
			t.Errorf("%s: %v, want errBadInvitation", name, err)
		}
	}
}
