package mls

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// VectorReport is the outcome of one vector file: how many of its cases passed, failed and
// were skipped.
type VectorReport struct {
	Passed, Failed, Skipped int
	Skips                   map[string]int // cases by reason
	Failures                []string       // one line each
}

// errSkip marks a case that this package does not run; its text is the reason.
type errSkip struct{ reason string }

func (e errSkip) Error() string { return e.reason }

// vectorKinds are the working group's files that this package runs whole, by file name
// without ".json".
var vectorKinds = map[string]func(json.RawMessage) error{
	"tree-math":          vectorCase(checkTreeMath),
	"crypto-basics":      vectorCase(checkCryptoBasics),
	"secret-tree":        vectorCase(checkSecretTree),
	"message-protection": vectorCase(checkMessageProtection),
	"key-schedule":       vectorCase(checkKeySchedule),
	"psk_secret":         vectorCase(checkPSKSecret),
	"transcript-hashes":  vectorCase(checkTranscriptHashes),
	"welcome":            vectorCase(checkWelcome),
	"tree-operations":    vectorCase(checkTreeOperations),
	"tree-validation":    vectorCase(checkTreeValidation),
	"treekem":            vectorCase(checkTreeKEM),
	"messages":           vectorCase(checkMessages),
	"deserialization":    vectorCase(checkDeserialization),

	"passive-client-welcome":         vectorCase(checkPassive),
	"passive-client-handling-commit": vectorCase(checkPassive),
	"passive-client-random":          vectorCase(checkPassive),
}

// ruleKind begins the kinds of files that show how one rule is broken; the rule's id follows.
const ruleKind = "rules-"

// CheckVectors runs every case of a test vector file of the MLS working group, or of one that
// shows how a rule of VALIDATION.md is broken. The kind is the file's name without ".json", of
// the latter "rules-" and the rule's id. The error is for an unknown kind or a file that is no
// JSON array; cases that fail are in the report.
func CheckVectors(kind string, data []byte) (VectorReport, error) {
	report := VectorReport{Skips: map[string]int{}}
	var cases []json.RawMessage
	if err := json.Unmarshal(data, &cases); err != nil {
		return report, fmt.Errorf("mls: vector file %s: %w", kind, err)
	}
	check := vectorKinds[kind]
	if rule, ok := strings.CutPrefix(kind, ruleKind); ok {
		check = vectorCase(checkRule(rule))
	}
	if check == nil {
		return report, fmt.Errorf("%w: vector file %s", ErrUnsupported, kind)
	}
	for i, c := range cases {
		err := check(c)
		if skip, ok := errors.AsType[errSkip](err); ok {
			report.Skipped++
			report.Skips[skip.reason]++
		} else if err != nil {
			report.Failed++
			report.Failures = append(report.Failures, fmt.Sprintf("case %d: %v", i, err))
		} else {
			report.Passed++
		}
	}
	return report, nil
}

// vectorCase decodes a case, skips those of suites that are not in the table, and checks the
// others.
func vectorCase[T any](check func(*suite, *T) error) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		var head struct {
			Suite *Suite `json:"cipher_suite"`
		}
		// Cases that are arrays or have no suite leave it nil.
		err := json.Unmarshal(raw, &head)
		s := suites[DefaultSuite]
		if head.Suite != nil {
			if err != nil {
				return err
			}
			if s = suites[*head.Suite]; s == nil {
				return errSkip{fmt.Sprintf("suite %d not supported: %v", *head.Suite, *head.Suite)}
			}
		}
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		return check(s, &v)
	}
}

// hexBytes is a byte string written in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// vectorKey is a private key with the leading zeros that the files' generator drops from
// P-521 scalars. What is ours to parse has its full length.
func (s *suite) vectorKey(key hexBytes) []byte {
	const full = 66
	if s.id != SuiteP521AES256P521 || len(key) >= full {
		return key
	}
	return append(make([]byte, full-len(key)), key...)
}

// errNothing is for a case without what is to be checked: it must not look like a pass.
var errNothing = errors.New("a part of the case is missing")

// expect compares one computed value with the vector's.
func expect(what string, got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is %x, want %x", what, got, want)
	}
	return nil
}

// firstError returns the first of the errors that is not nil.
func firstError(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}
