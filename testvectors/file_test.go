package testvectors_test

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// Sealed files: clientlib/PROTOCOL.md.

const segmentOf = 65520 // bytes of the stream in a segment

// sealedSize is Padmé of what length, tags and content need.
func sealedSize(n int) int {
	s := max(1024, n+8+16*((n+8+segmentOf-1)/segmentOf))
	e := bits.Len(uint(s)) - 1
	unit := 1 << (e - (bits.Len(uint(e)) - 1) - 1)
	return (s + unit - 1) / unit * unit
}

// fileStream is content, zeros and length, as many bytes as the sealed size has room for.
func fileStream(content []byte) []byte {
	size := sealedSize(len(content))
	stream := make([]byte, size-16*((size+65535)/65536))
	copy(stream, content)
	binary.BigEndian.PutUint64(stream[len(stream)-8:], uint64(len(content)))
	return stream
}

// segments seals a stream; nonce says what each segment is sealed under.
func segments(key, stream, aad []byte, nonce func(i int, last bool) []byte) [][]byte {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err) // keys have 32 bytes
	}
	var out [][]byte
	for i := 0; ; i++ {
		n := min(segmentOf, len(stream))
		last := n == len(stream)
		out = append(out, aead.Seal(nil, nonce(i, last), stream[:n], aad))
		if stream = stream[n:]; last {
			return out
		}
	}
}

var fileAAD = join(opaque([]byte("sealpost file 1")), u32(65536))

func fileNonce(i int, last bool) []byte {
	n := join(make([]byte, 3), u64(uint64(i)), []byte{0})
	if last {
		n[11] = 1
	}
	return n
}

func fileVector(name string, content []byte, times int) object {
	key, whole := random("file key "+name, 32), bytes.Repeat(content, times)
	sealed := join(segments(key, fileStream(whole), fileAAD, fileNonce)...)
	v := object{{"name", name}, {"key", key}, {"content", content}, {"times", times}, {"plain", len(whole)},
		{"size", sealedSize(len(whole))}, {"hash", hash(sealed)}}
	if times == 1 {
		v = append(v, member{"sealed", sealed})
	}
	return v
}

func fileVectors(*testing.T) []object {
	key, content := random("file key", 32), random("file content", 300)
	stream := fileStream(content)
	good := join(segments(key, stream, fileAAD, fileNonce)...)
	bad := func(name, class string, plain int, hash, sealed []byte) object {
		return object{{"name", name}, {"key", key}, {"plain", plain}, {"hash", hash}, {"sealed", sealed}, {"error", class}}
	}
	made := func(name, class string, plain int, sealed []byte) object {
		return bad(name, class, plain, hash(sealed), sealed)
	}
	with := func(stream []byte) []byte { return join(segments(key, stream, fileAAD, fileNonce)...) }
	notLast := segments(key, stream, fileAAD, func(i int, _ bool) []byte { return fileNonce(i, false) })
	second := segments(key, stream, fileAAD, func(i int, last bool) []byte { return fileNonce(i+1, last) })
	later := segments(key, stream, join(opaque([]byte("sealpost file 2")), u32(65536)), fileNonce)
	otherKey := segments(random("another file key", 32), stream, fileAAD, fileNonce)
	return []object{
		fileVector("no content", nil, 1),
		fileVector("a byte", []byte{7}, 1),
		fileVector("the longest in 1,024 bytes", random("1000", 1000), 1),
		fileVector("a byte more", random("1001", 1001), 1),
		fileVector("one full segment, of which 728 bytes are padding", random("one segment", 182), 356),
		fileVector("two segments", random("two segments", 1000), 70),
		fileVector("many segments", random("many segments", 1021), 1009),
		bad("a bit changed", "damaged", 300, hash(good), flipped(good, 5)),
		bad("cut short", "damaged", 300, hash(good), good[:len(good)-1]),
		bad("a byte more than the hash covers", "damaged", 300, hash(good), append(good[:len(good):len(good)], 0)),
		bad("another hash", "damaged", 300, hash(content), good),
		made("a length of another size", "damaged", 5000, good),
		made("a bit changed by who sealed it", "segment", 300, flipped(good, 5)),
		made("another key", "segment", 300, join(otherKey...)),
		made("another version", "segment", 300, join(later...)),
		made("the only segment is not the last", "segment", 300, join(notLast...)),
		made("the second segment in the place of the first", "segment", 300, join(second...)),
		made("another length in the message", "length", 301, good),
		made("a length beyond the stream", "length", 300, with(flipped(stream, -8))),
		made("padding that is not zero", "padding", 300, with(flipped(stream, 300))),
		made("padding that is not zero at its end", "padding", 300, with(flipped(stream, -9))),
	}
}
