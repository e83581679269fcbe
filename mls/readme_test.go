package mls_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/mls"
)

func readme(t *testing.T) string {
	t.Helper()
	return string(must(os.ReadFile("README.md")))
}

// TestReadmeShowsTheExample: the README's code is the body of the package's example, so that it
// compiles and prints what it says.
func TestReadmeShowsTheExample(t *testing.T) {
	_, body, _ := strings.Cut(string(must(os.ReadFile("example_test.go"))), "func Example() {\n")
	body, _, _ = strings.Cut(body, "\n}\n")
	var want []string
	for line := range strings.Lines(body) {
		want = append(want, strings.TrimPrefix(strings.TrimRight(line, "\n"), "\t"))
	}
	_, got, _ := strings.Cut(readme(t), "```go\n")
	got, _, _ = strings.Cut(got, "\n```\n")
	if got != strings.Join(want, "\n") || len(want) < 20 {
		t.Errorf("README.md does not show the body of Example, which is\n%s", strings.Join(want, "\n"))
	}
}

// TestReadmeListsTheExamples: every file of examples is in the README's table.
func TestReadmeListsTheExamples(t *testing.T) {
	page := readme(t)
	for _, e := range must(os.ReadDir(".")) {
		if name := e.Name(); strings.HasPrefix(name, "example_") && name != "example_test.go" && name != "example_people_test.go" &&
			!strings.Contains(page, "("+name+")") {
			t.Errorf("README.md does not list %s", name)
		}
	}
}

// sizes are what the README says of a suite, in its order.
func sizes(suite mls.Suite) []int {
	kp, secrets := keyPackage(client(suite, "carol"))
	alice := begin(client(suite, "alice"), mls.Application{})
	bob := add(alice, client(suite, "bobby"), mls.Application{})
	renewed := commit(alice, mls.CommitParams{}, bob)
	before := len(bob.RatchetTree())
	added := commit(alice, mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: now}, bob)
	must(mls.Join(added.Welcomes()[0].Message, secrets, mls.JoinParams{Tree: alice.RatchetTree(), Now: now}))
	return []int{
		len(kp.Bytes()), len(added.Welcomes()[0].Message), len(alice.RatchetTree()) - before,
		len(renewed.Message()), len(must(alice.Encrypt(nil, nil))),
	}
}

// TestReadmeSizes: the README's sizes are those of today, but for the few bytes by which ECDSA
// signatures differ.
func TestReadmeSizes(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (\d|0xF5..) [^|]*(\|[| 0-9,]+)\|$`).FindAllStringSubmatch(readme(t), -1)
	if len(rows) != 7 {
		t.Fatalf("%d rows of sizes", len(rows))
	}
	for _, row := range rows {
		suite := mls.Suite(must(strconv.ParseUint(row[1], 0, 16)))
		var got []int
		for _, cell := range strings.Split(row[2], "|")[1:] {
			got = append(got, must(strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(cell), ",", ""))))
		}
		want := sizes(suite)
		same := len(got) == len(want)
		for i := range min(len(got), len(want)) {
			same = same && max(got[i]-want[i], want[i]-got[i]) <= 12
		}
		if !same {
			t.Errorf("%v: README.md has %v, today it is %v", suite, got, want)
		}
	}
}
