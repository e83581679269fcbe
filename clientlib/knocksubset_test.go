package clientlib

import (
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/keyserver"
)

// TestQ03_EverySubset: commits shut out each subset of the others that leaves one who can follow,
// and a second one comes before the first is repaired. All end in one group, nobody has lost what
// it had to say, and each who was shut out was replaced once.
func TestQ03_EverySubset(t *testing.T) {
	t.Parallel()
	s := badCommitTest(t)
	others := []*user{s.register("alice"), s.register("bob"), s.register("carol")}
	mal := s.register("mallory")
	var members []keyserver.AccountID
	for _, u := range append(others[1:], mal) {
		members = append(members, need[keyserver.AccountID](t)(others[0].Find(others[0].ctx(), u.name)))
	}
	was := map[*user]int{}
	for shut := 1; shut < 1<<len(others)-1; shut++ {
		id := need[ConversationID](t)(others[0].CreateGroup(others[0].ctx(), fmt.Sprint(shut), members...))
		for _, u := range append(others[1:], mal) {
			u.until("the group", func() bool { g, _ := u.hasGroup(id); return g })
		}
		for i, u := range others {
			u.say(id, fmt.Sprint("before, ", i))
			u.quiet()
		}
		d := mal.turn(id)
		for i, u := range others {
			if shut&(1<<i) == 0 {
				u.initiate()
			}
		}
		d.badCommit()
		d.badCommit()
		for i, u := range others {
			u.say(id, fmt.Sprint("after, ", i))
		}
		for i, u := range others {
			if shut&(1<<i) != 0 {
				was[u]++
			}
		}
		for i, u := range others {
			for j := range others {
				if j != i && shut&(1<<i) == 0 {
					u.awaitText(fmt.Sprint("before, ", j), fmt.Sprint("after, ", j))
				}
			}
			u.awaitReplaced(u, was[u])
			u.quiet()
		}
		together(id, others...)
		for i, u := range others {
			u.say(id, fmt.Sprint(shut, " at last, ", i))
		}
		for i, u := range others {
			for j := range others {
				if j != i {
					u.awaitText(fmt.Sprint(shut, " at last, ", j))
				}
			}
		}
		mal.open()
	}
	for _, u := range others {
		own := 0
		for _, ev := range u.events {
			if ev.Kind == EventReplaced && ev.Account == u.id {
				own++
			}
		}
		if own != was[u] {
			t.Errorf("%s was replaced %d times, and shut out %d times", u.name, own, was[u])
		}
	}
}

// hasGroup reports whether the user is in a conversation's group by now.
func (u *user) hasGroup(id ConversationID) (ok bool, err error) {
	err = u.eng.call(u.ctx(), func() error { ok = u.eng.primary(id) != nil; return nil })
	return ok, err
}
