package sim

import (
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/history"
)

// ledger holds a room's log, put together from what its members have of it.
type ledger struct {
	w      *world
	r      *room
	broken []string

	at     map[string]uint64  // where each message stands
	stands map[uint64]string  // the other way round
	twice  map[string]bool    // messages that stand at two places: their author's store was copied back
	stays  map[*member][]stay // when each member was in the room, by the log
	views  map[*member]view   // what each has
	gaps   map[*member][]stay // which entries each was told it lacks
	sent   map[string]bool    // answered ACCEPTED, as its sender was told
	failed map[string]bool    // given up, as its sender was told
}

// stay is a part of the log: what stands behind from, and before to.
type stay struct{ from, to uint64 }

const forever = 1 << 62

func newLedger(w *world, r *room) *ledger {
	return &ledger{
		w: w, r: r, at: map[string]uint64{}, stands: map[uint64]string{}, twice: map[string]bool{}, stays: map[*member][]stay{}, views: map[*member]view{},
		gaps: map[*member][]stay{}, sent: map[string]bool{}, failed: map[string]bool{},
	}
}

func (l *ledger) breaks(format string, args ...any) {
	l.broken = append(l.broken, l.r.name+": "+fmt.Sprintf(format, args...))
}

// collect reads what everybody has.
func (l *ledger) collect() {
	coming := map[string]map[uint64]bool{} // who came or went, where: every member tells of it
	for _, m := range l.w.members {
		v, err := m.view(l.r)
		if err != nil {
			l.breaks("%s: %v", m.name, err)
			continue
		}
		l.views[m] = v
		texts := map[clientlib.MessageID]string{}
		for _, en := range v.history {
			texts[clientlib.MessageID(en.MessageID)] = en.Text
			if en.Position != 0 {
				l.place(m, en.Text, en.Position)
			}
		}
		for _, ev := range m.all() {
			if ev.Conversation != l.r.id {
				continue
			}
			switch ev.Kind {
			case clientlib.EventSent:
				l.sent[texts[ev.Message]] = true
			case clientlib.EventFailed:
				l.failed[texts[ev.Message]] = true
			case clientlib.EventGap:
				l.gaps[m] = append(l.gaps[m], stay{ev.From - 1, ev.To + 1})
			case clientlib.EventMemberAdded, clientlib.EventMemberRemoved:
				who := l.w.who(ev.Account)
				if coming[who] == nil {
					coming[who] = map[uint64]bool{}
				}
				came := ev.Kind == clientlib.EventMemberAdded
				if old, ok := coming[who][ev.From]; ok && old != came && !l.w.restored {
					l.breaks("at %d %s came for some and went for others", ev.From, who)
				}
				coming[who][ev.From] = came
			}
		}
	}
	for text, m := range l.r.sent {
		own := func(en history.Entry) bool { return en.Text == text }
		if l.w.unsure[text] && !slices.ContainsFunc(l.views[m].history, own) {
			delete(l.r.sent, text) // it never was in the store: then nobody has it
		}
	}
	l.stays[l.r.founder] = []stay{{0, forever}}
	for _, m := range l.w.members {
		l.stays[m] = append(l.stays[m], staysOf(coming[m.name])...)
	}
}

// place notes where a message stands. All members see the same log, unless the relay lost a part
// of it: what is given back stands at another place for whoever had not read it.
func (l *ledger) place(m *member, text string, at uint64) {
	if l.w.restored {
		l.at[text] = max(l.at[text], at)
		return
	}
	if old, ok := l.at[text]; ok && old != at && l.w.unsure[text] {
		l.twice[text] = true // it said again what the copy did not know to be said
	} else if ok && old != at {
		l.breaks("%s has %s at %d, another member at %d", m.name, text, at, old)
	}
	if old, ok := l.stands[at]; ok && old != text {
		l.breaks("%s has %s at %d, another member %s", m.name, text, at, old)
	}
	l.at[text], l.stands[at] = at, text
}

// staysOf makes of comings and goings the parts of the log that a member reads.
func staysOf(changes map[uint64]bool) (out []stay) {
	var at []uint64
	for p := range changes {
		at = append(at, p)
	}
	slices.Sort(at)
	for _, p := range at {
		if changes[p] {
			out = append(out, stay{p, forever})
		} else if n := len(out); n > 0 {
			out[n-1].to = p
		}
	}
	return out
}

func within(all []stay, at uint64) bool {
	return slices.ContainsFunc(all, func(s stay) bool { return s.from < at && at < s.to })
}

// compare holds what each member has against the log.
func (l *ledger) compare() {
	for text := range l.r.sent {
		if !l.sent[text] && !l.failed[text] && !l.r.sent[text].outside {
			l.breaks("%s never heard what became of %s", l.r.sent[text].name, text)
		}
		if _, stands := l.at[text]; l.sent[text] && !stands {
			l.breaks("%s was accepted and stands nowhere", text)
		}
	}
	for _, m := range l.w.members {
		l.shown(m)
	}
}

// shown wants each message once and in order in a member's history and events, if it stands
// where the member reads, and no other.
func (l *ledger) shown(m *member) {
	has := map[string]int{}
	last := uint64(0)
	for _, en := range l.views[m].history {
		has[en.Text]++
		if en.Status != history.Received {
			continue
		}
		if en.Position < last && !l.w.restored {
			l.breaks("%s has %s, of %d, behind an entry of %d", m.name, en.Text, en.Position, last)
		}
		last = en.Position
	}
	told := map[string]int{}
	for _, ev := range m.all() {
		if c, err := ev.Content(); ev.Kind == clientlib.EventMessage && ev.Conversation == l.r.id && err == nil {
			told[c.PlainText()]++
		}
	}
	if l.w.restored || m.old {
		l.given(m, has, told)
		return
	}
	for text, at := range l.at {
		own, reads := l.r.sent[text] == m, within(l.stays[m], at)
		switch {
		case own && has[text] != 1:
			l.breaks("%s has its own %s %d times", m.name, text, has[text])
		case own:
		case l.twice[text] && has[text] < 2 && told[text] == has[text]: // it may read one of the places
		case reads && has[text] == 0 && !within(l.gaps[m], at) && !m.unheard(l.r):
			l.breaks("%s does not have %s of %d, and was told of no gap", m.name, text, at)
		case !reads && has[text] != 0:
			l.breaks("%s has %s of %d and was not in the room", m.name, text, at)
		case has[text] > 1 || told[text] != has[text]:
			l.breaks("%s has %s %d times and was told of it %d times", m.name, text, has[text], told[text])
		}
	}
	for text := range told {
		if _, ok := l.at[text]; !ok {
			l.breaks("%s was told of %s, which stands nowhere", m.name, text)
		}
	}
}

// given is what remains to be wanted after the relay lost a part of the log: nobody has anything
// twice, and the founder, who was in the room all the time, has everything that was accepted or was
// told of a gap.
func (l *ledger) given(m *member, has, told map[string]int) {
	for text, n := range has {
		if n > 1 || told[text] > 1 {
			l.breaks("%s has %s %d times and was told of it %d times", m.name, text, n, told[text])
		}
	}
	for text := range l.sent {
		if m == l.r.founder && has[text] == 0 && len(l.gaps[m]) == 0 {
			l.breaks("%s does not have %s, which was accepted, and was told of no gap", m.name, text)
		}
	}
}
