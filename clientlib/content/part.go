package content

import "iter"

// Disposition is what a part is for (section 3.3). Unknown values are treated as [Render].
type Disposition uint8

// The draft's dispositions.
const (
	Unspecified Disposition = 0
	Render      Disposition = 1
	ReactionTo  Disposition = 2 // a reaction to the message that InReplyTo names
	Profile     Disposition = 3
	Inline      Disposition = 4
	Icon        Disposition = 5
	Attachment  Disposition = 6
	Session     Disposition = 7 // a conference, or a URI to join one
	Preview     Disposition = 8
)

// Media types that every client reads (section 6.1).
const (
	PlainTextType = "text/plain;charset=utf-8"
	MarkdownType  = "text/markdown;variant=GFM-MIMI"
)

// A Part is a message's body, or a part of it.
type Part struct {
	Disposition Disposition
	Language    string // RFC 5646 tags separated by commas, or empty
	Content     PartContent
}

// PartContent is [Null], [Single], [External] or [Multi]. The nil interface is taken as Null.
type PartContent interface{ cardinality() uint8 }

// Null is the body of a deletion.
type Null struct{}

// Single is a part that stands inside the message.
type Single struct {
	ContentType string
	Data        []byte
}

// External is content that stands elsewhere, usually an encrypted attachment. The receiver
// checks size and hash before it shows anything, and lets no server learn its address by
// fetching by itself.
type External struct {
	ContentType string
	URL         string
	Expires     uint32 // seconds since 1970; 0 for never
	Size        uint64 // octets; 0 if not told
	EncAlg      uint16 // IANA AEAD algorithm; 0 for not encrypted
	Key         []byte
	Nonce       []byte
	AAD         []byte
	HashAlg     uint8 // IANA Named Information hash algorithm; 0 for none
	ContentHash []byte
	Description string
	Filename    string // a suggestion by the sender, not a safe path
}

// Semantics says how the parts of a [Multi] relate.
type Semantics uint8

// The draft's part semantics.
const (
	ChooseOne  Semantics = 0 // the receiver picks one
	SingleUnit Semantics = 1 // all or none
	ProcessAll Semantics = 2 // as many as the receiver can
)

// Multi is a part made of at least two others.
type Multi struct {
	Semantics Semantics
	Parts     []Part
}

func (Null) cardinality() uint8     { return 0 }
func (Single) cardinality() uint8   { return 1 }
func (External) cardinality() uint8 { return 2 }
func (Multi) cardinality() uint8    { return 3 }

// Parts iterates over the body and all parts below it, depth first, with the part index by
// which cid:index@local.invalid refers to them (section 3.3).
func (m *Message) Parts() iter.Seq2[int, *Part] {
	return func(yield func(int, *Part) bool) {
		index := 0
		m.Body.walk(&index, yield)
	}
}

func (p *Part) walk(index *int, yield func(int, *Part) bool) bool {
	if !yield(*index, p) {
		return false
	}
	*index++
	multi, ok := p.Content.(Multi)
	if !ok {
		return true
	}
	for i := range multi.Parts {
		if !multi.Parts[i].walk(index, yield) {
			return false
		}
	}
	return true
}
