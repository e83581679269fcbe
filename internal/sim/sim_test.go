package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

var (
	firstSeed = flag.Uint64("sim.seed", 1, "first seed")
	seedCount = flag.Uint64("sim.seeds", 0, "how many seeds; 0: the sample that every test run has")
	wire      = flag.Bool("sim.wire", false, "have what the network carries in the traces")
	stride    = flag.Uint64("sim.stride", 1, "from one seed to the next")
	report    = flag.Bool("sim.report", false, "print a line of JSON when a seed ends, for sealpost sim")
	verbose   = flag.Bool("sim.v", false, "print every trace")
)

// sample is how many seeds every test run has.
const sample = 10

// play runs one seed.
func play(t *testing.T, seed uint64) (r Result) {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "sealpost-sim-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GC()
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		r, err = Run(seed, dir, *wire)
	})
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, r.Trace)
	}
	return r
}

// memory is a folder in memory if there is one: the stores sync all the time.
func memory() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() {
		return shm
	}
	return os.TempDir()
}

func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// TestSeeds plays a sample of seeds, or those of the flags.
func TestSeeds(t *testing.T) {
	count := *seedCount
	if count == 0 {
		count = sample
	}
	for i := range count {
		seed := *firstSeed + i**stride
		if *report {
			fmt.Printf("\nsim: begin %d\n", seed) // a newline first: whatever was printed before
		}
		r := play(t, seed)
		if *report {
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("\nsim: end %s\n", b)
			continue
		}
		t.Log(r)
		if *verbose || len(r.Broken) > 0 {
			t.Log("\n" + r.Trace)
		}
		for _, b := range r.Broken {
			t.Errorf("seed %d: %s", seed, b)
		}
	}
}

// TestOneSeedOneRun plays seeds twice and wants the same traces. Only where it is asked for: not
// every seed keeps to it (see the package), and this shows where a trace begins to differ.
func TestOneSeedOneRun(t *testing.T) {
	if *seedCount == 0 {
		t.Skip("without -sim.seeds")
	}
	for seed := *firstSeed; seed < *firstSeed+*seedCount; seed++ {
		a, b := play(t, seed), play(t, seed)
		if a.Hash != b.Hash {
			t.Errorf("seed %d: %s and %s: %s", seed, a.Hash, b.Hash, difference(a.Trace, b.Trace))
		}
	}
}

// difference shows where two traces part.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "\n" + strings.Join(x[max(0, i-5):i], "\n") + "\n<" + x[i] + "\n>" + y[i]
		}
	}
	return "one is longer"
}
