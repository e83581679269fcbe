package queue

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestNewsOfAnAttachment: whoever has everything is not looked after until there is more.
func TestNewsOfAnAttachment(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	behind := r.must(r.append(q, "w0", "a"))
	head := r.must(r.append(q, "w0", "b"))
	attach := func(pos *relay.Position) (*Attachment, *int) {
		woken := new(int)
		a, _, err := r.Attach(q, key("alice"), pos, func() { *woken++ })
		if err != nil {
			t.Fatal(err)
		}
		return a, woken
	}
	for _, pos := range []*relay.Position{nil, &behind} {
		if a, woken := attach(pos); !a.News() || *woken == 0 {
			t.Errorf("at %v: nothing to read", pos)
		}
	}
	a, woken := attach(&head)
	if a.News() || *woken != 0 {
		t.Error("there is news for a reader that has everything")
	}
	r.must(r.append(q, "w0", "c"))
	if b, err := a.Next(1 << 10); !a.News() || *woken != 1 || err != nil || len(b.Entries) != 1 {
		t.Errorf("a new entry: news %v, woken %d times, %v, %v", a.News(), *woken, b, err)
	}
	a, woken = attach(&head)
	if attach(nil); !a.News() || *woken == 0 {
		t.Error("a superseded attachment has no news")
	}
}
