package main

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/keyserver"
)

// TestChatSaysWhatHappened: each of these events is a line in plain words, which says whose device it is about.
func TestChatSaysWhatHappened(t *testing.T) {
	c := &chat{chatCommand: &chatCommand{Account: "alice", Peer: "bob"}, me: keyserver.AccountID{1}, peer: keyserver.AccountID{2}}
	for _, row := range []struct {
		ev   clientlib.Event
		want string
	}{
		{clientlib.Event{Kind: clientlib.EventReplaced, Account: c.me}, "this device"},
		{clientlib.Event{Kind: clientlib.EventReplaced, Account: c.peer}, "bob's device"},
		{clientlib.Event{Kind: clientlib.EventSucceeded}, "goes on"},
		{clientlib.Event{Kind: clientlib.EventNotRenewed}, "keys"},
		{clientlib.Event{Kind: clientlib.EventFlooded}, "names senders"},
		{clientlib.Event{Kind: clientlib.EventFlooded, Account: c.peer, Device: keyserver.DeviceID{3}}, "bob's device"},
		{clientlib.Event{Kind: clientlib.EventSuspended}, "operator"},
		{clientlib.Event{Kind: clientlib.EventClosed, Account: c.me}, "this account"},
		{clientlib.Event{Kind: clientlib.EventClosed}, "new one"},
	} {
		if got := c.told(row.ev); !strings.Contains(got, row.want) {
			t.Errorf("%v is told as %q, want %q in it", row.ev.Kind, got, row.want)
		}
	}
	for _, kind := range []clientlib.EventKind{clientlib.EventMessage, clientlib.EventSent, clientlib.EventJoined} {
		if got := c.told(clientlib.Event{Kind: kind}); got != "" {
			t.Errorf("%v is told as %q", kind, got)
		}
	}
}
