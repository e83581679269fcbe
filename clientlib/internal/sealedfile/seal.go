package sealedfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// Seal reads src to its end and writes the sealed file to dst, under a new random key. A file
// that would have more than limit bytes sealed fails with [ErrTooLarge]; 0 means [MaxSize]. On
// any error what was written is of no use, and the key is forgotten.
func Seal(dst io.Writer, src io.Reader, limit int64) (Info, error) {
	var key Key
	rand.Read(key[:]) // never fails
	if limit <= 0 || limit > MaxSize {
		limit = MaxSize
	}
	return seal(dst, src, key, limit)
}

func seal(dst io.Writer, src io.Reader, key Key, limit int64) (Info, error) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return Info{}, err
	}
	hash := sha256.New()
	out := io.MultiWriter(hash, dst)
	in := &padded{src: src, limit: limit}
	buf := make([]byte, content, segment)
	for number := uint64(0); ; number++ {
		n, _ := io.ReadFull(in, buf) // the end of the stream is known by its length
		if in.err != nil {
			return Info{}, fmt.Errorf("sealing a file: %w", in.err)
		}
		// The length still follows content that has not ended, so a full segment is the last
		// only if the stream's end is known.
		last := in.ended && in.rest == 0
		if _, err := out.Write(aead.Seal(buf[:0], nonce(number, last), buf[:n], []byte(bound))); err != nil {
			return Info{}, fmt.Errorf("sealing a file: %w", err)
		}
		if last {
			return Info{Key: key, Hash: [32]byte(hash.Sum(nil)), Plain: in.plain}, nil
		}
	}
}

// padded is the stream that is sealed: the content, zeros, and uint64 length.
type padded struct {
	src   io.Reader
	limit int64 // of the sealed size
	plain int64 // bytes of content so far
	ended bool
	rest  int64 // bytes after the content that are still to come, once it has ended
	err   error // of src, or ErrTooLarge
}

// Read implements io.Reader. io.EOF comes after the length; any other error is in p.err.
func (p *padded) Read(b []byte) (int, error) {
	if !p.ended {
		n, err := p.src.Read(b)
		p.plain += int64(n)
		// Checked while it grows: an endless source must not fill the disk.
		size, tooLarge := SealedSize(p.plain)
		switch {
		case tooLarge != nil || size > p.limit:
			p.err = ErrTooLarge
		case err == io.EOF:
			p.ended, p.rest = true, streamSize(size)-p.plain
		default:
			p.err = err
		}
		return n, p.err
	}
	if p.rest == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.rest))
	clear(b[:n])
	var length [trailer]byte
	binary.BigEndian.PutUint64(length[:], uint64(p.plain))
	for i := range n {
		if left := p.rest - int64(i); left <= trailer {
			b[i] = length[trailer-left]
		}
	}
	p.rest -= int64(n)
	return n, nil
}
