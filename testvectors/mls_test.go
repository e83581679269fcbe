package testvectors_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/testvectors"
)

// ofMLS tells whether a file is of MLS.
func ofMLS(file string) bool { return strings.HasPrefix(file, "mls-") }

// ofRule tells whether it shows how a rule is broken.
func ofRule(file string) bool { return strings.HasPrefix(file, "mls-rules-") }

// suiteOf is a case's cipher suite; false in formats without.
func suiteOf(c map[string]any) (mls.Suite, bool) {
	id, ok := c["cipher_suite"].(float64)
	return mls.Suite(id), ok
}

// TestEverySuiteHasMLSVectors: each format that has a suite has a case for every one.
func TestEverySuiteHasMLSVectors(t *testing.T) {
	files := 0
	for file, list := range cases(t) {
		if _, ok := suiteOf(list[0]); !ofMLS(file) || !ok || ofRule(file) || file == "mls-passive-client-random.json" {
			continue
		}
		files++
		have := map[mls.Suite]bool{}
		for _, c := range list {
			s, _ := suiteOf(c)
			have[s] = true
		}
		if got := slices.Sorted(maps.Keys(have)); !slices.Equal(got, mls.Suites()) {
			t.Errorf("%s has suites %d, want %d", file, got, mls.Suites())
		}
	}
	if files != 12 {
		t.Errorf("%d files with suites, want 12", files)
	}
}

// mlsMayDiffer tells whether a case with that change may be another good one.
func mlsMayDiffer(file, where string) bool {
	const longer = ", change 0" // see others
	switch {
	case strings.Contains(where, "cipher_suite"): // changed by hand
		return true
	case strings.HasSuffix(where, "secret"+longer), strings.HasSuffix(where, "confirmation_key"+longer),
		strings.HasSuffix(where, "membership_key"+longer):
		return true // the same key of HMAC, with a zero behind it
	case strings.HasPrefix(where, "sender_data.ciphertext"):
		return true // its beginning is what counts
	case strings.HasPrefix(where, "proposal_sender"):
		return true // matters to an Update alone
	case strings.HasSuffix(where, "without path_secrets"), where == "without epochs" && strings.Contains(file, "passive"):
		return true // a case of less
	case where == "epochs.[0].without psk_secret":
		return true // which is zero
	case strings.HasPrefix(where, "ratchet_tree"+longer), where == "without external_psks":
		return true // that in the Welcome goes first; it may use no key
	case strings.HasPrefix(where, "external_psks"): // of which one is used, in this file always
		return file != "mls-passive-client-handling-commit.json" || !strings.HasPrefix(where, "external_psks.[1]")
	}
	return false
}

// TestEveryMLSValueIsChecked is TestEveryValueIsChecked for a sample: of the default suite, one
// with ECDSA and a post-quantum one.
func TestEveryMLSValueIsChecked(t *testing.T) {
	sample := map[mls.Suite]bool{mls.DefaultSuite: true}
	if !testing.Short() {
		sample[mls.SuiteP256AES128P256], sample[mls.SuiteMLKEM768X25519AES256Ed25519] = true, true
	}
	for file, list := range cases(t) {
		if !ofMLS(file) || ofRule(file) {
			continue // those of rules in package mls: TestRuleFiles
		}
		seen := map[mls.Suite]bool{}
		for i, c := range list {
			s, has := suiteOf(c)
			if has && (!sample[s] || seen[s]) || !has && i > 3 {
				continue
			}
			seen[s] = true
			try := func(where string) { mustFail(t, file, c, where) }
			if file == "mls-messages.json" {
				recut(c, try)
				continue
			}
			if has { // another hash, so that it shows wherever the suite matters
				c["cipher_suite"] = mls.SuiteP521AES256P521
				try("cipher_suite")
				c["cipher_suite"] = s
			}
			mutate(c, func(where string) {
				if !mlsMayDiffer(file, where) {
					try(where)
				}
			})
		}
	}
}

// TestWhatIsNoMLSCase: a case that lacks everything does not look like a pass.
func TestWhatIsNoMLSCase(t *testing.T) {
	for file := range cases(t) {
		if !ofMLS(file) {
			continue
		}
		for _, data := range []string{`[{}]`, `[null]`, `[1]`, `[[]]`, `[{"cipher_suite": 1}]`, `[{"cipher_suite": "1"}]`} {
			if report, err := testvectors.Check(file, []byte(data)); err != nil || report.Failed != 1 {
				t.Errorf("%s with %s: %d failed (%v), want 1", file, data, report.Failed, err)
			}
		}
		for _, data := range []string{``, `{}`, `[]`} {
			if report, err := testvectors.Check(file, []byte(data)); !errors.Is(err, vectorfile.ErrFile) || report.Passed > 0 {
				t.Errorf("%s with %q: %v, want ErrFile", file, data, err)
			}
		}
	}
	if _, err := testvectors.Check("mls-weather.json", []byte(`[{}]`)); !errors.Is(err, vectorfile.ErrFile) {
		t.Errorf("a kind that nobody knows: %v, want ErrFile", err)
	}
}

// recut changes the length of each message: what is in one, a case that is only decoded and
// encoded does not say.
func recut(c map[string]any, try func(where string)) {
	for name, value := range c {
		for i, other := range []string{value.(string) + "00", value.(string)[2:], ""} {
			c[name] = other
			try(name + []string{" with a byte more", " with a byte less", " empty"}[i])
		}
		c[name] = value
	}
}
