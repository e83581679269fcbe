package content

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// CBOR's major types (RFC 8949 section 3.1).
const (
	majorUint byte = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorOther
)

// The library's modes. Decoding runs only on bytes that the checker has passed.
var (
	det = must(cbor.EncOptions{
		Sort: cbor.SortCoreDeterministic, ShortestFloat: cbor.ShortestFloat16,
		NaNConvert: cbor.NaNConvert7e00, InfConvert: cbor.InfConvertFloat16,
		IndefLength: cbor.IndefLengthForbidden, NilContainers: cbor.NilContainerAsEmpty,
	}.EncMode())
	strict = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxNestedLevels: maxDepth, MaxArrayElements: MaxSize, MaxMapPairs: MaxSize,
	}.DecMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // constant options
	}
	return mode
}

// head is the first bytes of a CBOR item: its type, its argument and where its content starts.
type head struct {
	major, info byte
	arg         uint64
	size        int
}

// readHead reads the head of the item at the front of b, in its shortest form only.
func readHead(b []byte) (head, error) {
	if len(b) == 0 {
		return head{}, ErrTruncated
	}
	h := head{major: b[0] >> 5, info: b[0] & 31, size: 1}
	h.arg = uint64(h.info)
	if h.info < 24 {
		return h, nil
	}
	if h.info == 31 && h.major >= majorBytes && h.major <= majorMap {
		return h, ErrIndefinite
	}
	if h.info > 27 {
		return h, ErrSyntax
	}
	n := 1 << (h.info - 24)
	if len(b) < 1+n {
		return h, ErrTruncated
	}
	var wide [8]byte
	copy(wide[8-n:], b[1:1+n])
	h.arg, h.size = binary.BigEndian.Uint64(wide[:]), 1+n
	if h.major == majorOther {
		return h, nil // floats have no argument in this sense
	}
	if floor := [4]uint64{24, 1 << 8, 1 << 16, 1 << 32}; h.arg < floor[h.info-24] {
		return h, ErrNotDeterministic
	}
	return h, nil
}

// checkItem returns how many bytes the deterministic item at the front of b has. It
// allocates nothing; depth is how many levels of arrays, maps and tags may still open.
func checkItem(b []byte, depth int) (int, error) {
	h, err := readHead(b)
	if err != nil {
		return 0, err
	}
	switch h.major {
	case majorBytes, majorText:
		if h.arg > uint64(len(b)-h.size) {
			return 0, ErrTruncated
		}
		end := h.size + int(h.arg)
		if h.major == majorText && !utf8.Valid(b[h.size:end]) {
			return 0, ErrUTF8
		}
		return end, nil
	case majorArray, majorMap, majorTag:
		if depth == 0 {
			return 0, ErrTooDeep
		}
		return checkNested(b, h, depth-1)
	case majorOther:
		return h.size, checkOther(h)
	}
	return h.size, nil
}

func checkNested(b []byte, h head, depth int) (int, error) {
	if h.major == majorTag {
		n, err := checkItem(b[h.size:], depth)
		if err == nil {
			err = checkBignum(h.arg, b[h.size:h.size+n])
		}
		return h.size + n, err
	}
	// Every element has a byte or more, so a count beyond what is left cannot be true.
	if h.arg > uint64(len(b)-h.size) {
		return 0, ErrTruncated
	}
	off, last := h.size, []byte(nil)
	for range h.arg {
		n, err := checkItem(b[off:], depth)
		if err != nil {
			return 0, err
		}
		if h.major == majorMap {
			key := b[off : off+n]
			if err := checkKey(key, last); err != nil {
				return 0, err
			}
			last, off = key, off+n
			if n, err = checkItem(b[off:], depth); err != nil {
				return 0, err
			}
		}
		off += n
	}
	return off, nil
}

// checkKey holds a map key to the draft's data model (section 5.2) and to the order of
// RFC 8949 section 4.2.1.
func checkKey(key, last []byte) error {
	h, err := readHead(key)
	if err != nil {
		return err
	}
	switch h.major {
	case majorUint:
		if h.arg > maxKeyInt {
			return ErrSyntax
		}
	case majorNegative:
		if h.arg > maxKeyInt-1 {
			return ErrSyntax
		}
	case majorBytes, majorText:
	default:
		return ErrSyntax
	}
	if last == nil {
		return nil
	}
	switch order := bytes.Compare(last, key); {
	case order == 0:
		return ErrDuplicateKey
	case order > 0:
		return ErrNotDeterministic
	}
	return nil
}

// checkBignum refuses a bignum that fits an integer or starts with a zero.
func checkBignum(tag uint64, content []byte) error {
	if tag != 2 && tag != 3 {
		return nil
	}
	h, err := readHead(content)
	if err != nil {
		return err
	}
	if h.major != majorBytes {
		return ErrSyntax
	}
	if h.arg <= 8 || content[h.size] == 0 {
		return ErrNotDeterministic
	}
	return nil
}

// checkOther checks simple values and floats: the shortest float that holds the value, and
// one not-a-number (section 5.2).
func checkOther(h head) error {
	switch h.info {
	case 24:
		if h.arg < 32 {
			return ErrSyntax
		}
	case 25:
		if h.arg&0x7c00 == 0x7c00 && h.arg&0x3ff != 0 && h.arg != 0x7e00 {
			return ErrNotDeterministic
		}
	case 26:
		if fitsHalf(uint32(h.arg)) {
			return ErrNotDeterministic
		}
	case 27:
		v := math.Float64frombits(h.arg)
		if v != v || float64(float32(v)) == v {
			return ErrNotDeterministic
		}
	}
	return nil
}

// fitsHalf reports whether a float32 has a shorter encoding: half width holds it, or it is
// not a number, which has one encoding only.
func fitsHalf(bits uint32) bool {
	exponent, fraction := int(bits>>23&0xff)-127, bits&(1<<23-1)
	switch {
	case exponent == 128, exponent == -127 && fraction == 0: // infinite, not a number, zero
		return true
	case exponent > 15 || exponent < -24:
		return false
	case exponent >= -14:
		return fraction&(1<<13-1) == 0
	}
	// Half width writes these without a leading one, in steps of 2^-24.
	lost := 13 + (-14 - exponent)
	return (fraction|1<<23)&(1<<lost-1) == 0
}
