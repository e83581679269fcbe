package content

// Kind is what a message does.
type Kind uint8

// The kinds, by the first rule that fits: a message that replaces another is an edit or a
// deletion (of a reaction: a [Unreact]), one whose body is a reaction is a reaction, one
// with an attachment or a conference is that, one that answers another is a reply.
const (
	KindText Kind = iota
	KindReply
	KindReaction
	KindUnreact
	KindEdit
	KindDelete
	KindAttachment
	KindSession
	KindEmpty // a body of no parts that replaces nothing: there is nothing to show
)

// Kind classifies m. A reaction that reacts to nothing is shown as a text.
func (m *Message) Kind() Kind {
	_, empty := m.Body.Content.(Null)
	empty = empty || m.Body.Content == nil
	reaction := m.Body.Disposition == ReactionTo && m.InReplyTo != nil
	switch {
	case m.Replaces != nil && empty && reaction:
		return KindUnreact
	case m.Replaces != nil && empty:
		return KindDelete
	case reaction && !empty:
		return KindReaction // with Replaces set, it takes the place of the sender's earlier one
	case m.Replaces != nil:
		return KindEdit
	case empty:
		return KindEmpty
	}
	for _, p := range m.Parts() {
		switch p.Disposition {
		case Attachment:
			return KindAttachment
		case Session:
			return KindSession
		}
	}
	if m.InReplyTo != nil {
		return KindReply
	}
	return KindText
}
