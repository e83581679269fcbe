package relayclient

import (
	"crypto/ed25519"
	"fmt"

	"github.com/sealpost/sealpost/relay"
)

// public returns the public half of key in the relay's type.
func public(key ed25519.PrivateKey) relay.PublicKey {
	return relay.PublicKey(key.Public().(ed25519.PublicKey))
}

// Submit signs m for this session with the keys that it names and sends it. The
// named methods below are Submit with the fields in words. m belongs to the
// Conn from here on; its byte strings must not change until the Call resolves.
func (c *Conn) Submit(m relay.Mutation, sign relay.Signer) *Call {
	return c.mutate(m, sign, nil)
}

func (c *Conn) mutate(m relay.Mutation, sign relay.Signer, needs []proofName) *Call {
	call := &Call{newFuture[relay.Position]()}
	fail := func(err error) *Call {
		call.resolve(relay.Position{}, err)
		return call
	}
	// What the relay would refuse without looking is not sent: a frame above
	// relay.MaxClientFrame, which Check excludes, would end the session and with
	// it everybody else's requests.
	if err := m.Check(); err != nil {
		return fail(err)
	}
	if err := m.Sign(c.binding, sign); err != nil {
		return fail(fmt.Errorf("relayclient: %w", err))
	}
	_, queue, _, _ := m.Header()
	r := &request{frame: m, size: size(m)}
	r.answer = func(f relay.Frame, err error) {
		switch f := f.(type) {
		case *relay.Accepted:
			c.promise(queue, f.Position)
			call.resolve(f.Position, nil)
		case *relay.Refused:
			call.resolve(relay.Position{}, r.refusal(f))
		default:
			call.resolve(relay.Position{}, err)
		}
	}
	c.submit(r, needs, sign)
	return call
}

// size estimates a frame's bytes, for batching.
func size(m relay.Mutation) int {
	switch m := m.(type) {
	case *relay.Append:
		return overhead + len(m.Envelope)
	case *relay.Commit:
		return overhead + len(m.Envelope) + len(m.Tickets)*len(relay.PublicKey{})
	case *relay.Knock:
		return overhead + len(m.Envelope)
	}
	return 4 * overhead
}

// Append adds a message. The writer's key is proven once for the session and
// queue, ahead of the first APPEND; nothing is waited for. envelope has a valid
// envelope size and must not change until the Call resolves.
func (c *Conn) Append(queue relay.QueueID, id relay.IdempotencyID, writer ed25519.PrivateKey, envelope []byte) *Call {
	m := &relay.Append{ID: id, Queue: queue, Writer: public(writer), Envelope: envelope}
	return c.mutate(m, relay.Keys(writer), []proofName{{relay.ProveWrite, queue, m.Writer}})
}

// AppendNamed is Append to a queue under named writing: the entry names reader,
// whose key is proven as well.
func (c *Conn) AppendNamed(queue relay.QueueID, id relay.IdempotencyID, writer, reader ed25519.PrivateKey, envelope []byte) *Call {
	m := &relay.Append{ID: id, Queue: queue, Writer: public(writer), Reader: new(public(reader)), Envelope: envelope}
	return c.mutate(m, relay.Keys(writer, reader),
		[]proofName{{relay.ProveWrite, queue, m.Writer}, {relay.ProveRead, queue, *m.Reader}})
}

// CommitParams are the fields of a COMMIT.
type CommitParams struct {
	Queue      relay.QueueID
	ID         relay.IdempotencyID
	Reader     ed25519.PrivateKey // registered in the queue; signs
	Expect     relay.Position     // of the last COMMIT entry known, valid or not; zero if none
	NextWriter relay.PublicKey
	Tickets    []relay.PublicKey
	Admins     *AdminChange // nil: the admin keys stay
	Blobs      []relay.Hash // complete blobs of the queue that the entry keeps
	Envelope   []byte
}

// AdminChange replaces the admin keys by a COMMIT.
type AdminChange struct {
	Admins []relay.PublicKey
	Admin  ed25519.PrivateKey // one of the current ones; signs
}

