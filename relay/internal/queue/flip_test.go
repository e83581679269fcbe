package queue

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The plain test is short; the long one is ten times
//
//	go test -run TestR28_AnyBitOfARelay ./relay/internal/queue -flips 1000 -flipseed 1
//
// with a seed each, for Badger keeps some memory of each database that it found damaged.
var (
	flips    = flag.Int("flips", 300, "R28: in how many places a bit is flipped")
	flipSeed = flag.Uint64("flipseed", 28, "R28: which places")
)

// TestR28_AnyBitOfARelay: one bit flips anywhere in the written parts of a relay's files, as it was
// killed or as it was stopped. It refuses to start, or begins a new incarnation that tells of a
// loss, or refuses what it cannot read, or nothing is missing: no entry is silently wrong or gone,
// no number is given twice, and nothing that was acked by all comes back.
func TestR28_AnyBitOfARelay(t *testing.T) {
	places := *flips
	if testing.Short() {
		places = min(places, 24) // beside the race detector: some of each kind of file
	}
	s := tell(t, 28)
	for range 3 {
		s.chapter()
		s.ackMost()
	}
	s.chapter()
	images := make([]image, 0, 2)
	snap := func() {
		m, err := s.take("", "")
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, m)
	}
	snap() // as SIGKILL leaves it: all in the write-ahead log
	s.sound()
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	snap() // all in tables

	random := rand.New(rand.NewPCG(28, *flipSeed))
	outcomes := make(map[string]map[string]int)
	for n := range places {
		m := maps.Clone(images[n%len(images)])
		name := s.place(random, m, n/len(images))
		f := m[name]
		f.data = slices.Clone(f.data)
		at, bit := random.IntN(len(f.data)), random.IntN(8)
		f.data[at] ^= 1 << bit
		m[name] = f
		how, err := m.judge(t, s.cfg, s.promises, false)
		if how == keptBroken {
			t.Errorf("bit %d of byte %d of %s, %d of %d: %v", bit, at, name, n, places, err)
		}
		kind := fileKind(name)
		if outcomes[kind] == nil {
			outcomes[kind] = make(map[string]int)
		}
		outcomes[kind][how]++
	}
	t.Log(table(outcomes))
	if outcomes[".mem"][keptTold] == 0 || outcomes[".sst"][keptRefused] == 0 {
		t.Error("no flip in the write-ahead log or in a table was noticed: the test shows nothing")
	}
}

// place picks a file to flip a bit in: all kinds in turn, so that the small ones are hit as well.
func (s *story) place(random *rand.Rand, m image, turn int) string {
	byKind := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(m[name].data) > 0 {
			byKind[fileKind(name)] = append(byKind[fileKind(name)], name)
		}
	}
	kinds := slices.Sorted(maps.Keys(byKind))
	names := byKind[kinds[turn%len(kinds)]]
	return names[random.IntN(len(names))]
}

func table(outcomes map[string]map[string]int) string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(outcomes)) {
		for _, how := range slices.Sorted(maps.Keys(outcomes[kind])) {
			fmt.Fprintf(&b, "\n%-12s %6d  %s", kind, outcomes[kind][how], how)
		}
	}
	return b.String()
}
