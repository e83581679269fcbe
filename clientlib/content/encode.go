package content

import "fmt"

// Encode writes m. It fails, with the error that [Decode] would give, for a message that no
// receiver would accept.
func (m *Message) Encode() ([]byte, error) {
	body, err := m.Body.wire(maxPartDepth)
	if err != nil {
		return nil, err
	}
	var expires any
	if m.Expires != nil {
		expires = []any{m.Expires.Relative, m.Expires.Seconds}
	}
	for key := range m.Extensions {
		if key.Name != "" && key.Number != 0 {
			return nil, fmt.Errorf("%w: an extension has a name and a number", ErrSyntax)
		}
	}
	b, err := det.Marshal([]any{
		m.Salt[:], optionalID(m.Replaces), m.Topic, expires, optionalID(m.InReplyTo),
		m.Extensions.wire(), body,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSyntax, err)
	}
	// One rule for both directions: what we send is what we would accept.
	if _, err := Decode(b); err != nil {
		return nil, err
	}
	return b, nil
}

func optionalID(id *MessageID) any {
	if id == nil {
		return nil
	}
	return id[:]
}

func (p *Part) wire(depth int) ([]any, error) {
	if depth == 0 {
		return nil, ErrTooDeep
	}
	switch c := p.Content.(type) {
	case Single:
		return p.fields(c, c.ContentType, c.Data), nil
	case External:
		return p.fields(c, c.ContentType, c.URL, c.Expires, c.Size, c.EncAlg, c.Key, c.Nonce,
			c.AAD, c.HashAlg, c.ContentHash, c.Description, c.Filename), nil
	case Multi:
		parts := make([]any, len(c.Parts))
		for i := range c.Parts {
			part, err := c.Parts[i].wire(depth - 1)
			if err != nil {
				return nil, err
			}
			parts[i] = part
		}
		return p.fields(c, c.Semantics, parts), nil
	case Null, nil:
		return p.fields(Null{}), nil
	}
	return nil, ErrSyntax // a pointer to one of them
}

func (p *Part) fields(c PartContent, rest ...any) []any {
	return append([]any{p.Disposition, p.Language, c.cardinality()}, rest...)
}
