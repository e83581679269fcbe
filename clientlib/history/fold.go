package history

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// searchable returns the part of a text that is searched, folded.
func searchable(text string) string {
	if len(text) > maxIndexed {
		end := maxIndexed
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return fold(text)
}

// fold maps texts that people take for the same to the same string: compatibility forms
// (full width, ligatures), case, Latin, Greek and Cyrillic accents, Arabic and Hebrew vowel
// points, white space, and characters that are not seen. Marks that tell words apart, as in
// Indic scripts and Thai, stay.
//
// A change here needs a migration that builds the index anew.
func fold(s string) string {
	var out strings.Builder
	out.Grow(len(s))
	space := false
	for _, r := range norm.NFKD.String(strings.ToValidUTF8(s, "\ufffd")) {
		if unicode.IsSpace(r) {
			if !space {
				out.WriteByte(' ')
			}
			space = true
			continue
		}
		if unseen(r) {
			continue
		}
		space = false
		out.WriteRune(foldCase(r))
	}
	return norm.NFC.String(out.String()) // puts Hangul together again: a syllable is one character
}

// foldCase returns the smallest of the runes that differ in case only.
func foldCase(r rune) rune {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

func unseen(r rune) bool {
	switch {
	case r < 0x300:
		return unicode.IsControl(r) || r == 0xad // soft hyphen
	case r <= 0x36f, // combining accents
		0x591 <= r && r <= 0x5bd, r == 0x5bf, r == 0x5c1, r == 0x5c2, r == 0x5c4, r == 0x5c5, r == 0x5c7, // Hebrew points
		r == 0x640, 0x64b <= r && r <= 0x65f, r == 0x670, // Arabic stretching and points
		0x200b <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x2060 <= r && r <= 0x2069, r == 0xfeff, // joiners, direction
		0xfe00 <= r && r <= 0xfe0f: // variants, as of emoji
		return true
	}
	return false
}
