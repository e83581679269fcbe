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
	want := map[string]int{
		"tree-math": 10, "crypto-basics": 1, "key-schedule": 1, "secret-tree": 3,
		"message-protection": 1, "transcript-hashes": 1, "welcome": 1, "tree-operations": 5,
		"tree-validation": 14, "treekem": 11, "messages": 300, "deserialization": 14,
		"psk_secret":             11,
		"passive-client-welcome": 8, "passive-client-handling-commit": 13, "passive-client-random": 1,
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
			if report.Passed != want[kind] {
				t.Errorf("%d passed, want %d (%d failed, %d skipped: %v)",
					report.Passed, want[kind], report.Failed, report.Skipped, report.Skips)
			}
		})
	}
}
