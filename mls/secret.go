package mls

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "redacted"

// A secret is key material: never printed, never compared with ==.
type secret []byte

func (secret) String() string               { return redacted }
func (secret) GoString() string             { return redacted }
func (secret) Format(f fmt.State, _ rune)   { printRedacted(f) }
func (secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// printRedacted serves the Format methods: fmt prints unexported fields by reflection and
// would reach secrets inside a struct that has no Format of its own.
func printRedacted(f fmt.State) { _, _ = io.WriteString(f, redacted) }
