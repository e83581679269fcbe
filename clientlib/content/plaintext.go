package content

import (
	"html"
	"mime"
	"strings"
	"unicode"
)

// PlainText returns the message's words for a search index or one line-mode display: texts
// as they are, Markdown with its marks, HTML without its tags, attachments by description or
// file name. Of alternatives the first with any words counts; other parts are joined by line
// breaks. Control characters (which could drive a terminal) and bidirectional overrides and
// isolates (which could show words in another order) are left out; line breaks and tabs stay.
func (m *Message) PlainText() string {
	return strings.TrimSpace(strings.Map(printable, m.Body.plain()))
}

func printable(r rune) rune {
	switch {
	case r == '\n' || r == '\t':
		return r
	case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return -1
	}
	return r
}

func (p *Part) plain() string {
	switch c := p.Content.(type) {
	case Single:
		return c.plain()
	case External:
		if c.Description != "" {
			return c.Description
		}
		if c.Filename != "" {
			return SafeName(c.Filename)
		}
	case Multi:
		var all []string
		for i := range c.Parts {
			s := c.Parts[i].plain()
			if s == "" {
				continue
			}
			if all = append(all, s); c.Semantics == ChooseOne {
				break
			}
		}
		return strings.Join(all, "\n")
	}
	return ""
}

func (s Single) plain() string {
	kind, _, err := mime.ParseMediaType(s.ContentType)
	if err != nil {
		return ""
	}
	text := strings.ToValidUTF8(string(s.Data), "\ufffd")
	switch kind {
	case "text/plain", "text/markdown":
		return text
	case "text/html":
		return stripTags(text)
	}
	return ""
}

// stripTags returns the words of an HTML document. The result is text to index or print; it
// is never used as HTML, so an odd document costs beauty and not safety.
func stripTags(s string) string {
	var out strings.Builder
	for s != "" {
		before, tag, found := strings.Cut(s, "<")
		out.WriteString(html.UnescapeString(before))
		if !found {
			break
		}
		name, rest, _ := strings.Cut(tag, ">")
		s = rest
		name, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(name)), " ")
		switch strings.Trim(name, "/") {
		case "p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6":
			out.WriteByte('\n')
		case "script", "style":
			if name[0] != '/' {
				_, s, _ = strings.Cut(s, "</"+name)
				_, s, _ = strings.Cut(s, ">")
			}
		}
	}
	lines := strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "\n")
}
