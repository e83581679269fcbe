package demo

import (
	"testing"

	"github.com/sealpost/sealpost/keyserver"
)

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
