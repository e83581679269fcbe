package mls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
)

var rewriteRules = flag.Bool("update-rules", false, "write the files of broken rules anew")

const (
	// ruleFiles begins the names of the files: one for each rule.
	ruleFiles = "../testvectors/mls-rules-"
	// ruleSeed is where all that looks random in them comes from.
	ruleSeed = "Sealpost's broken rules of MLS, version 1: known to the whole world, good for nothing else"
)

// A ruleFamily makes cases of one setting, for some suites.
type ruleFamily struct {
	name   string
	suites []Suite
	cases  func(t *testing.T, id Suite) []*ruleVector
}

// ruleFamilies are in the order in which a file has their cases. Most of what can be wrong has
// nothing to do with the suite; keys do.
func ruleFamilies() []ruleFamily {
	one := []Suite{DefaultSuite}
	return []ruleFamily{
		{"key packages", one, keyPackageCases},
		{"certificates", one, certificateCases},
		{"lifetimes", one, lifetimeCases},
		{"framing", one, framingCases},
		{"errors", one, errorCases},
		{"own message", one, ownMessageCases},
		{"followers", one, followerCases},
		{"proposals", one, proposalCases},
		{"lists", one, listCases},
		{"references", one, referenceCases},
		{"paths", one, pathCases},
		{"extensions", one, extensionCases},
		{"application data", one, appDataCases},
		{"leaving", one, leavingCases},
		{"authenticated data", one, safeAADCases},
		{"reinit", one, reInitCases},
		{"welcomes", one, welcomeCases},
		{"strangers", one, strangerCases},
		{"successors", one, successorCases},
		{"trees", one, treeCases},
		{"group infos", one, infoCases},
		{"external commits", one, externalCommitCases},
		{"external proposals", one, externalProposalCases},
		{"keys", []Suite{SuiteP256AES128P256, SuiteMLKEM768X25519AES256Ed25519}, keyCases},
	}
}

// MarshalText writes the bytes as the files have them.
func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// generateRules makes all files, by rule. Of several cases that break a rule in one way, the
// first stands for all.
func generateRules(t *testing.T) map[string][]byte {
	t.Helper()
	// What is done in parallel would draw in another order each time.
	processors := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(processors)
	sections := listedRules(t)
	files := map[string][]*ruleVector{}
	for _, f := range ruleFamilies() {
		for _, id := range f.suites {
			seed := sha256.Sum256([]byte(ruleSeed + "\n" + f.name + "\n" + id.String()))
			cryptotest.SetGlobalRandom(t, binary.BigEndian.Uint64(seed[:]))
			for _, c := range f.cases(t, id) {
				c.Suite, c.Section, c.Layer = id, sections[c.Error], c.layer()
				same := func(other *ruleVector) bool { return other.Action == c.Action && other.Suite == c.Suite }
				if !slices.ContainsFunc(files[c.Error], same) {
					files[c.Error] = append(files[c.Error], c)
				}
			}
		}
	}
	out := map[string][]byte{}
	for rule, cases := range files {
		out[rule] = append(must(json.MarshalIndent(cases, "", " "))(t), '\n')
	}
	return out
}

// TestRuleFilesAreFresh: the files are what the generators make, to the byte, and no others
// are there. How algorithms draw random numbers may change from one Go version to the next;
// then the files are written anew.
func TestRuleFilesAreFresh(t *testing.T) {
	want := generateRules(t)
	for _, name := range must(filepath.Glob(ruleFiles + "*.json"))(t) {
		rule := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(name), ruleFiles), ".json")
		if want[rule] != nil {
			continue
		}
		if *rewriteRules {
			done(t, os.Remove(name))
		} else {
			t.Errorf("%s has no generator", name)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(want)) {
		name := ruleFiles + rule + ".json"
		if *rewriteRules {
			done(t, os.WriteFile(name, want[rule], 0o644))
		}
		if have, err := os.ReadFile(name); err != nil || !bytes.Equal(have, want[rule]) {
			t.Errorf("%s is not what its generator makes: go generate ./testvectors", name)
		}
	}
}

