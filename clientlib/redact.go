package clientlib

import (
	"fmt"
	"log/slog"
)

// What holds keys prints as "redacted" as a whole. The keys' own Format is not enough: fmt
// does not call methods of unexported fields, nor any below a verb that does not fit.

const redacted = "redacted"

func redact(f fmt.State) { _, _ = f.Write([]byte(redacted)) }

func (Config) Format(f fmt.State, _ rune)        { redact(f) }
func (identity) Format(f fmt.State, _ rune)      { redact(f) }
func (groupRecord) Format(f fmt.State, _ rune)   { redact(f) }
func (inviteDraft) Format(f fmt.State, _ rune)   { redact(f) }
func (pendingCommit) Format(f fmt.State, _ rune) { redact(f) }
func (inviteRow) Format(f fmt.State, _ rune)     { redact(f) }
func (inviteJob) Format(f fmt.State, _ rune)     { redact(f) }
func (contact) Format(f fmt.State, _ rune)       { redact(f) }
func (invitation) Format(f fmt.State, _ rune)    { redact(f) }
func (sealedState) Format(f fmt.State, _ rune)   { redact(f) }
func (epochKeys) Format(f fmt.State, _ rune)     { redact(f) }
func (pastEpoch) Format(f fmt.State, _ rune)     { redact(f) }
func (heldState) Format(f fmt.State, _ rune)     { redact(f) }
func (*group) Format(f fmt.State, _ rune)        { redact(f) }
func (*engine) Format(f fmt.State, _ rune)       { redact(f) }

// LogValue keeps the store's key out of logs.
func (Config) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps keys out of JSON. CBOR, in which records are stored, does not ask for it.
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
