package main

import (
	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/keyserver"
)

// told says in plain words what happened to the conversation; nothing of events that are shown in
// another way, or need not be.
func (t *chat) told(ev clientlib.Event) string {
	who := t.Peer + "'s device"
	if ev.Account == t.me {
		who = "this device"
	}
	switch ev.Kind {
	case clientlib.EventReplaced:
		return who + " could not follow the conversation any more, and has new keys; it reads what is written from now on"
	case clientlib.EventSucceeded:
		return "the conversation goes on without the one who broke or closed it"
	case clientlib.EventNotRenewed:
		return "warning: this device's new keys do not get through; somebody may be holding it at keys that he has"
	case clientlib.EventFlooded:
		if ev.Device == (keyserver.DeviceID{}) {
			return "warning: the conversation is flooded with what nobody can read; the server names senders now"
		}
		return "warning: " + who + " floods the conversation with what nobody can read, says the server"
	case clientlib.EventSuspended:
		return "warning: the server's operator has stopped this conversation; what you write waits until it goes on"
	case clientlib.EventClosed:
		if ev.Account == t.me {
			return "this account has closed the conversation; nothing more can be written in it"
		}
		return "warning: the conversation was closed, and nothing more can be written in it; start chat again for a new one"
	}
	return ""
}
