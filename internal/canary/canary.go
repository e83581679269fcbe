// Package canary looks for marks in what must not hold them: logs, metrics, profiles, disks. A
// mark is something that a run alone has, an id or a text, in every form in which a program may
// have written it.
//
// Start with [Of]; [Found] looks for many at once. A scan that finds nothing proves something
// only beside one that finds what was planted: [Mark.Forms] says what to plant.
//
// Out of scope: forms that need a key to be seen.
package canary

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// shortest is how many bytes a mark has whose base64 is looked for: that of fewer is found by
// chance.
const shortest = 7

// Mark is something to look for.
type Mark struct {
	What  string // for people
	forms [][]byte
}

// Of returns the mark of b: raw, in hexadecimal of either case, in base64 of either alphabet, and
// as Go prints bytes, in decimal and in a traceback. Base64 of a text inside another text begins
// at one of three offsets; the first and last characters depend on what is around.
func Of(what string, b []byte) Mark {
	m := Mark{what, [][]byte{b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b)))}}
	m.forms = append(m.forms, []byte(strings.Trim(fmt.Sprint(b), "[]")))
	// A traceback shows no more than ten words of an array; eight bytes are nobody else's.
	m.forms = append(m.forms, []byte(strings.TrimSuffix(fmt.Sprintf("%#v", b[:min(len(b), 8)])[len("[]byte{"):], "}")))
	m.forms = append(m.forms, []byte(strings.ReplaceAll(string(m.forms[len(m.forms)-1]), "0x0", "0x")))
	if len(b) < shortest {
		return m
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			text := enc.EncodeToString(append(make([]byte, offset), b...))
			from := (offset*8 + 5) / 6
			m.forms = append(m.forms, []byte(text[from:len(text)-1]))
		}
	}
	return m
}

// Forms returns what is looked for.
func (m Mark) Forms() [][]byte { return m.forms }

// In reports whether hay holds the mark in any form.
func (m Mark) In(hay []byte) bool {
	for _, f := range m.forms {
		if bytes.Contains(hay, f) {
			return true
		}
	}
	return false
}

// Found returns what hay holds of marks. What is compressed with gzip is looked into.
func Found(hay []byte, marks []Mark) (what []string) {
	if z, err := gzip.NewReader(bytes.NewReader(hay)); err == nil {
		inner, _ := io.ReadAll(z) // what there is of a cut stream
		hay = append(bytes.Clone(hay), inner...)
	}
	for _, m := range marks {
		if m.In(hay) {
			what = append(what, m.What)
		}
	}
	return what
}

// EachFile calls fn with every file below dir, without its blocks of zeros: a store's files are
// mostly room that nobody has used.
func EachFile(dir string, fn func(path string, b []byte)) (n int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		fn(path, withoutZeros(b))
		return nil
	})
	return n, err
}

var zeros = make([]byte, 4096)

func withoutZeros(b []byte) []byte {
	out := b[:0]
	for len(b) > 0 {
		block := b[:min(len(zeros), len(b))]
		if !bytes.Equal(block, zeros[:len(block)]) {
			out = append(out, block...)
		}
		b = b[len(block):]
	}
	return out
}
