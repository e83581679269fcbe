// Package vectorfile runs files of test vectors: a file is a JSON array of cases, each of
// which one function checks.
//
// Start with [Kinds]: a package that has vectors keeps one, with a [Case] for each file's
// name. What the cases mean is their package's; testvectors/README.md describes the files.
// Nothing here is kept between calls.
package vectorfile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrFile is for what is no file of vectors: an unknown kind, no JSON array, or one without
// cases, which must not look like a pass.
var ErrFile = errors.New("vectorfile: not a file of test vectors")

// Report is the outcome of one file: how many of its cases passed, failed and were skipped.
type Report struct {
	Passed, Failed, Skipped int
	Skips                   map[string]int // cases by reason
	Failures                []string       // one line each
}

// Kinds are the files that a package can check, by file name without ".json".
type Kinds map[string]func(json.RawMessage) error

// Check runs every case of a file. The error is [ErrFile]; cases that fail are in the report.
func (k Kinds) Check(kind string, data []byte) (Report, error) {
	var report Report
	check := k[kind]
	if check == nil {
		return report, fmt.Errorf("%w: kind %q is unknown", ErrFile, kind)
	}
	var cases []json.RawMessage
	if err := json.Unmarshal(data, &cases); err != nil {
		return report, fmt.Errorf("%w: %s: %w", ErrFile, kind, err)
	}
	if len(cases) == 0 {
		return report, fmt.Errorf("%w: %s has no cases", ErrFile, kind)
	}
	for i, c := range cases {
		if err := check(c); err != nil {
			report.Failed++
			report.Failures = append(report.Failures, fmt.Sprintf("case %d (%s): %v", i, name(c), err))
			continue
		}
		report.Passed++
	}
	return report, nil
}

// name is the case's own, which every case has.
func name(c json.RawMessage) string {
	var head struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(c, &head) // a case that is no object has failed for that already
	return head.Name
}

// Case decodes a case before it is checked. A member that T does not have is an error: a
// value that nobody compares proves nothing.
func Case[T any](check func(*T) error) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		var v T
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil {
			return err
		}
		return check(&v)
	}
}

// Hex is a byte string, in JSON lower-case hexadecimal.
type Hex []byte

// UnmarshalText reads lower-case hexadecimal.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err == nil && hex.EncodeToString(b) != string(text) {
		err = errors.New("hexadecimal is not in lower case")
	}
	*h = b
	return err
}
