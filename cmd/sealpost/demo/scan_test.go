package demo

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/keyserver"
)

// A scan that misses a form proves nothing: each way in which a program may have written a
// text is found, wherever in a larger text it begins.
func TestNeedleIsFoundInEveryForm(t *testing.T) {
	text := "plaintext-0011223344ff"
	n := newNeedle("plaintext", []byte(text))
	for before := range 7 {
		around := strings.Repeat("a", before) + text + "zz"
		for name, hay := range map[string]string{
			"raw": around, "hex": hex.EncodeToString([]byte(around)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(around))),
			"base64": base64.StdEncoding.EncodeToString([]byte(around)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(around)),
		} {
			if !n.in([]byte(hay)) {
				t.Errorf("%s behind %d bytes is not found", name, before)
			}
		}
	}
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(random.Uint64())
	}
	if n.in(noise) {
		t.Error("found in noise")
	}
}

func TestMembershipIsReplayed(t *testing.T) {
	alice, bob := keyserver.AccountID{1}, keyserver.AccountID{2}
	r := &run{people: []*person{{account: alice, changes: []membership{{9, bob, false}, {2, bob, true}, {14, bob, true}}}}}
	for seq, want := range map[uint64]bool{1: false, 2: false, 3: true, 8: true, 9: true, 10: false, 14: false, 15: true} {
		members := r.membersAt(seq)
		if members[bob] != want || !members[alice] {
			t.Errorf("at %d: bob %v, alice %v", seq, members[bob], members[alice])
		}
	}
}

// The numbers of the rounds make up the whole, less the last words.
func TestShares(t *testing.T) {
	for _, messages := range []int{3, 10, 300, 1001} {
		r := &run{Config: Config{Messages: messages}}
		if got := r.share(rounds); got != messages-3 || r.share(0) != 0 {
			t.Errorf("of %d messages %d are written in the rounds", messages, got)
		}
	}
}
