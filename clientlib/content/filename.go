package content

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName is the longest file name in bytes. Files are saved in folders of systems that take
	// 255, beside others of the same name, which get a number.
	maxName = 200
	// maxSuffix is how much of a name's end, from the last dot on, survives when it is cut.
	maxSuffix = 16
	// maxType is the longest media type in bytes, with its slash (RFC 6838 section 4.2).
	maxType = 255

	noName    = "file"
	noType    = "application/octet-stream"
	forbidden = `<>:"|?*` // in file names on Windows; a colon opens a hidden stream of another file there
)

// devices are names that Windows takes for a device, whatever their suffix and folder.
var devices = map[string]bool{"con": true, "prn": true, "aux": true, "nul": true, "conin$": true, "conout$": true}

// SafeName makes a file name that can be shown and saved out of what a sender suggests: its
// last element, without control and formatting characters (which could show another suffix than
// the file has), without what some system forbids or takes for something else, not hidden, at
// most 200 bytes, never empty. It is idempotent. Whoever saves under the name still has to look
// whether a file of the name is there.
func SafeName(s string) string {
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = strings.Map(nameRune, strings.ToValidUTF8(s, "_"))
	s = trimName(s)
	if len(s) > maxName {
		suffix := ""
		if i := strings.LastIndexByte(s, '.'); i >= len(s)-maxSuffix {
			suffix = s[i:]
		}
		s = trimName(cut(s, maxName-len(suffix)) + suffix)
	}
	stem, _, _ := strings.Cut(strings.ToLower(s), ".")
	stem = strings.TrimSpace(stem)
	port := strings.HasPrefix(stem, "com") || strings.HasPrefix(stem, "lpt")
	switch {
	case s == "":
		return noName
	case devices[stem], port && utf8.RuneCountInString(stem) == 4 && strings.ContainsAny(stem[3:], "0123456789¹²³"):
		return cut("_"+s, maxName)
	}
	return s
}

// trimName takes away what hides a file (a dot at its beginning) or makes a shell take it for
// something else (a dash, a tilde), and what Windows takes away by itself (dots and spaces at
// the end), so that no two names are one.
func trimName(s string) string { return strings.TrimRight(strings.TrimLeft(s, " .~-"), " .") }

// nameRune keeps letters of every script with what joins them.
func nameRune(r rune) rune {
	switch {
	case r == '\u200c', r == '\u200d': // joiners, which some scripts and emoji need
		return r
	case strings.ContainsRune(forbidden, r), r == utf8.RuneError:
		return '_'
	case unicode.Is(unicode.Zs, r):
		return ' '
	case unicode.IsGraphic(r):
		return r
	}
	return -1 // controls, formatting and bidirectional characters, line separators, private use
}

// cut returns at most n bytes of s, ending with a whole character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// SafeType returns a media type's name in lower case without its parameters, or
// application/octet-stream for what is none. It is a sender's claim: a program that opens files
// looks for itself.
func SafeType(s string) string {
	name, _, _ := strings.Cut(s, ";")
	if len(name) > 2*maxType {
		return noType
	}
	kind, _, err := mime.ParseMediaType(name)
	if err != nil || len(kind) > maxType || strings.Count(kind, "/") != 1 {
		return noType
	}
	return kind
}
