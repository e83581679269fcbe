package queue

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// TestRefusalsSayWhichAndWhen: each limit and each quota of a queue by its own number, and what
// was told to come again later is taken then.
func TestRefusalsSayWhichAndWhen(t *testing.T) {
	const few = 3
	rate := Rate{few, time.Minute}
	r := newRig(t, func(c *Config) {
		c.Limits = Limits{
			MaxReaders: 6, MaxWriters: 4, GroupAppends: rate, ContactAppends: rate, RequestAppends: rate,
			Commits: rate, Conflicts: rate, Knocks: rate, Votes: rate, Configures: Rate{10, time.Minute}, StoreBlobs: rate,
		}
	})
	q, i := r.group("g", "alice", "bob"), r.inbox("i")
	r.must(r.configure(i, "admin", relay.AddWriter{Key: key("contact")}, relay.SetRequestWriter{Key: new(key("stranger"))}))
	var last relay.Position
	keep := func(p relay.Position, err error) error {
		if err == nil {
			last = p
		}
		return err
	}
	do := func(m relay.Mutation) error { _, err := r.try(m); return err }
	knock := func(class relay.KnockClass) error {
		return do(&relay.Knock{ID: r.id(), Queue: q, Reader: key("bob"), Class: class, Envelope: envelope("k", 512)})
	}
	n := 0
	for want, try := range map[relay.Limit][]func() error{
		relay.LimitAppends: {
			func() error { return do(r.append(i, "contact", "m")) },
			func() error { return do(r.append(i, "stranger", "m")) },
		},
		relay.LimitCommits:    {func() error { n++; return keep(r.try(r.commit(q, "alice", last, fmt.Sprint("w", n)))) }},
		relay.LimitKnocks:     {func() error { return knock(relay.ClassKnock) }},
		relay.LimitVotes:      {func() error { return knock(relay.ClassVote) }},
		relay.LimitConfigures: {func() error { return do(r.configure(q, "bob", relay.SetWakeHandle{})) }},
		relay.LimitUploads: {func() error {
			n++
			if a := r.storeBlob(q, "bob", fmt.Sprint(n), 1, 1); a.Err != nil {
				return a.Err
			}
			return nil
		}},
	} {
		for _, try := range try {
			err := try()
			for range 20 {
				if err == nil {
					err = try()
				}
			}
			refusal, ok := errors.AsType[*relay.Refusal](err)
			if !ok || refusal.Code != relay.CodeLimit || refusal.Limit != want || refusal.RetryAfter <= 0 {
				t.Errorf("limit %d: %+v", want, err)
				continue
			}
			r.pass(refusal.RetryAfter - time.Millisecond)
			if err := try(); !errors.Is(err, relay.ErrLimit) {
				t.Errorf("limit %d, too early: %v", want, err)
			}
			r.pass(time.Millisecond)
			if err := try(); err != nil {
				t.Errorf("limit %d, after the time it named: %v", want, err)
			}
		}
	}
	readers := r.refused(relay.ErrLimit, r.configure(q, "admin", relay.AddReader{Key: key("1")}, relay.AddReader{Key: key("2")},
		relay.AddReader{Key: key("3")}, relay.AddReader{Key: key("4")}, relay.AddReader{Key: key("5")}))
	tickets := r.refused(relay.ErrLimit, r.commit(q, "bob", last, "w", "t1", "t2", "t3", "t4", "t5"))
	writers := r.refused(relay.ErrLimit, r.configure(i, "admin", relay.AddWriter{Key: key("1")}, relay.AddWriter{Key: key("2")},
		relay.AddWriter{Key: key("3")}, relay.AddWriter{Key: key("4")}))
	if readers.Limit != relay.LimitReaders || tickets.Limit != relay.LimitReaders || writers.Limit != relay.LimitWriters {
		t.Errorf("too many members: limits %d, %d, %d", readers.Limit, tickets.Limit, writers.Limit)
	}
}

// TestQuotasSayWhose: the queue's, a contact's share, and the same of blobs, and the relay's.
func TestQuotasSayWhose(t *testing.T) {
	const m = 1 << 20
	r := newRig(t, func(c *Config) {
		c.Limits = Limits{MaxEntries: 4, ContactEntries: 2, QueueBlobBytes: 2 * m, ContactBlobBytes: m, RelayBlobBytes: 3 * m}
	})
	q, i := r.group("g", "alice"), r.inbox("i")
	r.must(r.configure(i, "admin", relay.AddWriter{Key: key("contact")}))
	for range 2 {
		r.must(r.append(i, "contact", "m"))
	}
	if l := r.refused(relay.ErrQuota, r.append(i, "contact", "m")); l.Limit != relay.LimitShare {
		t.Errorf("a contact's share: limit %d", l.Limit)
	}
	for range 4 {
		r.must(r.append(q, "w0", "m"))
	}
	for range 2 { // the second from what is remembered
		if l := r.refused(relay.ErrQuota, r.append(q, "w0", "m")); l.Limit != relay.LimitStorage {
			t.Errorf("a queue's storage: limit %d", l.Limit)
		}
	}
	for _, blob := range []struct {
		q    relay.QueueID
		who  string
		size uint64
		want relay.Limit
	}{
		{i, "contact", m, 0}, {i, "contact", 1, relay.LimitBlobShare}, {i, "owner", m + 1, relay.LimitBlobs},
		{q, "alice", 2 * m, 0}, {i, "owner", m, relay.LimitRelayBlobs},
	} {
		a := r.storeBlob(blob.q, blob.who, fmt.Sprint(blob), blob.size, 1)
		if got := a.Err; blob.want == 0 && got != nil || blob.want != 0 && (got == nil || got.Limit != blob.want || got.RetryAfter <= 0) {
			t.Errorf("%s stores %d: %+v, want limit %d", blob.who, blob.size, got, blob.want)
		}
	}
}
