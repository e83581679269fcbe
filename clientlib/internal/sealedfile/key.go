package sealedfile

import (
	"fmt"
	"log/slog"
)

// Key encrypts one file and nothing else, ever: nonces count from zero under it. It prints as
// "redacted", whatever the verb.
type Key [32]byte

const redacted = "redacted"

// String hides the key.
func (Key) String() string { return redacted }

// GoString hides the key.
func (Key) GoString() string { return redacted }

// Format hides the key.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the key.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the key from JSON.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format hides the key, and the hash, which names the file at the relay.
func (Info) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the same from logs.
func (Info) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the same from JSON.
func (Info) MarshalText() ([]byte, error) { return []byte(redacted), nil }
