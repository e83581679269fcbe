package mls

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const vectorFolder = "../../shared/mls-vectors"

// TestVectors runs the working group's files. What must pass, and how often, is stated here:
// a file that silently skipped its cases would otherwise look like success.
func TestVectors(t *testing.T) {
	if _, err := os.Stat(vectorFolder); err != nil {
		t.Skipf("the working group's vectors are not here: %v", err)
	}
	// Each suite of the table but for the files that have one suite or none.
	want := map[string]int{
		"tree-math": 10, "crypto-basics": 7, "key-schedule": 7, "secret-tree": 21,
		"message-protection": 7, "transcript-hashes": 7, "welcome": 7, "tree-operations": 5,
		"tree-validation": 98, "treekem": 77, "messages": 300, "deserialization": 14,
		"psk_secret":             77,
		"passive-client-welcome": 56, "passive-client-handling-commit": 91, "passive-client-random": 1,
	}
	files, err := filepath.Glob(filepath.Join(vectorFolder, "*.json"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d vector files (%v), want %d", len(files), err, len(want))
	}
	for _, f := range files {
		kind := strings.TrimSuffix(filepath.Base(f), ".json")
		t.Run(kind, func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			report, err := CheckVectors(kind, data)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range report.Failures {
				t.Error(line)
			}
			if report.Passed != want[kind] || report.Skipped > 0 {
				t.Errorf("%d passed, want %d (%d failed, %d skipped: %v)",
					report.Passed, want[kind], report.Failed, report.Skipped, report.Skips)
			}
		})
	}
}
