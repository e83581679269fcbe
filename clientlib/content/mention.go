package content

import (
	"html"
	"strings"
)

// A Mention is a link in a message's text whose label starts with @ (a person) or # (a room
// or tag), as section 4.5 writes them.
type Mention struct {
	Label string // with the mark
	URI   string // whom the sender claims to mean; the caller compares it with the members
}

// maxMentions bounds what one message can notify: more are a flood.
const maxMentions = 64

// Mentions returns the mentions in the message's Markdown and HTML parts, at most 64.
func (m *Message) Mentions() []Mention {
	var out []Mention
	for _, p := range m.Parts() {
		s, ok := p.Content.(Single)
		if !ok {
			continue
		}
		switch kind, _, _ := strings.Cut(strings.ToLower(s.ContentType), ";"); strings.TrimSpace(kind) {
		case "text/markdown":
			out = append(out, markdownMentions(string(s.Data))...)
		case "text/html":
			out = append(out, htmlMentions(string(s.Data))...)
		}
	}
	return out[:min(len(out), maxMentions)]
}

// markdownMentions finds [@label](uri). It looks at each byte about once, whatever the text.
func markdownMentions(s string) (out []Mention) {
	for len(out) < maxMentions {
		_, rest, found := strings.Cut(s, "[")
		if !found {
			break
		}
		s = rest
		end := strings.IndexAny(s, "[]\n")
		if !marked(s) || end < 0 || !strings.HasPrefix(s[end:], "](") {
			continue
		}
		label, rest := s[:end], s[end+2:]
		if end = strings.IndexAny(rest, ") \n"); end < 0 {
			break
		}
		if end > 0 && rest[end] == ')' {
			out = append(out, Mention{Label: label, URI: rest[:end]})
		}
		s = rest[end:]
	}
	return out
}

// htmlMentions finds <a href="uri">@label</a>.
func htmlMentions(s string) (out []Mention) {
	for len(out) < maxMentions {
		_, rest, found := strings.Cut(s, `<a href="`)
		if !found {
			break
		}
		uri, rest, found := strings.Cut(rest, `">`)
		if !found {
			break
		}
		label, rest, found := strings.Cut(rest, "</a>")
		if !found {
			break
		}
		if s = rest; marked(label) && uri != "" {
			out = append(out, Mention{Label: html.UnescapeString(label), URI: html.UnescapeString(uri)})
		}
	}
	return out
}

func marked(s string) bool { return s != "" && (s[0] == '@' || s[0] == '#') }
