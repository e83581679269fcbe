package content

import "fmt"

// Decode reads one message. It accepts exactly what [Message.Encode] writes; everything else
// is one of the package's errors. What it allocates is a small multiple of len(b), and the
// message aliases nothing of b.
func Decode(b []byte) (*Message, error) {
	if len(b) > MaxSize {
		return nil, ErrTooLarge
	}
	n, err := checkItem(b, maxDepth)
	if err != nil {
		return nil, err
	}
	if n != len(b) {
		return nil, ErrTrailing
	}
	d := &decoder{rest: b}
	m := d.message()
	if d.err != nil {
		return nil, fmt.Errorf("decoding a message: %w", d.err)
	}
	return m, nil
}

// decoder takes items from the front of bytes that checkItem has passed. The first error sticks.
type decoder struct {
	rest  []byte
	parts int
	err   error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.rest = err, nil
	}
}

// expect consumes the head of the next item if the item is of the given type, and returns its
// argument.
func (d *decoder) expect(major byte) uint64 {
	h, err := readHead(d.rest)
	if err != nil || h.major != major {
		d.fail(ErrSyntax)
		return 0
	}
	d.rest = d.rest[h.size:]
	return h.arg
}

// value decodes the next item, which is of the given type, into v.
func (d *decoder) value(major byte, v any) {
	if d.err == nil && (len(d.rest) == 0 || d.rest[0]>>5 != major) {
		d.fail(ErrSyntax)
	}
	if d.err != nil {
		return
	}
	rest, err := strict.UnmarshalFirst(d.rest, v)
	if err != nil {
		d.fail(fmt.Errorf("%w: %v", ErrSyntax, err))
		return
	}
	d.rest = rest
}

func (d *decoder) array(n uint64) {
	if d.expect(majorArray) != n {
		d.fail(ErrSyntax)
	}
}

func (d *decoder) uint(limit uint64) uint64 {
	v := d.expect(majorUint)
	if v > limit {
		d.fail(ErrSyntax)
	}
	return v
}

func (d *decoder) bytes() (b []byte) { d.value(majorBytes, &b); return b }
func (d *decoder) text() (s string)  { d.value(majorText, &s); return s }

func (d *decoder) bool() bool {
	h, err := readHead(d.rest)
	if err != nil || h.major != majorOther || (h.info != 20 && h.info != 21) {
		d.fail(ErrSyntax)
		return false
	}
	d.rest = d.rest[1:]
	return h.info == 21
}

// null consumes a null if one is next.
func (d *decoder) null() bool {
	if len(d.rest) == 0 || d.rest[0] != 0xf6 {
		return false
	}
	d.rest = d.rest[1:]
	return true
}

func (d *decoder) message() *Message {
	m := &Message{}
	d.array(7)
	salt := d.bytes()
	if len(salt) != SaltSize {
		d.fail(ErrSyntax)
	}
	copy(m.Salt[:], salt)
	m.Replaces = d.messageID()
	m.Topic = d.bytes()
	if len(m.Topic) > maxTopic {
		d.fail(ErrTooLarge)
	}
	m.Expires = d.expiration()
	m.InReplyTo = d.messageID()
	m.Extensions = d.extensions()
	m.Body = d.part(maxPartDepth)
	return m
}

func (d *decoder) messageID() *MessageID {
	if d.null() {
		return nil
	}
	b := d.bytes()
	switch {
	case len(b) != MessageIDSize:
		d.fail(ErrSyntax)
		return nil
	case b[0] != HashSHA256:
		d.fail(ErrHash)
		return nil
	}
	return new(MessageID(b))
}

func (d *decoder) expiration() *Expiration {
	if d.null() {
		return nil
	}
	e := &Expiration{}
	d.array(2)
	e.Relative = d.bool()
	e.Seconds = uint32(d.uint(1<<32 - 1))
	return e
}

func (d *decoder) extensions() Extensions {
	if _, err := checkItem(d.rest, maxExtDepth); err != nil {
		d.fail(err)
		return nil
	}
	n := d.expect(majorMap)
	if n == 0 {
		return nil
	}
	e := Extensions{}
	for range n {
		if d.err != nil {
			return nil
		}
		key := d.extensionKey()
		size, err := checkItem(d.rest, maxExtDepth-1)
		if err != nil {
			d.fail(err)
			return nil
		}
		e[key] = append([]byte(nil), d.rest[:size]...)
		if (key == SenderURI || key == RoomURI) && d.rest[0]>>5 != majorText {
			d.fail(ErrSyntax)
			return nil
		}
		d.rest = d.rest[size:]
	}
	return e
}

func (d *decoder) extensionKey() (key ExtensionKey) {
	if len(d.rest) == 0 {
		d.fail(ErrTruncated)
		return key
	}
	switch d.rest[0] >> 5 {
	case majorUint:
		key.Number = int64(d.expect(majorUint))
	case majorNegative:
		key.Number = -1 - int64(d.expect(majorNegative))
	default:
		if key.Name = d.text(); len(key.Name) == 0 || len(key.Name) > maxKeyText {
			d.fail(ErrSyntax)
		}
	}
	return key
}

func (d *decoder) part(depth int) (p Part) {
	if d.parts++; depth == 0 || d.parts > maxParts {
		if d.fail(ErrTooDeep); depth > 0 {
			d.err = ErrTooLarge
		}
		return p
	}
	fields := d.expect(majorArray)
	p.Disposition = Disposition(d.uint(255))
	p.Language = d.text()
	cardinality := d.uint(3)
	if want := [4]uint64{3, 5, 15, 5}; fields != want[cardinality&3] {
		d.fail(ErrSyntax)
		return p
	}
	switch cardinality {
	case 0:
		p.Content = Null{}
	case 1:
		p.Content = Single{ContentType: d.text(), Data: d.bytes()}
	case 2:
		p.Content = d.external()
	case 3:
		p.Content = d.multi(depth - 1)
	}
	return p
}

func (d *decoder) external() External {
	return External{
		ContentType: d.text(),
		URL:         d.text(),
		Expires:     uint32(d.uint(1<<32 - 1)),
		Size:        d.uint(1<<64 - 1),
		EncAlg:      uint16(d.uint(1<<16 - 1)),
		Key:         d.bytes(),
		Nonce:       d.bytes(),
		AAD:         d.bytes(),
		HashAlg:     uint8(d.uint(255)),
		ContentHash: d.bytes(),
		Description: d.text(),
		Filename:    d.text(),
	}
}

func (d *decoder) multi(depth int) Multi {
	m := Multi{Semantics: Semantics(d.uint(uint64(ProcessAll)))}
	n := d.expect(majorArray)
	if d.err == nil && n < 2 {
		d.fail(ErrSyntax)
	}
	for range n {
		if d.err != nil {
			break
		}
		m.Parts = append(m.Parts, d.part(depth))
	}
	return m
}
