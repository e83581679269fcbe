package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/mls"
)

// maxShownFailures keeps a broken build's output readable: the first few say what is wrong.
const maxShownFailures = 10

// vectorsCommand runs every *.json file of the named folders; a file's name says its kind.
type vectorsCommand struct {
	Folders []string `arg:"" name:"dir" type:"existingdir" help:"Folders of the working group's JSON files."`
}

// Run prints one line a file and one total. Counts are of cases; a file that is skipped
// whole counts all its cases as skipped.
func (c *vectorsCommand) Run(s streams) error {
	var total mls.VectorReport
	files := 0
	for _, dir := range c.Folders {
		names, err := vectorFiles(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			report, err := checkVectors(filepath.Join(dir, name))
			if err != nil {
				report = mls.VectorReport{Failed: 1, Failures: []string{err.Error()}}
			}
			printReport(s.out, name, report)
			files++
			total.Passed += report.Passed
			total.Failed += report.Failed
			total.Skipped += report.Skipped
		}
	}
	fmt.Fprintf(s.out, "total files=%d passed=%d failed=%d skipped=%d\n", files, total.Passed, total.Failed, total.Skipped)
	if total.Failed > 0 {
		return errFailed
	}
	return nil
}

// vectorFiles lists the folder's JSON files by name. A folder without any is an error: a
// wrong path must not look like a pass.
func vectorFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".json" {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no .json file in %s", dir)
	}
	return names, nil
}

func checkVectors(path string) (mls.VectorReport, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return mls.VectorReport{}, err
	}
	return mls.CheckVectors(strings.TrimSuffix(filepath.Base(path), ".json"), data)
}

func printReport(w io.Writer, name string, r mls.VectorReport) {
	fmt.Fprintf(w, "%s passed=%d failed=%d skipped=%d", name, r.Passed, r.Failed, r.Skipped)
	if len(r.Skips) > 0 {
		reasons := make([]string, 0, len(r.Skips))
		for _, reason := range slices.Sorted(maps.Keys(r.Skips)) {
			reasons = append(reasons, fmt.Sprintf("%d × %s", r.Skips[reason], reason))
		}
		fmt.Fprintf(w, " (%s)", strings.Join(reasons, "; "))
	}
	fmt.Fprintln(w)
	for _, failure := range r.Failures[:min(len(r.Failures), maxShownFailures)] {
		fmt.Fprintf(w, "  failed: %s\n", failure)
	}
	if more := len(r.Failures) - maxShownFailures; more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}
