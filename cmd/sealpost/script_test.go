package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run this program as "sealpost", in a process of its own, and
// tests start it themselves.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"sealpost": main})
}

// The scripts show what a person at a shell sees.
func TestScripts(t *testing.T) {
	vectors, err := filepath.Abs("../../../shared/mls-vectors")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("VECTORS", vectors)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "vectors" {
				return false, os.ErrInvalid
			}
			_, err := os.Stat(vectors)
			return err == nil, nil
		},
	})
}
