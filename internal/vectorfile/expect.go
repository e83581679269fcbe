package vectorfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Bytes compares one computed byte string with the vector's.
func Bytes(what string, got []byte, want Hex) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is %x, want %x", what, got, []byte(want))
	}
	return nil
}

// Value compares one computed value with the vector's.
func Value[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

// First returns the first of the errors that is not nil.
func First(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// Fill copies h into a field of fixed size; any other length is an error.
func Fill(what string, dst []byte, h Hex) error {
	if len(h) != len(dst) {
		return fmt.Errorf("%s has %d bytes, not %d", what, len(h), len(dst))
	}
	copy(dst, h)
	return nil
}

// Refused compares an error with the class that the vector names; the class "" is success.
func Refused(got error, class string, classes map[string]error) error {
	if class == "" {
		return got
	}
	want, ok := classes[class]
	switch {
	case !ok:
		return fmt.Errorf("there is no error class %q", class)
	case got == nil:
		return fmt.Errorf("accepted, and must be refused as %s", class)
	case !errors.Is(got, want):
		return fmt.Errorf("refused with %q, and must be refused as %s", got, class)
	}
	return nil
}
