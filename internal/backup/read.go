package backup

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Contents is what a backup is read into. An error of a method ends the reading and is returned.
// What was read before an error may be of a file that is not whole: whoever keeps anything of it
// reads the whole file first, into [Nothing].
type Contents interface {
	// Store gets the records of one store: next returns one after the other, in the order in
	// which they were written, and then a nil key. They are the callee's. It need not ask for all.
	Store(name string, next func() (key, sealed []byte, err error)) error
	// File gets a file of size bytes, which body ends after. It need not read all of it.
	File(name string, size int64, body io.Reader) error
}

// Nothing is Contents that keeps nothing.
var Nothing Contents = nothing{}

type nothing struct{}

func (nothing) Store(string, func() ([]byte, []byte, error)) error { return nil }
func (nothing) File(string, int64, io.Reader) error                { return nil }

// Read reads a backup to its end. Errors: ErrFormat, ErrDamaged, ErrKey, and those of in and of
// the contents.
func Read(in io.Reader, key [32]byte, contents Contents) (Summary, error) {
	c := &chunks{in: bufio.NewReaderSize(in, chunkSize), sum: sha256.New()}
	if err := c.open(&key); err != nil {
		return Summary{}, err
	}
	r := &reader{b: bufio.NewReader(c)}
	for {
		more, err := r.item(contents)
		if err != nil {
			return Summary{}, err
		}
		if !more {
			break
		}
	}
	if _, err := r.b.ReadByte(); err != io.EOF { // reads what is behind the last chunk, too
		return Summary{}, damaged(err)
	}
	r.done.Bytes, r.done.Sum = c.bytes, c.digest
	return r.done, nil
}

// Whole reads a backup to its end and compares its hash, which needs no key. Of the summary only
// Bytes and Sum are set.
func Whole(in io.Reader) (Summary, error) {
	c := &chunks{in: bufio.NewReaderSize(in, chunkSize), sum: sha256.New()}
	if err := c.open(nil); err != nil {
		return Summary{}, err
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return Summary{}, err
	}
	return Summary{Bytes: c.bytes, Sum: c.digest}, nil
}

// damaged turns the end of the file where more must come into ErrDamaged, and leaves errors of
// reading alone.
func damaged(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDamaged
	}
	return err
}

// chunks is the plaintext of a file, or nothing of it where there is no key. It ends only behind
// a hash that is right.
type chunks struct {
	in     *bufio.Reader
	sum    hash.Hash
	seal   cipher.AEAD // nil without a key
	bytes  uint64
	n      uint64
	left   []byte // of the chunk that was opened
	buf    []byte
	last   bool
	digest [32]byte
}

// take reads bytes that the hash covers.
func (c *chunks) take(b []byte) error {
	n, err := io.ReadFull(c.in, b)
	c.sum.Write(b[:n])
	c.bytes += uint64(n)
	if err != nil {
		return damaged(err)
	}
	return nil
}

func (c *chunks) open(key *[32]byte) error {
	start := make([]byte, len(magic)+saltSize+checkSize)
	err := c.take(start[:len(magic)])
	switch begins := string(start[:len(magic)]); {
	case begins == magic:
	case strings.HasPrefix(begins, family):
		return fmt.Errorf("%w: a newer version made it", ErrFormat)
	case err != nil && !errors.Is(err, ErrDamaged):
		return err
	default:
		return ErrFormat
	}
	if err := c.take(start[len(magic):]); err != nil {
		return err
	}
	c.buf = make([]byte, chunkSize+chacha20poly1305.Overhead)
	if key == nil {
		return nil
	}
	head, seal, err := header(*key, start[len(magic):len(magic)+saltSize])
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if !bytes.Equal(head, start) { // no secret: it stands in the file
		return ErrKey
	}
	c.seal = seal
	return nil
}

// Read implements [io.Reader].
func (c *chunks) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		if c.last {
			return 0, c.end()
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *chunks) next() error {
	var head [4]byte
	if err := c.take(head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[:])
	c.last = length&lastFlag != 0
	length &^= lastFlag
	if length < chacha20poly1305.Overhead || length > chunkSize+chacha20poly1305.Overhead {
		return ErrDamaged
	}
	sealed := c.buf[:length]
	if err := c.take(sealed); err != nil {
		return err
	}
	if c.seal == nil {
		return nil
	}
	var err error
	if c.left, err = c.seal.Open(sealed[:0], nonce(c.n, c.last), sealed, nil); err != nil {
		return ErrDamaged
	}
	c.n++
	return nil
}

// end compares the hash, behind which nothing may stand.
func (c *chunks) end() error {
	if c.digest != [32]byte{} {
		return io.EOF // read again
	}
	want := [32]byte(c.sum.Sum(nil))
	var got [32]byte
	if _, err := io.ReadFull(c.in, got[:]); err != nil {
		return damaged(err)
	}
	if got != want {
		return ErrDamaged
	}
	if _, err := c.in.ReadByte(); err != io.EOF {
		return damaged(err)
	}
	c.digest = want
	c.bytes += uint64(len(want))
	return io.EOF
}
