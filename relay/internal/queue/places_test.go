package queue

import (
	"errors"
	"maps"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestR01_EveryPlaceAndCommand: each key that has, had or never had a place in a queue, with each
// command: it does what its place allows, and else hears what PROTOCOL.md says and changes
// nothing.
func TestR01_EveryPlaceAndCommand(t *testing.T) {
	const (
		taken = iota
		unknown
		forbidden
		stale
	)
	refusals := []error{nil, relay.ErrUnknown, relay.ErrForbidden, relay.ErrStale}
	commands := []string{"append", "commit", "knock", "vote", "admin's change", "reader's change", "leave", "rekey", "delete", "attach", "store"}
	places := map[string][]int{
		"admin":    {unknown, unknown, unknown, unknown, taken, forbidden, unknown, unknown, taken, unknown, unknown},
		"alice":    {unknown, taken, taken, taken, forbidden, taken, taken, forbidden, forbidden, taken, taken}, // a reader
		"removed":  {unknown, unknown, unknown, unknown, unknown, unknown, taken, unknown, unknown, taken, unknown},
		"ticket":   {unknown, unknown, unknown, unknown, unknown, unknown, taken, taken, unknown, forbidden, unknown},
		"w1":       {taken, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, taken}, // the group's writer
		"w0":       {stale, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, stale}, // the one before
		"contact":  {taken, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, taken},
		"request":  {taken, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown},
		"stranger": {unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown},
	}
	r := newRig(t)
	for who, row := range places {
		for i, command := range commands {
			q := r.group(who+command, "alice", "bob", "removed")
			r.must(r.configure(q, "admin", relay.AddWriter{Key: key("contact")}, relay.SetRequestWriter{Key: new(key("request"))}))
			last := r.must(r.commit(q, "bob", relay.Position{}, "w1", "ticket"))
			r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("removed")}))
			before := contents(t, r)
			var err error
			try := func(m relay.Mutation) { _, err = r.try(m, Authority{Reader: true}) }
			knock := &relay.Knock{ID: r.id(), Queue: q, Reader: key(who), Envelope: envelope("k", 512)}
			switch command {
			case "append": // also with the same key as a reader
				if try(r.append(q, who, "m")); err == nil || row[i] == taken {
					break
				}
				m := r.append(q, who, "m")
				if m.Reader = new(key(who)); who != "alice" {
					try(m) // (a reader hears that the head has moved on)
				}
			case "commit":
				try(r.commit(q, who, last, "w2", "another"))
			case "knock":
				try(knock)
			case "vote":
				knock.Class = relay.ClassVote
				try(knock)
			case "admin's change":
				try(r.configure(q, who, relay.RemoveReader{Key: key("bob")}, relay.SetAdmins{Keys: keys(who)}))
			case "reader's change":
				try(r.configure(q, who, relay.SetWakeHandle{Handle: []byte("h")}))
			case "leave":
				try(&relay.Leave{ID: r.id(), Queue: q, Reader: key(who)})
			case "rekey":
				try(&relay.Rekey{ID: r.id(), Queue: q, Ticket: key(who), Reader: key("mine")})
			case "delete":
				try(&relay.Delete{ID: r.id(), Queue: q, Key: key(who)})
			case "attach":
				var f *follower
				if f, err = r.attach(q, who, nil); f != nil {
					f.a.Close()
				}
			case "store":
				if a := r.storeBlob(q, who, "blob", 1, 1); a.Err != nil {
					err = a.Err
				}
			}
			want := refusals[row[i]]
			if !errors.Is(err, want) || (want == nil) != (err == nil) {
				t.Errorf("%s, %s: %v, want %v", who, command, err, want)
			}
			if after := contents(t, r); want != nil && !maps.Equal(before, after) {
				t.Errorf("%s, %s: refused, and the store has changed", who, command)
			}
		}
	}
}

// contents is every record of the store.
func contents(t *testing.T, r *rig) map[string]string {
	all := make(map[string]string)
	for _, rec := range records(t, r) {
		all[string(rec.key)] = string(rec.value)
	}
	return all
}
