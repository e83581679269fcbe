package backup

import (
	"bufio"
	"encoding/binary"
	"io"
)

// reader takes the plaintext apart.
type reader struct {
	b    *bufio.Reader
	done Summary
}

// item reads one item; more is false after the last one.
func (r *reader) item(contents Contents) (more bool, err error) {
	kind, err := r.b.ReadByte()
	if err != nil {
		return false, damaged(err)
	}
	switch kind {
	case itemStore:
		return true, r.store(contents)
	case itemFile:
		return true, r.file(contents)
	case itemEnd:
		var counts [16]byte
		if err := r.full(counts[:]); err != nil {
			return false, err
		}
		if binary.BigEndian.Uint64(counts[:]) != r.done.Records || binary.BigEndian.Uint64(counts[8:]) != r.done.Files {
			return false, ErrDamaged
		}
		return false, nil
	}
	return false, ErrDamaged
}

func (r *reader) full(b []byte) error {
	if _, err := io.ReadFull(r.b, b); err != nil {
		return damaged(err)
	}
	return nil
}

// bytes reads bytes behind a length of so many bytes.
func (r *reader) bytes(lengthSize, most int) ([]byte, error) {
	var head [4]byte
	if err := r.full(head[4-lengthSize:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(most) {
		return nil, ErrDamaged
	}
	b := make([]byte, n)
	return b, r.full(b)
}

func (r *reader) store(contents Contents) error {
	name, err := r.bytes(1, maxName)
	if err != nil {
		return err
	}
	if err := contents.Store(string(name), r.record); err != nil {
		return err
	}
	for { // what the contents did not ask for
		if key, _, err := r.record(); key == nil || err != nil {
			return err
		}
	}
}

// record reads a record, if that is what comes next.
func (r *reader) record() (key, sealed []byte, err error) {
	kind, err := r.b.Peek(1)
	if err != nil {
		return nil, nil, damaged(err)
	}
	if kind[0] != itemRecord {
		return nil, nil, nil
	}
	_, _ = r.b.Discard(1)
	if key, err = r.bytes(2, maxKey); err != nil {
		return nil, nil, err
	}
	if len(key) == 0 {
		return nil, nil, ErrDamaged
	}
	if sealed, err = r.bytes(4, maxRecord); err != nil {
		return nil, nil, err
	}
	r.done.Records++
	return key, sealed, nil
}

func (r *reader) file(contents Contents) error {
	name, err := r.bytes(1, maxName)
	if err != nil {
		return err
	}
	var head [8]byte
	if err := r.full(head[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint64(head[:]))
	if size < 0 {
		return ErrDamaged
	}
	body := &body{r: r, left: size}
	if err := contents.File(string(name), size, body); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, body); err != nil { // what the contents did not read
		return err
	}
	r.done.Files++
	return nil
}

// body is the bytes of one file. That they end too early is no end of the file.
type body struct {
	r    *reader
	left int64
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.r.b.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil {
		err = damaged(err)
	}
	return n, err
}
