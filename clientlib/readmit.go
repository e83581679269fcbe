package clientlib

import (
	"context"
	"errors"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// returning holds the ids of what this device asks of a relay that has lost its place in a queue:
// stored before they are used, so that what had no answer can be asked again.
type returning struct {
	Life   relay.Incarnation   `cbor:"1,keyasint"` // of the store, after its loss
	Ticket relay.IdempotencyID `cbor:"2,keyasint"`
	Reader relay.IdempotencyID `cbor:"3,keyasint"`
	Create relay.IdempotencyID `cbor:"4,keyasint"`
}

// readmission is one way back into a queue.
type readmission struct {
	call func(*relayclient.Conn) *relayclient.Call
	done func() // changes the group, before it is stored
}

// comeBackTo looks for a way back into a queue that does not know this device since its relay had a
// loss, and reports whether there may be one. The ticket by which it joined may be there again; or
// another member has registered its reader key in the ticket's place, which is exchanged for a new
// one likewise. The founder makes the queue again, which changes nothing if it is there.
func (e *engine) comeBackTo(l *link, g *group) bool {
	life := l.conn.Incarnation()
	if g.rec.State != groupActive || life == g.cursor.Incarnation {
		return false
	}
	if g.rec.Return.Life != life {
		g.rec.Return = returning{Life: life, Ticket: newIdempotencyID(), Reader: newIdempotencyID(), Create: newIdempotencyID()}
		if e.update(g.saveRecord) != nil {
			return true
		}
	}
	g.busy = true
	e.tryReadmission(l, g, e.waysBack(g))
	return true
}

func (e *engine) waysBack(g *group) (ways []readmission) {
	queue, ids := g.rec.Queue, g.rec.Return
	reader := e.id.Secret.readerKey(queue, e.reader(g))
	if len(g.rec.Ticket) > 0 {
		ways = append(ways, readmission{call: func(c *relayclient.Conn) *relayclient.Call {
			return c.Rekey(queue, ids.Ticket, g.rec.Ticket.signer(), reader)
		}})
	} else {
		ways = append(ways, readmission{call: func(c *relayclient.Conn) *relayclient.Call {
			return e.createCall(c, g, ids.Create)
		}})
	}
	return append(ways, readmission{
		call: func(c *relayclient.Conn) *relayclient.Call {
			return c.Rekey(queue, ids.Reader, reader, e.id.Secret.readerKey(queue, publicKey(reader)))
		},
		done: func() { g.rec.Ticket = secret(reader.Seed()) },
	})
}

// createCall makes the group's queue with this device as its reader.
func (e *engine) createCall(c *relayclient.Conn, g *group, id relay.IdempotencyID) *relayclient.Call {
	admin := e.id.Secret.adminKey(g.rec.Queue)
	writer := publicKey(g.keys.writer.signer())
	return c.Create(relayclient.CreateParams{
		Queue: g.rec.Queue, ID: id, Admin: admin, Admins: []relay.PublicKey{publicKey(admin)}, Writer: &writer,
		Readers: []relay.PublicKey{publicKey(e.id.Secret.readerKey(g.rec.Queue, e.reader(g)))},
	})
}

func (e *engine) tryReadmission(l *link, g *group, ways []readmission) {
	if len(ways) == 0 {
		g.busy = false
		e.unknownAgain(g)
		return
	}
	e.answer(l, ways[0].call(l.conn), func(_ relay.Position, err error) {
		if errors.Is(err, relay.ErrUnknown) || errors.Is(err, relay.ErrForbidden) {
			e.tryReadmission(l, g, ways[1:])
			return
		}
		if g.busy = false; err != nil {
			e.retryGroup(g, err)
			return
		}
		err = e.update(func(tx *state.Tx) error {
			if g.rec.Return = (returning{}); ways[0].done == nil {
				return g.saveRecord(tx)
			}
			ways[0].done()
			if err := g.saveRecord(tx); err != nil {
				return err
			}
			return e.announce(tx, g) // the others know another key
		})
		if err == nil {
			e.advance(g)
		}
	})
}

// giveBlob brings the blob of a commit that the relay lacks there again.
func (e *engine) giveBlob(l *link, g *group, k *keptCommit, blob []byte) {
	g.giving = true
	queue, reader := g.rec.Queue, e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
	wanted := func() bool { return g.live() && g.owes() && g.rec.Owed == k.Epoch }
	e.spawn(func(ctx context.Context) {
		err := untilDone(ctx, func() (bool, error) {
			if err := e.still(ctx, wanted); err != nil {
				return false, err
			}
			err := e.putBlob(ctx, l.addr, queue, reader, k.Blob, blob)
			return !finalForBlob(err), err
		})
		e.post(func() {
			g.giving = false
			switch {
			case err == nil:
				g.given = k.Blob
				e.advance(g)
			case !wanted():
				e.advance(g)
			default:
				e.skipOwed(g)
			}
		})
	})
}

// returnPause is how long a device that lost its place waits before it looks again.
func (e *engine) returnPause(tries int) time.Duration {
	return min(e.grace()/10<<min(tries, 16), time.Minute)
}