// ruleFileCases are the cases as the files have them, by rule.
func ruleFileCases(t *testing.T) map[string][]*ruleVector {
	t.Helper()
	all := map[string][]*ruleVector{}
	for _, name := range must(filepath.Glob(ruleFiles + "*.json"))(t) {
		rule := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(name), ruleFiles), ".json")
		var cases []*ruleVector
		done(t, json.Unmarshal(must(os.ReadFile(name))(t), &cases))
		all[rule] = cases
	}
	return all
}

// TestRuleFiles: every case is refused for its rule, and for nothing else that it holds.
func TestRuleFiles(t *testing.T) {
	for rule, cases := range ruleFileCases(t) {
		for _, c := range cases {
			failures := func(edit func(*ruleVector)) []string {
				edited := *c
				edit(&edited)
				report := must(CheckVectors(ruleKind+rule, must(json.Marshal([]*ruleVector{&edited}))(t)))(t)
				if report.Passed+report.Failed != 1 {
					t.Errorf("%s, %s: %+v", rule, c.Name, report)
				}
				return report.Failures
			}
			for _, line := range failures(func(*ruleVector) {}) {
				t.Errorf("%s, %s: %s", rule, c.Name, line)
			}
			for what, edit := range map[string]func(*ruleVector){
				"another layer":        func(v *ruleVector) { v.Layer = "other" },
				"another rule":         func(v *ruleVector) { v.Error = "other.rule" },
				"no bad message":       func(v *ruleVector) { v.Bad = nil },
				"two good messages":    func(v *ruleVector) { v.Bad = v.Good },
				"two bad messages":     func(v *ruleVector) { v.Good = v.Bad },
				"nobody that receives": func(v *ruleVector) { v.Action = "" },
			} {
				if failures(edit) == nil {
					t.Errorf("%s, %s: passes with %s", rule, c.Name, what)
				}
			}
		}
	}
}

// listedRules are the ids of VALIDATION.md's table, with the sections.
func listedRules(t tb) map[string]string {
	t.Helper()
	page, _, _ := strings.Cut(string(must(os.ReadFile("VALIDATION.md"))(t)), "## Every MUST")
	rules := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| ([a-z][a-z.-]+)[^|]* \\| ([^|]+) \\| `").FindAllStringSubmatch(page, -1) {
		rules[row[1]] = strings.ReplaceAll(row[2], "E", "draft-ietf-mls-extensions")
	}
	return rules
}

// notInBytes are the rules that no message alone can break, and why.
var notInBytes = map[string]string{
	"signature":        "of an application's own labels; in messages it is leaf.signature and others",
	"leaf.credential":  "the application's judgement",
	"commit.policy":    "the application's judgement",
	"proposal.policy":  "the application's judgement",
	"leaf.blank":       "who has no leaf is refused before, by framing.sender",
	"components.order": "of ParseComponents; in messages it is components.dictionary or framing.safe-aad",
	"proposals.type":   "of what an application asks for; a type that nobody knows is the application's own",
	"proposal.one":     "of what an application asks for",
	"psk.one":          "of what an application asks for",
	"self-remove.once": "of what an application asks for",
	"reinit.pending":   "of what an application asks for",
	"psk.count":        "a commit with 65,536 proposals",
}

// TestEveryRuleHasACase: a rule of VALIDATION.md is shown in bytes, or the table says why not.
func TestEveryRuleHasACase(t *testing.T) {
	files, rules := ruleFileCases(t), listedRules(t)
	if len(rules) < 90 {
		t.Errorf("only %d rules are listed", len(rules))
	}
	for rule := range rules {
		if why, has := notInBytes[rule], len(files[rule]) > 0; has == (why != "") {
			t.Errorf("%s has a case: %v; a reason to have none: %q", rule, has, why)
		}
	}
	for rule := range notInBytes {
		if _, listed := rules[rule]; !listed {
			t.Errorf("%s is no rule", rule)
		}
	}
	for rule := range ruleErrors {
		if len(files[rule]) == 0 {
			t.Errorf("%s has no case", rule)
		}
	}
}
