package sealedfile

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// Verify reads a whole sealed file and reports whether it is exactly the size bytes that hash
// names. It fails with [ErrDamaged] if not, and with src's error if src cannot be read.
func Verify(src io.ReaderAt, hash [32]byte, size int64) error {
	h := sha256.New()
	n, err := io.CopyBuffer(h, readerOnly{io.NewSectionReader(src, 0, size)}, make([]byte, segment))
	if err != nil {
		return fmt.Errorf("reading a sealed file: %w", err)
	}
	var more [1]byte
	if extra, _ := src.ReadAt(more[:], size); n != size || extra > 0 || [32]byte(h.Sum(nil)) != hash {
		return ErrDamaged
	}
	return nil
}

// readerOnly hides what would make io.CopyBuffer pass over its buffer.
type readerOnly struct{ io.Reader }

// Open writes the content of the sealed file src to dst. It reads src twice: nothing is written
// before all of it has the hash and the size that info tells. On a later error, of dst or of
// this package, what dst has is to be thrown away. src must not change meanwhile; if it does,
// the segments do not open.
func Open(dst io.Writer, src io.ReaderAt, info Info) error {
	size, err := SealedSize(info.Plain)
	if err != nil {
		return err
	}
	if err := Verify(src, info.Hash, size); err != nil {
		return err
	}
	aead, err := chacha20poly1305.New(info.Key[:])
	if err != nil {
		return err
	}
	out := &unpadded{dst: dst, plain: info.Plain, rest: streamSize(size)}
	buf := make([]byte, segment)
	for number, at := uint64(0), int64(0); at < size; number++ {
		sealed := buf[:min(segment, size-at)]
		if n, err := src.ReadAt(sealed, at); n < len(sealed) {
			if errors.Is(err, io.EOF) {
				err = ErrDamaged
			}
			return fmt.Errorf("reading a sealed file: %w", err)
		}
		at += int64(len(sealed))
		plain, err := aead.Open(sealed[:0], nonce(number, at == size), sealed, []byte(bound))
		if err != nil {
			return ErrSegment
		}
		if err := out.take(plain); err != nil {
			return err
		}
	}
	return nil
}

// unpadded takes the stream apart again: content to dst, then zeros, then the length.
type unpadded struct {
	dst    io.Writer
	plain  int64 // bytes of content in all
	at     int64 // bytes of the stream so far
	rest   int64 // bytes of the stream to come
	length [trailer]byte
}

func (u *unpadded) take(b []byte) error {
	if n := min(int64(len(b)), u.plain-u.at); n > 0 {
		if _, err := u.dst.Write(b[:n]); err != nil {
			return fmt.Errorf("writing an opened file: %w", err)
		}
		u.at, u.rest, b = u.at+n, u.rest-n, b[n:]
	}
	for _, c := range b {
		switch {
		case u.rest <= trailer:
			u.length[trailer-u.rest] = c
		case c != 0:
			return ErrPadding
		}
		u.at++
		u.rest--
	}
	if u.rest == 0 && binary.BigEndian.Uint64(u.length[:]) != uint64(u.plain) {
		return ErrLength
	}
	return nil
}
