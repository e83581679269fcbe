package tsmls

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/mls"
)

var (
	seed     = flag.Uint64("seed", 0, "the one random session to run; 0 runs those of -sessions")
	steps    = flag.Int("steps", 15, "commits in each random session")
	sessions = flag.Uint64("sessions", 4, "random sessions to run")
)

// Sessions in which anybody does anything that is allowed, in groups of up to eight.
func TestRandomSessions(t *testing.T) {
	p := startPeer(t)
	first, last := uint64(1), *sessions
	if *seed != 0 {
		first, last = *seed, *seed
	}
	for n := first; n <= last; n++ {
		t.Run(fmt.Sprintf("seed %d", n), func(t *testing.T) {
			r := &random{rng: rand.New(rand.NewPCG(n, 0))}
			suites := []mls.Suite{mls.SuiteX25519AES128Ed25519, mls.SuiteX25519ChaCha20Ed25519, mls.SuiteP256AES128P256}
			f := [][2]string{{"go0", "ts0"}, {"ts0", "go0"}}[r.rng.IntN(2)]
			r.session = newSession(t, p, suites[r.rng.IntN(len(suites))], f[0])
			r.commit(f[0], manner{}, r.add(f[1]), r.add(r.name()))
			for range *steps {
				r.step()
			}
			for _, by := range r.names() {
				r.say(by)
			}
		})
	}
}

// random is a session and what was proposed in its epoch. The first two members, one of each
// library, stay to the end.
type random struct {
	*session
	rng      *rand.Rand
	named    int             // so far
	by       string          // who commits next
	touched  map[string]bool // has proposed an update, or is to be removed
	extended bool
	offered  int // adds
}

// name is that of a member who was not there before.
func (r *random) name() string {
	r.named++
	return fmt.Sprintf("%s%d", []string{"go", "ts"}[r.rng.IntN(2)], r.named)
}

func (r *random) any() string { names := r.names(); return names[r.rng.IntN(len(names))] }

// change is something that somebody may propose beside what waits, or the committer bring
// along.
func (r *random) change(by string) (change, bool) {
	switch r.rng.IntN(6) {
	case 0, 1:
		if len(r.members)+r.offered < 8 {
			r.offered++
			return r.add(r.name()), true
		}
	case 2:
		if who := r.any(); who != r.by && !r.touched[who] && !strings.HasSuffix(who, "0") {
			r.touched[who] = true
			return r.remove(who), true
		}
	case 3:
		if by != r.by && !r.touched[by] {
			r.touched[by] = true
			return update(), true
		}
	case 4:
		if !r.extended && isOurs(r.by) {
			r.extended = true
			return extend(fmt.Sprint("extension ", r.rng.Uint32())), true
		}
	case 5:
		return r.share(), true
	}
	return change{}, false
}

func (r *random) step() {
	r.t.Helper()
	r.by, r.touched, r.extended, r.offered = r.any(), map[string]bool{}, false, 0
	r.sayInOrder(r.any(), r.rng.Perm(1+r.rng.IntN(4))...)
	for range r.rng.IntN(4) {
		by := r.any()
		if c, ok := r.change(by); ok {
			r.t.Logf("%s proposes %s", by, c)
			r.proposeAs(by, manner{public: r.rng.IntN(3) == 0}, c)
		}
	}
	how := manner{path: r.rng.IntN(2) == 0, treeInside: r.rng.IntN(2) == 0, public: r.rng.IntN(3) == 0}
	var values []change
	for range r.rng.IntN(3) {
		if c, ok := r.change(r.by); ok {
			values = append(values, c)
		}
	}
	r.t.Logf("%s commits %v, %+v", r.by, values, how)
	r.commit(r.by, how, values...)
}

func (c change) String() string {
	switch {
	case c.add != nil:
		return "an add"
	case c.remove != nil:
		return fmt.Sprintf("the removal of leaf %d", *c.remove)
	case c.extensions != nil:
		return "extensions"
	case c.psk != nil:
		return "a pre-shared key"
	}
	return "an update"
}
