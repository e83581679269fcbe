package clientlib

import "github.com/sealpost/sealpost/clientlib/internal/state"

// suspended deals with a queue that the relay's operator has stopped. What waits to be sent goes
// on waiting; the app is told, and the relay is asked again at the pace that it asks for.
func (e *engine) suspended(g *group, why error) {
	if !g.suspended {
		g.suspended = true
		err := e.update(func(tx *state.Tx) error {
			return e.emit(tx, Event{Kind: EventSuspended, Conversation: g.rec.Conversation, From: g.cursor.Seq})
		})
		if err != nil {
			return
		}
	}
	e.retryGroup(g, why)
}
