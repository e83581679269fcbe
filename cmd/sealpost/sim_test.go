//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// aSimulation stands for the test that is built from the checkout: each seed ends in another way.
const aSimulation = `#!/bin/sh
result() {
	echo "noise"
	echo "sim: end {\"Seed\":$1,\"Hash\":\"$2\",\"Trace\":\"what happened in $1\",\"Broken\":$3,\"Messages\":10}"
}
case "$*" in
*-sim.seed=1\ *) result 1 a0 null ;;
*-sim.seed=2\ *) result 2 b0 '["a message is missing"]'; exit 1 ;;
*-sim.seed=3\ *) echo "as far as it came"; echo "panic: something" >&2; exit 2 ;;
*-sim.seed=4\ *) result 4 $$ null ;;
*-sim.seed=5\ *) echo "as far as it came"; kill -9 $$ ;;
esac
`

func TestSim(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "sim.test")
	if err := os.WriteFile(binary, []byte(aSimulation), 0o700); err != nil {
		t.Fatal(err)
	}
	play := func(c simCommand) (string, error) {
		var out bytes.Buffer
		err := c.play(t.Context(), binary, &out)
		return out.String(), err
	}
	for _, c := range []struct {
		name string
		sim  simCommand
		want []string // each is in the output
		not  []string // none is
		err  error
	}{
		{"a seed that is good", simCommand{Seeds: 1, Seed: 1}, []string{"seeds=1 failed=0 messages=10 seconds="}, []string{"what happened", "again"}, nil},
		{"it is shown to who asks", simCommand{Seeds: 1, Seed: 1, Verbose: true}, []string{"what happened in 1", "seed 1: 10 messages, trace a0"}, nil, nil},
		{"it is the same twice", simCommand{Seeds: 1, Seed: 1, Twice: true}, []string{"seeds=1 failed=0 messages=10"}, nil, nil},
		{
			"a promise that was broken", simCommand{Seeds: 1, Seed: 2},
			[]string{"what happened in 2", "seed 2: a message is missing", "seed 2 failed; again: go run ./cmd/sealpost sim -seeds 1 -seed 2", "seeds=1 failed=1"}, nil, errFailed,
		},
		{
			"a process that panicked", simCommand{Seeds: 1, Seed: 3, Plain: true},
			[]string{"as far as it came\npanic: something", "seed 3: the process ended: exit status 2", "sim -plain -seeds 1 -seed 3"}, nil, errFailed,
		},
		{"a process that was killed", simCommand{Seeds: 1, Seed: 5}, []string{"as far as it came", "seed 5: the process ended: signal: killed"}, nil, errFailed},
		{"another run the second time", simCommand{Seeds: 1, Seed: 4, Twice: true}, []string{"seed 4: played again, it was not the same"}, nil, errFailed},
		{
			"all of them, two at a time", simCommand{Seeds: 5, Seed: 1, Workers: 2},
			[]string{"seed 2 failed", "seed 3 failed", "seed 5 failed", "seeds=5 failed=3 messages=30"}, []string{"seed 1 failed", "seed 4 failed"}, errFailed,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := play(c.sim)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("ended with %v, not %v", err, c.err)
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%q is not in\n%s", w, out)
				}
			}
			for _, n := range c.not {
				if strings.Contains(out, n) {
					t.Errorf("%q is in\n%s", n, out)
				}
			}
		})
	}
}
