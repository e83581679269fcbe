package clientlib

import (
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// testDevice is a device of an account of its own.
type testDevice struct {
	recovery, key ed25519.PrivateKey
	chain         [][]byte
	account       keyserver.AccountID
}

func newTestDevice(t testing.TB) *testDevice {
	t.Helper()
	d := &testDevice{recovery: newSecret().signer(), key: newSecret().signer()}
	d.chain = [][]byte{need[[]byte](t)(keyserver.NewAccount(d.recovery, d.key, suites...))}
	d.account = need[*keyserver.Account](t)(keyserver.VerifyChain(d.chain)).ID
	return d
}

// leaf makes a signature key and the credential by which the device vouches for it.
func (d *testDevice) leaf(t testing.TB) (mls.SignaturePrivateKey, mls.Credential) {
	t.Helper()
	key := need[mls.SignaturePrivateKey](t)(bestSuite.GenerateSignatureKey())
	identity := need[[]byte](t)(keyserver.SignCredential(d.key, d.account, key.Public(), uint16(bestSuite), time.Now().Add(credentialOf)))
	return key, mls.Credential{Type: mls.CredentialBasic, Identity: identity}
}

// keyPackage makes a KeyPackage as newPackage does; change, if set, breaks it.
func (d *testDevice) keyPackage(t testing.TB, change func(*mls.KeyPackageConfig)) (*mls.KeyPackage, *mls.KeyPackageSecrets) {
	t.Helper()
	ct := contact{
		Key: need[[]byte](t)(contactPublicKey(newSecret())), Relay: relay.Address{Host: "127.0.0.1:1", Key: relay.RelayKey{1}}.String(), Inbox: relay.QueueID{1}, RequestWriter: newSecret(),
	}
	key, cred := d.leaf(t)
	now := time.Now()
	cfg := mls.KeyPackageConfig{
		Suite: bestSuite, Credential: cred, SignatureKey: key, NotBefore: now.Add(-packageSkew), NotAfter: now.Add(packageLife),
		Extensions:          []mls.Extension{{Type: extensionContact, Data: need[[]byte](t)(wire.Marshal(&ct))}},
		SupportedExtensions: supportedExtensions,
	}
	if change != nil {
		change(&cfg)
	}
	kp, secrets, err := mls.NewKeyPackage(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return kp, secrets
}

// mlsGroup makes a group with this device alone in it.
func (d *testDevice) mlsGroup(t testing.TB, p *policy) *mls.Group {
	t.Helper()
	key, cred := d.leaf(t)
	return need[*mls.Group](t)(mls.NewGroup(mls.GroupConfig{
		Suite: bestSuite, GroupID: newSecret(), Credential: cred, SignatureKey: key,
		Extensions:          []mls.Extension{{Type: extensionPolicy, Data: need[[]byte](t)(wire.Marshal(p))}},
		SupportedExtensions: supportedExtensions, Application: application, Now: time.Now(),
	}))
}

// testEpochs returns the keys of two epochs in a row of one group, for the same queue.
func testEpochs(t testing.TB) (now, next *epochKeys) {
	t.Helper()
	queue := relay.QueueID{7}
	g := newTestDevice(t).mlsGroup(t, &policy{Kind: Group, Queue: queue})
	staged := need[*mls.StagedCommit](t)(g.Commit(mls.CommitParams{Now: time.Now()}))
	return need[*epochKeys](t)(newEpochKeys(g, queue)), need[*epochKeys](t)(newEpochKeys(staged.Next(), queue))
}

func TestEnvelopeSizes(t *testing.T) {
	t.Parallel()
	keys, _ := testEpochs(t)
	sizes := map[int]bool{}
	for size := minEnvelope; size <= maxEnvelope; size *= 2 {
		for _, n := range []int{size/2 - envelopeExtra + 1, size - envelopeExtra} {
			n = max(n, 0)
			content := bytes.Repeat([]byte{0xa5}, n)
			sealed := need[[]byte](t)(keys.seal(relay.KindMessage, content))
			if len(sealed) != size || !relay.ValidEnvelopeSize(len(sealed)) {
				t.Errorf("%d bytes make an envelope of %d, want %d", n, len(sealed), size)
			}
			sizes[len(sealed)] = true
			if got, err := keys.open(relay.KindMessage, sealed); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes come back as %d: %v", n, len(got), err)
			}
		}
	}
	if len(sizes) != 11 {
		t.Errorf("%d sizes of envelopes, want the 11 from 512 B to 512 KiB", len(sizes))
	}
	if _, err := keys.seal(relay.KindMessage, make([]byte, maxEnvelope-envelopeExtra+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte too many: %v, want ErrTooLarge", err)
	}
	for _, n := range []int{0, 1, 256, 511, 513, 768, 1 << 20} {
		if _, err := keys.open(relay.KindMessage, make([]byte, n)); !errors.Is(err, errBadEnvelope) {
			t.Errorf("envelope of %d bytes: %v, want errBadEnvelope", n, err)
		}
	}
}

// TestEnvelopeOpensOnlyWhereItBelongs: the relay cannot show an envelope under another
// operation, in another queue, or to another epoch.
func TestEnvelopeOpensOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	keys, next := testEpochs(t)
	kinds := []relay.Kind{relay.KindMessage, relay.KindCommit, relay.KindKnock}
	for _, made := range kinds {
		sealed := need[[]byte](t)(keys.seal(made, []byte("content")))
		for _, shown := range kinds {
			_, err := keys.open(shown, sealed)
			if made == shown && err != nil || made != shown && !errors.Is(err, errBadEnvelope) {
				t.Errorf("kind %d shown as %d: %v", made, shown, err)
			}
		}
		if _, err := next.open(made, sealed); !errors.Is(err, errOtherEpoch) {
			t.Errorf("kind %d under the next epoch's keys: %v, want errOtherEpoch", made, err)
		}
		moved := *keys
		moved.queue[0] ^= 1
		if _, err := moved.open(made, sealed); !errors.Is(err, errBadEnvelope) {
			t.Errorf("kind %d in another queue: %v, want errBadEnvelope", made, err)
		}
	}
	g := newTestDevice(t).mlsGroup(t, &policy{Kind: Group})
	one, other := need[*epochKeys](t)(newEpochKeys(g, relay.QueueID{1})), need[*epochKeys](t)(newEpochKeys(g, relay.QueueID{2}))
	if bytes.Equal(one.envelope, other.envelope) || bytes.Equal(one.hint, other.hint) || bytes.Equal(one.writer, other.writer) {
		t.Error("two queues share a key of an epoch")
	}
	if bytes.Equal(one.envelope, one.hint) || bytes.Equal(one.envelope, one.writer) || bytes.Equal(one.hint, one.writer) {
		t.Error("two purposes share a key of an epoch")
	}
}

func TestEnvelopeEveryBitFlip(t *testing.T) {
	t.Parallel()
	keys, _ := testEpochs(t)
	sealed := need[[]byte](t)(keys.seal(relay.KindMessage, []byte("content")))
	for i := range sealed {
		want := errBadEnvelope
		if i < nonceSize+hintSize {
			want = errOtherEpoch // nonce and hint no longer belong together
		}
		for bit := range 8 {
			sealed[i] ^= 1 << bit
			if _, err := keys.open(relay.KindMessage, sealed); !errors.Is(err, want) {
				t.Fatalf("bit %d of byte %d flipped: %v, want %v", bit, i, err, want)
			}
			sealed[i] ^= 1 << bit
		}
	}
}

// TestEnvelopePadding: what a member seals itself, past our own seal.
func TestEnvelopePadding(t *testing.T) {
	t.Parallel()
	keys, _ := testEpochs(t)
	aead := need[cipher.AEAD](t)(chacha20poly1305.NewX(keys.envelope))
	sealRaw := func(change func(plain []byte)) []byte {
		plain := make([]byte, minEnvelope-envelopeExtra+lengthSize)
		binary.BigEndian.PutUint32(plain, 7)
		copy(plain[lengthSize:], "content")
		change(plain)
		nonce := []byte(newSecret()[:nonceSize])
		out := append(bytes.Clone(nonce), keys.hintFor(nonce)...)
		return aead.Seal(out, nonce, plain, keys.aad(relay.KindMessage))
	}
	if got, err := keys.open(relay.KindMessage, sealRaw(func([]byte) {})); err != nil || string(got) != "content" {
		t.Fatalf("an envelope made by hand: %q, %v", got, err)
	}
	for name, change := range map[string]func([]byte){
		"first byte of the padding":     func(p []byte) { p[lengthSize+7] = 1 },
		"last byte of the padding":      func(p []byte) { p[len(p)-1] = 0x80 },
		"length shorter than content":   func(p []byte) { binary.BigEndian.PutUint32(p, 6) },
		"length beyond the envelope":    func(p []byte) { binary.BigEndian.PutUint32(p, uint32(len(p)-lengthSize+1)) },
		"length of four gigabytes":      func(p []byte) { binary.BigEndian.PutUint32(p, 1<<32-1) },
		"length beyond a signed number": func(p []byte) { binary.BigEndian.PutUint32(p, 1<<31) },
	} {
		if _, err := keys.open(relay.KindMessage, sealRaw(change)); !errors.Is(err, errBadEnvelope) {
			t.Errorf("%s: %v, want errBadEnvelope", name, err)
		}
	}
}

// TestEnvelopeHintsAreNew: two envelopes of one epoch have nothing in common that would tell
// the relay that they belong together.
func TestEnvelopeHintsAreNew(t *testing.T) {
	t.Parallel()
	keys, _ := testEpochs(t)
	const block = 8
	seen := map[string]int{}
	for n := range 200 {
		sealed := need[[]byte](t)(keys.seal(relay.KindMessage, []byte("the same content")))
		for i := 0; i < len(sealed); i += block {
			part := string(sealed[i : i+block])
			if before, ok := seen[part]; ok {
				t.Fatalf("envelopes %d and %d share the bytes %x", before, n, part)
			}
			seen[part] = n
		}
	}
}
