package sealpost_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)#:]+)\)`)
	tableFolder  = regexp.MustCompile(`(?m)^\| .*`)
)

// Every file and folder that a page links exists, so that nobody is sent nowhere.
func TestPagesLinkWhatExists(t *testing.T) {
	for _, page := range files(t, func(p string) bool { return filepath.Ext(p) == ".md" }) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range markdownLink.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links %s: %v", page, m[1], err)
			}
		}
	}
}

func TestReadmeIsShortAndNamesEveryPublicFolder(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n >= 150 {
		t.Errorf("README.md has %d lines, not under 150", n)
	}
	table := strings.Join(tableFolder.FindAllString(string(text), -1), "\n")
	for _, s := range sources(t) {
		if top, _, ok := strings.Cut(s.path, "/"); ok && top != "internal" && !strings.Contains(table, "`"+top+"/") {
			t.Errorf("the README's table of folders does not have %s/, where %s is", top, s.path)
			break
		}
	}
}
