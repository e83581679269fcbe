package backup

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A Writer makes a backup. After an error it is of no use, and what it wrote is refused by
// whoever reads it. It is for one goroutine.
type Writer struct {
	out   io.Writer // and into sum
	sum   hash.Hash
	seal  cipher.AEAD
	chunk []byte // plaintext of the next one
	n     uint64
	done  Summary
	err   error
}

var errItem = errors.New("backup: a name or record is too large")

// NewWriter begins a backup under key.
func NewWriter(out io.Writer, key [32]byte) (*Writer, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: the process ends instead
	head, seal, err := header(key, salt)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	w := &Writer{sum: sha256.New(), seal: seal, chunk: make([]byte, 0, chunkSize)}
	w.out = io.MultiWriter(out, w.sum)
	w.raw(head)
	return w, w.err
}

// Store says whose the records are that follow.
func (w *Writer) Store(name string) error {
	if len(name) > maxName {
		return errItem
	}
	w.put([]byte{itemStore, byte(len(name))})
	w.put([]byte(name))
	return w.err
}

// Record adds a record of the store that was named last. The key is not empty.
func (w *Writer) Record(key, sealed []byte) error {
	if len(key) == 0 || len(key) > maxKey || len(sealed) > maxRecord {
		return errItem
	}
	w.put(binary.BigEndian.AppendUint16([]byte{itemRecord}, uint16(len(key))))
	w.put(key)
	w.put(binary.BigEndian.AppendUint32(nil, uint32(len(sealed))))
	w.put(sealed)
	w.done.Records++
	return w.err
}

// File adds a file of size bytes; r has as many, or the backup fails.
func (w *Writer) File(name string, size int64, r io.Reader) error {
	if len(name) > maxName || size < 0 {
		return errItem
	}
	w.put([]byte{itemFile, byte(len(name))})
	w.put([]byte(name))
	w.put(binary.BigEndian.AppendUint64(nil, uint64(size)))
	n, err := io.Copy(plaintext{w}, io.LimitReader(r, size))
	switch {
	case w.err != nil:
	case err != nil:
		w.err = err
	case n != size:
		w.err = fmt.Errorf("backup: a file has %d bytes, not %d", n, size)
	}
	w.done.Files++
	return w.err
}

// Close ends the backup: without it the file is not whole. It does not close what is below.
func (w *Writer) Close() (Summary, error) {
	end := binary.BigEndian.AppendUint64([]byte{itemEnd}, w.done.Records)
	w.put(binary.BigEndian.AppendUint64(end, w.done.Files))
	w.flush(true)
	w.done.Sum = [32]byte(w.sum.Sum(nil))
	w.raw(w.done.Sum[:])
	return w.done, w.err
}

// plaintext is what io.Copy writes a file's bytes into.
type plaintext struct{ *Writer }

func (p plaintext) Write(b []byte) (int, error) {
	p.put(b)
	return len(b), p.err
}

// put adds plaintext.
func (w *Writer) put(b []byte) {
	for len(b) > 0 {
		if len(w.chunk) == chunkSize {
			w.flush(false)
		}
		n := min(len(b), chunkSize-len(w.chunk))
		w.chunk = append(w.chunk, b[:n]...)
		b = b[n:]
	}
}

// flush seals and writes the chunk.
func (w *Writer) flush(last bool) {
	sealed := w.seal.Seal(make([]byte, 4, 4+len(w.chunk)+w.seal.Overhead()), nonce(w.n, last), w.chunk, nil)
	length := uint32(len(sealed) - 4)
	if last {
		length |= lastFlag
	}
	binary.BigEndian.PutUint32(sealed, length)
	w.raw(sealed)
	w.chunk = w.chunk[:0]
	w.n++
}

func (w *Writer) raw(b []byte) {
	if w.err == nil {
		var n int
		n, w.err = w.out.Write(b)
		w.done.Bytes += uint64(n)
	}
}
