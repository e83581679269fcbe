// Package testvectors holds Sealpost's own test vectors, and checks Sealpost against them.
//
// README.md beside this file describes every file, for whoever implements the protocols
// anew. [All] gives the files, [Check] runs one. The generator is in the tests of this
// package: it is written from the PROTOCOL.md pages with primitives alone and shares no code
// with what it checks, so that a mistake would have to be made twice. The files whose names
// begin with "mls-" are the exception: package mls makes them itself, in its tests.
//
// Every private key in the files is a test key that the whole world knows. No program
// reads one from here but to check a vector (ATTACKS S06).
package testvectors

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

//go:generate go test -count=1 -run ^TestFilesAreFresh$ . -update
//go:generate go test -count=1 -run ^TestOwnVectorFilesAreFresh$ ../mls -update-vectors
//go:generate go test -count=1 -run ^TestRuleFilesAreFresh$ ../mls -update-rules

//go:embed *.json
var files embed.FS

// Report is the outcome of one file.
type Report = vectorfile.Report

// checkers say which package checks a file, by the file's name without ".json".
var checkers = map[string]func(kind string, data []byte) (Report, error){
	"frames":            relay.CheckVectors,
	"proofs":            relay.CheckVectors,
	"chain":             relay.CheckVectors,
	"relay-address":     relay.CheckVectors,
	"noise":             session.CheckVectors,
	"account":           keyserver.CheckVectors,
	"credential":        keyserver.CheckVectors,
	"keyserver-address": keyserver.CheckVectors,
	"branch":            session.CheckVectors,
	"envelope":          clientlib.CheckVectors,
	"signal":            clientlib.CheckVectors,
	"file":              clientlib.CheckVectors,
	"invitation":        clientlib.CheckVectors,
}

// ofMLS begins the names of Sealpost's own files in the formats of the MLS working group.
const ofMLS = "mls-"

// checkMLS checks a file of the working group's kinds.
func checkMLS(kind string, data []byte) (Report, error) {
	report, err := mls.CheckVectors(strings.TrimPrefix(kind, ofMLS), data)
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", vectorfile.ErrFile, err)
	}
	if report.Passed+report.Failed+report.Skipped == 0 {
		return Report{}, fmt.Errorf("%w: %s has no cases", vectorfile.ErrFile, kind)
	}
	return Report(report), nil
}

// checkerOf is who checks files of a kind, nil where nobody does.
func checkerOf(kind string) func(kind string, data []byte) (Report, error) {
	if strings.HasPrefix(kind, ofMLS) {
		return checkMLS
	}
	return checkers[kind]
}

// A File is one file of vectors.
type File struct {
	Name string // with ".json"
	Data []byte
}

// All returns the files, by name. Each call returns copies.
func All() ([]File, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, err
	}
	all := make([]File, len(names))
	for i, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all[i] = File{name, data}
	}
	return all, nil
}

// Knows tells whether files of this name are Sealpost's, and none of the MLS working group's.
func Knows(name string) bool { return checkerOf(strings.TrimSuffix(name, ".json")) != nil }

// Check runs every case of one file; its name says its kind. The error is for what is no
// file of Sealpost's vectors; cases that fail are in the report.
func Check(name string, data []byte) (Report, error) {
	kind := strings.TrimSuffix(name, ".json")
	check := checkerOf(kind)
	if check == nil {
		return Report{}, fmt.Errorf("%w: kind %q is unknown", vectorfile.ErrFile, kind)
	}
	return check(kind, data)
}
