package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random histories")

// TestRandom plays random histories as the working group's deep_random script does: in each
// commit some members are added, some removed and some updated, by reference to any member's
// proposals and by value, and now and then somebody comes in from outside, new or in their own
// place.
func TestRandom(t *testing.T) {
	t.Logf("again with -seed %d", *seed)
	eachWay(t, func(s *script) {
		r := &history{script: s, Rand: rand.New(rand.NewPCG(*seed, uint64(s.suite)))}
		r.create(r.fresh(), r.fresh(), r.fresh())
		for range 6 {
			if r.IntN(4) == 0 {
				r.comeIn()
			} else {
				r.change()
			}
		}
		s.say(s.in[0], "at the end")
	})
}

type history struct {
	*script
	*rand.Rand
	names int
}

func (r *history) fresh() string {
	r.names++
	return fmt.Sprintf("member %d", r.names)
}

// comeIn has a new member or a present one join from outside.
func (r *history) comeIn() {
	name, prior := r.fresh(), r.IntN(2) == 0
	if prior {
		name = r.in[r.IntN(len(r.in)-1)+1]
	}
	r.externalJoin(join{name: name, by: r.in[0], removePrior: prior, externalTree: r.IntN(2) == 0})
}

// change is one commit: the members are shuffled, and come in turn to be the committer, to be
// removed, to be updated and to propose.
func (r *history) change() {
	order := append([]string(nil), r.in...)
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	p := step{by: order[0], forcePath: r.IntN(2) == 0, externalTree: r.IntN(2) == 0}
	others := order[1:]
	p.removed = others[:min(r.IntN(2), len(others))]
	updated := others[len(p.removed):]
	updated = updated[:r.IntN(len(updated)+1)]
	for _, name := range updated {
		p.refs = append(p.refs, r.proposeUpdate(name))
	}
	for _, name := range p.removed {
		if from := order[r.IntN(len(order))]; r.IntN(2) == 0 {
			p.refs = append(p.refs, r.proposeRemove(from, name))
		} else {
			p.values = append(p.values, remove(name))
		}
	}
	for range r.IntN(3) {
		name := r.fresh()
		p.joiners = append(p.joiners, name)
		if kp, from := r.keyPackage(name), order[r.IntN(len(order))]; r.IntN(2) == 0 {
			p.refs = append(p.refs, r.proposeAdd(from, kp))
		} else {
			p.values = append(p.values, add(kp))
		}
	}
	r.commit(p)
}
