// Package relay is the vocabulary and the wire format of the relay's protocol, version 1.
//
// PROTOCOL.md beside this file is the normative text. Start with [ParseFrame] and
// [AppendFrame]; [Mutation] is what the relay stores, [Refusal] how it says no, and
// [ChainNext] the running hash by which a reader notices that it was lied to. Sessions
// are in relay/session, the server in relay/relayserver, the client in relay/relayclient.
//
// The relay knows one noun, the queue: a durable, ordered log of sealed envelopes. Nothing
// here knows groups, epochs, accounts or contents, and the package imports nothing that does.
//
// Decoded frames alias the bytes that they were decoded from. Frames are not safe for
// concurrent use; the functions are. Version 1 is not frozen before release 1.0.
package relay

import (
	"fmt"
	"io"
	"log/slog"
)

// FrameType is the first byte of a frame after its length.
type FrameType uint8

// The frames from client to server. Each begins with uint64 request unless said otherwise;
// <V> is a varint vector, keys are 32 bytes, signatures 64, idem 16, queue 32.
const (
	TypeProve     FrameType = 0x01 // purpose u8, queue, key, signature
	TypeCreate    FrameType = 0x02 // idem, queue, key, admins<V>, optional writer, optional request_writer, readers<V>, retention_days u16, signature
	TypeConfigure FrameType = 0x03 // idem, queue, key, changes<V>, signature
	TypeLeave     FrameType = 0x04 // idem, queue, reader, signature
	TypeAppend    FrameType = 0x05 // idem, queue, writer, optional reader, envelope<V>
	TypeCommit    FrameType = 0x06 // idem, queue, reader, expect position, next_writer, tickets<V>, optional admin_change, blobs<V>, envelope<V>, signature
	TypeAttach    FrameType = 0x07 // queue, reader, optional position, window u32
	TypeAck       FrameType = 0x08 // no request: attachment u64, seq u64
	TypeDetach    FrameType = 0x09 // no request: attachment u64
	TypeRekey     FrameType = 0x0a // idem, queue, ticket, reader, ticket_signature, reader_signature
	TypeKnock     FrameType = 0x0b // idem, queue, reader, class u8, envelope<V>, signature
	TypeDelete    FrameType = 0x0c // idem, queue, key, signature
	TypePing      FrameType = 0x0d // no request: value u64
	TypeSignal    FrameType = 0x0e // no request: attachment u64, sealed[256]
	TypeStoreBlob FrameType = 0x0f // queue, key, blob hash, size u64, days u16
	TypePutBlob   FrameType = 0x10 // queue, blob hash, offset u64, data<V>
	TypeGetBlob   FrameType = 0x11 // queue, blob hash, offset u64, length u32
)

// The frames from server to client.
const (
	TypeProved    FrameType = 0x41 // request u64
	TypeAccepted  FrameType = 0x42 // request u64, position
	TypeRefused   FrameType = 0x43 // request u64, code u16, optional position, limit u8, retry_ms u32
	TypeAttached  FrameType = 0x44 // request u64, attachment u64, head position, last_commit position
	TypeDeliver   FrameType = 0x45 // attachment u64, entries<V> of {seq u64, kind u8, optional reader, blobs<V>, envelope<V>}, chain hash
	TypeGap       FrameType = 0x46 // attachment u64, from u64, to u64, reason u8, after position
	TypeEnd       FrameType = 0x47 // attachment u64, position
	TypeDetached  FrameType = 0x48 // attachment u64, reason u8
	TypeGoAway    FrameType = 0x49 // reconnect_ms u32
	TypePong      FrameType = 0x4a // value u64
	TypeClose     FrameType = 0x4b // code u16
	TypeStream    FrameType = 0x4c // attachment u64, name[16], key[32]
	TypeSignalled FrameType = 0x4d // attachment u64, sealed[256]
	TypeBlob      FrameType = 0x4e // request u64, stored u64, complete bool
	TypeBlobData  FrameType = 0x4f // request u64, size u64, data<V>
)

// FromClient reports whether t is one of version 1's frames from client to server.
func (t FrameType) FromClient() bool { return t >= TypeProve && t <= TypeGetBlob }

// FromServer reports whether t is one of version 1's frames from server to client.
func (t FrameType) FromServer() bool { return t >= TypeProved && t <= TypeBlobData }

// Skippable reports whether a receiver that does not know t passes over the frame; any
// other unknown type ends the session.
func (t FrameType) Skippable() bool { return t >= 0x80 }

// The names of things on the wire. They are not secret from the relay, but whoever reads a
// log must not learn them: fmt and slog print none of them (ATTACKS R31). Encode their
// bytes yourself where an id has to be shown to its owner.
type (
	QueueID       [32]byte // names a queue; random
	IdempotencyID [16]byte // names one mutation; a retry carries the same one
	Incarnation   [16]byte // names a store's life; changes when a loss or a restore is noticed
	PublicKey     [32]byte // Ed25519 (RFC 8032): reader, writer, ticket or admin key of one queue
	RelayKey      [32]byte // X25519 (RFC 7748): the relay's static Noise key
	Signature     [64]byte // Ed25519
	Hash          [32]byte // SHA-256
)

const redacted = "redacted"

func redact(s fmt.State) { _, _ = io.WriteString(s, redacted) }

// Format prints "redacted" for every verb.
func (QueueID) Format(s fmt.State, _ rune) { redact(s) }

// Format prints "redacted" for every verb.
func (IdempotencyID) Format(s fmt.State, _ rune) { redact(s) }

// Format prints "redacted" for every verb.
func (PublicKey) Format(s fmt.State, _ rune) { redact(s) }

// Format prints "redacted" for every verb.
func (StreamKey) Format(s fmt.State, _ rune) { redact(s) }

// LogValue keeps the key out of logs.
func (StreamKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints "redacted" for every verb.
func (Signature) Format(s fmt.State, _ rune) { redact(s) }

// LogValue keeps the id out of logs.
func (QueueID) LogValue() slog.Value { return slog.StringValue(redacted) }

// LogValue keeps the id out of logs.
func (IdempotencyID) LogValue() slog.Value { return slog.StringValue(redacted) }

// LogValue keeps the key out of logs.
func (PublicKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// LogValue keeps the signature out of logs.
func (Signature) LogValue() slog.Value { return slog.StringValue(redacted) }
