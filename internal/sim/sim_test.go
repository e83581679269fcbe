package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/cryptotest"
	"testing/synctest"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

var (
	firstSeed = flag.Uint64("sim.seed", 1, "first seed")
	seedCount = flag.Uint64("sim.seeds", 0, "how many seeds; 0: the sample that every test run has")
	wire      = flag.Bool("sim.wire", false, "have what the network carries in the traces")
	report    = flag.Bool("sim.report", false, "print a line of JSON when a seed ends, for sealpost sim")
	verbose   = flag.Bool("sim.v", false, "print every trace")
)

// sample is how many seeds every test run has.
const sample = 10

// seedRuntime seeds what the Go runtime draws, in a program that package oneorder had a hand in;
// exact tells that it is one, and
// watchKeys sets who is told of keys there.
var (
	seedRuntime = func(uint64) {}
	exact       bool
	watchKeys   func(*Keys)
)

// play runs one seed.
func play(t *testing.T, seed uint64) (r Result) {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "sealpost-sim-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // see world.tidy
	defer runtime.GC()
	cryptotest.SetGlobalRandom(t, seed)
	seedRuntime(seed + 1)
	synctest.Test(t, func(t *testing.T) {
		o := Options{Wire: *wire, Exact: exact}
		if exact {
			o.Watch, o.Keys = crashpoint.Watch, NewKeys()
			watchKeys(o.Keys)
		}
		r, err = Run(seed, dir, o)
	})
	crashpoint.Watch(nil)
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
		seed := *firstSeed + i
		r := play(t, seed)
		if *report {
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("\nsim: end %s\n", b) // a newline first: whatever was printed before
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
