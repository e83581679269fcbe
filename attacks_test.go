package sealpost_test

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	attackRow   = regexp.MustCompile(`(?m)^\| ([RQ][0-9]{2}) [^|]+\| ([^|]+) \|$`)
	attackTests = regexp.MustCompile("^`([a-z./]+)` (Test[A-Za-z0-9_]+(?:, Test[A-Za-z0-9_]+)*)$")
	catalogued  = regexp.MustCompile(`(?m)^\| ([RQ][0-9]{2})★? \|`)
)

// untested are the cases whose row may say "none", with the reason: what they attack is not built.
var untested = []string{"R06", "R40", "Q12", "Q15"}

// SECURITY.md says which tests play which attack. A test that was renamed or removed would
// leave a claim that nothing holds.
func TestAttacksAreTestedWhereSecuritySays(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := make(map[string]bool) // folder and name
	for _, s := range sources(t) {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test() && f.Recv == nil {
				tests[path.Dir(s.path)+" "+f.Name.Name] = true
			}
		}
	}
	rows := make(map[string]bool)
	for _, row := range attackRow.FindAllStringSubmatch(string(page), -1) {
		id, cell := row[1], row[2]
		if rows[id] {
			t.Errorf("%s has two rows", id)
		}
		rows[id] = true
		if strings.HasPrefix(cell, "none: ") && slices.Contains(untested, id) {
			continue
		}
		for part := range strings.SplitSeq(cell, " · ") {
			m := attackTests.FindStringSubmatch(part)
			if m == nil {
				t.Errorf("%s: %q is not a folder and names of tests", id, part)
				continue
			}
			for name := range strings.SplitSeq(m[2], ", ") {
				if !tests[m[1]+" "+name] {
					t.Errorf("%s: there is no %s in %s", id, name, m[1])
				}
				if !strings.Contains(name, id+"_") {
					t.Errorf("%s: %s bears the name of another case", id, name)
				}
			}
		}
	}
	if len(rows) == 0 {
		t.Fatal("SECURITY.md has no table of attacks")
	}
	catalogue, err := os.ReadFile(filepath.Join("..", "shared", "ATTACKS.md"))
	if err != nil {
		t.Skip("the catalogue is not beside this checkout")
	}
	for _, m := range catalogued.FindAllStringSubmatch(string(catalogue), -1) {
		if !rows[m[1]] {
			t.Errorf("SECURITY.md has no row for %s", m[1])
		}
	}
}
