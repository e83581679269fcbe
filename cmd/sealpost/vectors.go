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
	"github.com/sealpost/sealpost/testvectors"
)

// maxShownFailures keeps a broken build's output readable: the first few say what is wrong.
const maxShownFailures = 10

// vectorsCommand runs every *.json file of the named folders; a file's name says its kind.
// Without a folder it runs Sealpost's own, which are in the binary.
type vectorsCommand struct {
	Folders []string `arg:"" optional:"" name:"dir" type:"existingdir" help:"Folders of JSON files, the MLS working group's or Sealpost's; without any, Sealpost's own, which are built in."`
}

// Run prints one line a file and one total. Counts are of cases; a file that is skipped
// whole counts all its cases as skipped.
func (c *vectorsCommand) Run(s streams) error {
	var total testvectors.Report
	files := 0
	run := func(name string, data []byte, err error) {
		var report testvectors.Report
		if err == nil {
			report, err = checkVectors(name, data)
		}
		if err != nil {
			report = testvectors.Report{Failed: 1, Failures: []string{err.Error()}}
		}
		printReport(s.out, name, report)
		files++
		total.Passed += report.Passed
		total.Failed += report.Failed
		total.Skipped += report.Skipped
	}
	if len(c.Folders) == 0 {
		own, err := testvectors.All()
		if err != nil {
			return err
		}
		for _, f := range own {
			run(f.Name, f.Data, nil)
		}
	}
	for _, dir := range c.Folders {
		names, err := vectorFiles(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			data, err := os.ReadFile(filepath.Join(dir, name))
			run(name, data, err)
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

// checkVectors runs one file with whoever knows its kind. Sealpost's kinds and the working
// group's have no name in common.
func checkVectors(name string, data []byte) (testvectors.Report, error) {
	if testvectors.Knows(name) {
		return testvectors.Check(name, data)
	}
	report, err := mls.CheckVectors(strings.TrimSuffix(name, ".json"), data)
	return testvectors.Report(report), err
}

func printReport(w io.Writer, name string, r testvectors.Report) {
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