// Commit adds a COMMIT entry if p.Expect is the last one. A [relay.ErrConflict]
// carries the last commit's position.
func (c *Conn) Commit(p CommitParams) *Call {
	m := &relay.Commit{
		ID: p.ID, Queue: p.Queue, Reader: public(p.Reader), Expect: p.Expect,
		NextWriter: p.NextWriter, Tickets: p.Tickets, Blobs: p.Blobs, Envelope: p.Envelope,
	}
	// COMMIT carries its own signature, but a session that has shown no key takes small frames
	// only: ahead of a large one goes the proof that an attachment needs.
	var needs []proofName
	if len(p.Envelope) >= relay.MaxFirstFrame/2 {
		needs = []proofName{{relay.ProveRead, p.Queue, m.Reader}}
	}
	if p.Admins == nil {
		return c.mutate(m, relay.Keys(p.Reader), needs)
	}
	m.Admins = &relay.AdminChange{Admins: p.Admins.Admins, Key: public(p.Admins.Admin)}
	return c.mutate(m, relay.Keys(p.Reader, p.Admins.Admin), needs)
}

// CreateParams are the fields of a CREATE.
type CreateParams struct {
	Queue         relay.QueueID // 32 random bytes
	ID            relay.IdempotencyID
	Admin         ed25519.PrivateKey // signs; its public key stands in Admins
	Admins        []relay.PublicKey
	Writer        *relay.PublicKey // a group's; nil for an inbox
	RequestWriter *relay.PublicKey
	Readers       []relay.PublicKey
	RetentionDays uint16 // 0: the relay's default
}

// Create makes a queue; the position is the beginning of its log.
func (c *Conn) Create(p CreateParams) *Call {
	return c.Submit(&relay.Create{
		ID: p.ID, Queue: p.Queue, Key: public(p.Admin), Admins: p.Admins, Writer: p.Writer,
		RequestWriter: p.RequestWriter, Readers: p.Readers, RetentionDays: p.RetentionDays,
	}, relay.Keys(p.Admin))
}

// Configure changes fields of a queue, all or none; key owns them.
func (c *Conn) Configure(queue relay.QueueID, id relay.IdempotencyID, key ed25519.PrivateKey, changes ...relay.Change) *Call {
	return c.Submit(&relay.Configure{ID: id, Queue: queue, Key: public(key), Changes: changes}, relay.Keys(key))
}

// Leave removes reader from the queue by a signature that the reader made at
// any time, for any session: [SignLeave].
func (c *Conn) Leave(queue relay.QueueID, id relay.IdempotencyID, reader relay.PublicKey, signature relay.Signature) *Call {
	m := &relay.Leave{ID: id, Queue: queue, Reader: reader, Signature: signature}
	return c.mutate(m, func(relay.PublicKey, []byte) (relay.Signature, error) { return signature, nil }, nil)
}

// SignLeave makes the signature for Leave. It is good for ever, at that relay
// and for that queue: a device deposits one with its siblings for the day it is
// lost.
func SignLeave(relayKey relay.RelayKey, queue relay.QueueID, reader ed25519.PrivateKey) (relay.Signature, error) {
	m := &relay.Leave{Queue: queue, Reader: public(reader)}
	err := m.Sign(relay.Binding{RelayKey: relayKey}, relay.Keys(reader))
	return m.Signature, err
}

// Rekey replaces the ticket from an invitation by the joiner's own reader key.
func (c *Conn) Rekey(queue relay.QueueID, id relay.IdempotencyID, ticket, reader ed25519.PrivateKey) *Call {
	return c.Submit(&relay.Rekey{ID: id, Queue: queue, Ticket: public(ticket), Reader: public(reader)},
		relay.Keys(ticket, reader))
}

// Knock adds a small entry signed by reader.
func (c *Conn) Knock(queue relay.QueueID, id relay.IdempotencyID, reader ed25519.PrivateKey, class relay.KnockClass, envelope []byte) *Call {
	return c.Submit(&relay.Knock{ID: id, Queue: queue, Reader: public(reader), Class: class, Envelope: envelope},
		relay.Keys(reader))
}

// Delete closes the queue to writing; the relay erases it after seven days, at
// once if nobody has anything left to read in it.
func (c *Conn) Delete(queue relay.QueueID, id relay.IdempotencyID, admin ed25519.PrivateKey) *Call {
	return c.Submit(&relay.Delete{ID: id, Queue: queue, Key: public(admin)}, relay.Keys(admin))
}
