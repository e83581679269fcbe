package relayserver

import (
	"context"

	"github.com/sealpost/sealpost/relay"
)

// Suspend stops a queue (on) or has it go on: nobody reads or writes it, whoever has a place in it
// hears SUSPENDED, and attachments end. It returns when that is on disk; changed is false if it
// was so already. relay.ErrUnknown: there is no such queue.
func (s *Server) Suspend(ctx context.Context, q relay.QueueID, on bool) (changed bool, err error) {
	return s.store.Suspend(ctx, q, on)
}

// Suspended tells whether a queue is suspended. relay.ErrUnknown: there is no such queue.
func (s *Server) Suspended(q relay.QueueID) (bool, error) { return s.store.Suspended(q) }

// RecordName is what the records of a queue are named by, in hexadecimal: it leads to no queue
// without the storage key, and findings of [Server.Check] name it so.
func (s *Server) RecordName(q relay.QueueID) string { return s.store.RecordName(q) }

// SuspendRecord is [Server.Suspend] for a queue that is named as [Server.RecordName] does: what an
// operator's log has, and a store that was restored from before it may have not.
func (s *Server) SuspendRecord(ctx context.Context, record string, on bool) (changed bool, err error) {
	return s.store.SuspendRecord(ctx, record, on)
}
