package mls

import (
	"errors"
	"math"
	"testing"
	"time"
)

// Other implementations publish packages that live for ever; who adds them says so.
func TestApplicationMaxLifetime(t *testing.T) {
	id := DefaultSuite
	forever := forge(t, id, func(_ *KeyPackage, l *leafNode) { l.lifetime = lifetime{0, math.MaxUint64} })
	year := forge(t, id, func(_ *KeyPackage, l *leafNode) { l.lifetime.notAfter = l.lifetime.notBefore + 365*24*3600 })
	backwards := forge(t, id, func(_ *KeyPackage, l *leafNode) { l.lifetime = lifetime{l.lifetime.notAfter, l.lifetime.notBefore} })
	expired := forge(t, id, func(_ *KeyPackage, l *leafNode) { l.lifetime = lifetime{0, 1} })
	for _, c := range []struct {
		name    string
		longest time.Duration
		kp      *KeyPackage
		ok      bool
	}{
		{"a year, by default", 0, year, false},
		{"a year, within it", 365 * 24 * time.Hour, year, true},
		{"a year, a second less", 365*24*time.Hour - time.Second, year, false},
		{"for ever, by default", 0, forever, false},
		{"for ever, within all that a Duration holds", math.MaxInt64, forever, false},
		{"for ever, no limit", -1, forever, true},
		{"backwards, no limit", -1, backwards, false},
		{"expired, no limit", -1, expired, false},
	} {
		g := newGroup(t, "a")
		g.app.MaxLifetime = c.longest
		_, err := g.Commit(CommitParams{Add: []*KeyPackage{c.kp}, Now: testNow})
		_, proposed := g.Propose(ProposalParams{Add: c.kp, Now: testNow})
		if c.ok && (err != nil || proposed != nil) || !c.ok && (!errors.Is(err, ErrExpired) || !errors.Is(proposed, ErrExpired)) {
			t.Errorf("%s: commit %v, proposal %v", c.name, err, proposed)
		}
	}
}
