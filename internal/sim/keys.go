package sim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/sealpost/sealpost/relay"
)

// Keys watches what leaves the members' apps: no key of a ratchet may encrypt two messages, and no
// nonce may seal two envelopes, whatever dies and is copied back. What was encrypted and never left
// hurts nobody. It watches what comes to them, too: however often a message's envelope is sent, a
// log that has lost nothing has it once. All methods are safe for concurrent use.
type Keys struct {
	mu     sync.Mutex
	fresh  []sealed              // were encrypted lately, oldest first
	inside map[[32]byte]sealed   // by the hash of the envelope
	used   map[[32]byte][32]byte // key to ciphertext, of what has left; hashes
	nonces map[[24]byte][32]byte // nonce to envelope, likewise
	places map[[32]byte]uint64   // envelope to where it stands in its log
	twice  int                   // envelopes that stand in two places
	broken map[string]struct{}   // what was wrong
	left   int                   // messages that have left, with every repetition
}

// sealed is a ciphertext and the key that it was made with.
type sealed struct {
	key        [32]byte // hash
	ciphertext []byte
}

// freshOnes bounds how many ciphertexts wait for their envelope: they get it at once.
const freshOnes = 64

// NewKeys returns a watch that has seen nothing.
func NewKeys() *Keys {
	return &Keys{inside: map[[32]byte]sealed{}, used: map[[32]byte][32]byte{}, nonces: map[[24]byte][32]byte{}, places: map[[32]byte]uint64{}, broken: map[string]struct{}{}}
}

// SealedUnder hears of every message that is encrypted.
func (k *Keys) SealedUnder(key, ciphertext []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fresh = append(k.fresh, sealed{sha256.Sum256(key), bytes.Clone(ciphertext)}); len(k.fresh) > freshOnes {
		k.fresh = k.fresh[1:]
	}
}

// EnclosedIn hears of every envelope, and finds out what is in it.
func (k *Keys) EnclosedIn(content, envelope []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range slices.Backward(k.fresh) {
		if bytes.Contains(content, s.ciphertext) {
			k.inside[sha256.Sum256(envelope)] = s
			return
		}
	}
}

// tap hears of every frame between a client and a relay.
func (k *Keys) tap(who string) func(sent bool, frame []byte) {
	return func(_ bool, frame []byte) {
		if len(frame) < 4 {
			return
		}
		f, err := relay.ParseFrame(bytes.Clone(frame[4:])) // behind its length
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *relay.Append:
			k.leaves(who, f.Envelope)
		case *relay.Commit:
			k.leaves(who, f.Envelope)
		case *relay.Deliver:
			k.arrive(f.Entries)
		}
	}
}

// leaves takes note of an envelope that leaves an app. The same one may leave any number of times.
func (k *Keys) leaves(who string, envelope []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	hash := sha256.Sum256(envelope)
	nonce := [24]byte(envelope)
	if old, ok := k.nonces[nonce]; ok && old != hash {
		k.broken[fmt.Sprintf("%s seals two envelopes under one nonce", who)] = struct{}{}
	}
	k.nonces[nonce] = hash
	s, ok := k.inside[hash]
	if !ok {
		return
	}
	k.left++
	ciphertext := sha256.Sum256(s.ciphertext)
	if old, ok := k.used[s.key]; ok && old != ciphertext {
		k.broken[fmt.Sprintf("%s sends two messages under one key", who)] = struct{}{}
	}
	k.used[s.key] = ciphertext
}

// arrive takes note of where messages stand. Invitations are not among them: they are sent again to
// whoever does not answer.
func (k *Keys) arrive(entries []relay.Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, en := range entries {
		hash := sha256.Sum256(en.Envelope)
		if _, ok := k.inside[hash]; !ok {
			continue
		}
		if at, ok := k.places[hash]; ok && at != en.Seq {
			k.twice++
		}
		k.places[hash] = en.Seq
	}
}

// wrong returns what was wrong, and how many messages were looked at. A log that lost something
// has what it was given back at other places.
func (k *Keys) wrong(lost bool) (broken []string, messages int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.twice > 0 && !lost {
		broken = append(broken, "a message stands in a log twice")
	}
	for b := range k.broken {
		broken = append(broken, b)
	}
	slices.Sort(broken)
	return broken, k.left
}
