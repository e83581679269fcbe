package mls

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEveryMustIsListed: VALIDATION.md has a row for each MUST that it counts in a section, in
// order, and one for each check of OpenMLS's list.
func TestEveryMustIsListed(t *testing.T) {
	page := string(must(os.ReadFile("VALIDATION.md"))(t))
	_, musts, _ := strings.Cut(page, "## Every MUST of RFC 9420")
	musts, valSem, _ := strings.Cut(musts, "## OpenMLS's list")
	valSem, _, _ = strings.Cut(valSem, "\n## ")
	rows := map[string]int{}
	for _, r := range regexp.MustCompile(`(?m)^\| ([0-9.]+) \((\d+)\) \|`).FindAllStringSubmatch(musts, -1) {
		rows[r[1]]++
		if strconv.Itoa(rows[r[1]]) != r[2] {
			t.Errorf("section %s: MUST %s is row %d", r[1], r[2], rows[r[1]])
		}
	}
	_, counted, _ := strings.Cut(musts, "Counted:")
	counted, _, _ = strings.Cut(counted, "\n\n")
	total := 0
	for _, c := range regexp.MustCompile(`([0-9.]+):\s(\d+)`).FindAllStringSubmatch(counted, -1) {
		n := must(strconv.Atoi(c[2]))(t)
		if total += n; rows[c[1]] != n {
			t.Errorf("section %s: %d rows, %d MUSTs", c[1], rows[c[1]], n)
		}
		delete(rows, c[1])
	}
	if total != 139 || len(rows) != 0 {
		t.Errorf("%d MUSTs are counted, want 139; rows of sections %v are not", total, rows)
	}
	for _, span := range [][2]int{{2, 11}, {101, 113}, {200, 209}, {240, 242}, {244, 246}, {300, 300}, {400, 403}} {
		for id := span[0]; id <= span[1]; id++ {
			if strings.Count(valSem, fmt.Sprintf("\n| %03d |", id)) != 1 {
				t.Errorf("ValSem%03d is not listed once", id)
			}
		}
	}
}

// TestEveryFunctionIsThere: what the page's tables name stands in the code, and so does every rule.
func TestEveryFunctionIsThere(t *testing.T) {
	var code strings.Builder
	for _, pattern := range []string{"*.go", "../internal/wire/*.go"} {
		for _, name := range must(filepath.Glob(pattern))(t) {
			if !strings.HasSuffix(name, "_test.go") {
				code.Write(must(os.ReadFile(name))(t))
			}
		}
	}
	page, _, _ := strings.Cut(string(must(os.ReadFile("VALIDATION.md"))(t)), "## When secrets are deleted")
	has := func(pattern string, args ...any) bool {
		return regexp.MustCompile(fmt.Sprintf(pattern, args...)).MatchString(code.String())
	}
	for _, row := range regexp.MustCompile(`(?m)^\|.*$`).FindAllString(page, -1) {
		if rule := regexp.MustCompile(`^\| ([a-z]+(?:-[a-z]+)*\.[a-z-]+) `).FindStringSubmatch(row); rule != nil && !has(`broken(By)?\("%s"`, rule[1]) {
			t.Errorf("no code has rule %s", rule[1])
		}
		for _, name := range regexp.MustCompile("`([A-Za-z]+)(?:\\.([A-Za-z]+))?`").FindAllStringSubmatch(row, -1) {
			switch owner, method := name[1], name[2]; {
			case method == "" && (has(`func %s[(\[]`, owner) || has(`\n(type %[1]s |\t%[1]s +=)`, owner)):
			case method != "" && (has(`func \((\w+ )?\*?%s(\[\w+\])?\) %s\(`, owner, method) || has(`type %s struct \{[^}]*\n\t%s `, owner, method)):
			default:
				t.Errorf("%s does not exist", name[0])
			}
		}
	}
}
