package demo

import (
	"context"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/history"
	"github.com/sealpost/sealpost/keyserver"
)

// histories reads a member's whole history of the group.
func (p *person) histories(ctx context.Context, id clientlib.ConversationID) (map[clientlib.MessageID][]history.Entry, error) {
	out := map[clientlib.MessageID][]history.Entry{}
	for en, err := range p.client.History(ctx, id) {
		if err != nil {
			return nil, fmt.Errorf("history of %s: %w", p.handle, err)
		}
		key := clientlib.MessageID(en.MessageID)
		out[key] = append(out[key], en)
	}
	return out, nil
}

// count compares what was accepted with what each member has. A message is delivered when
// every member at its position holds it exactly once, with its text, at that position.
func (r *run) count(ctx context.Context) (Result, error) {
	result := Result{Members: len(r.people)}
	have := make([]map[clientlib.MessageID][]history.Entry, len(r.people))
	for i, p := range r.people {
		var err error
		if have[i], err = p.histories(ctx, r.group); err != nil {
			return result, err
		}
		if len(p.trouble) > 0 {
			return result, fmt.Errorf("%s was told: %v", p.handle, p.trouble)
		}
	}
	for i, p := range r.people {
		for id := range p.accepted {
			result.Sent++
			own := have[i][id]
			if len(own) == 0 {
				result.Lost++
				continue
			}
			if err := r.compare(id, own[0].Position, have, &result); err != nil {
				return result, err
			}
		}
		for id := range p.failed {
			if !p.accepted[id] && r.anyoneElseHas(i, id, have) {
				return result, fmt.Errorf("a message that %s was told had failed was delivered", p.handle)
			}
		}
	}
	return result, r.orderIsOne(have)
}

// compare looks for one accepted message in every history.
func (r *run) compare(id clientlib.MessageID, at uint64, have []map[clientlib.MessageID][]history.Entry, result *Result) error {
	members := r.membersAt(at)
	whole := true
	for i, p := range r.people {
		got := have[i][id]
		switch {
		case !members[p.account] && len(got) > 0:
			return fmt.Errorf("%s holds a message of a time when it was no member", p.handle)
		case !members[p.account]:
		case len(got) == 0 || got[0].Position != at || got[0].Text != r.texts[id]:
			result.Lost++
			whole = false
		case len(got) > 1:
			result.Duplicated += len(got) - 1
			whole = false
		case string(got[0].Sender) != string(p.account[:]) && p.shown[id] == 0:
			result.Lost++ // in the history, but the app was never told
			whole = false
		}
	}
	if whole {
		result.Delivered++
	}
	return nil
}

// membersAt replays what the founder saw: it was there all the time.
func (r *run) membersAt(seq uint64) map[keyserver.AccountID]bool {
	members := map[keyserver.AccountID]bool{r.people[0].account: true}
	changes := slices.Clone(r.people[0].changes)
	slices.SortStableFunc(changes, func(a, b membership) int { return int(int64(a.seq) - int64(b.seq)) })
	for _, c := range changes {
		if c.seq < seq {
			members[c.account] = c.added
		}
	}
	return members
}

func (r *run) anyoneElseHas(not int, id clientlib.MessageID, have []map[clientlib.MessageID][]history.Entry) bool {
	for i := range have {
		if i != not && len(have[i][id]) > 0 {
			return true
		}
	}
	return false
}

// orderIsOne checks that no two members have two messages at one position.
func (r *run) orderIsOne(have []map[clientlib.MessageID][]history.Entry) error {
	at := map[uint64]clientlib.MessageID{}
	for i := range have {
		for id, entries := range have[i] {
			pos := entries[0].Position
			if pos == 0 {
				continue
			}
			if other, ok := at[pos]; ok && other != id {
				return fmt.Errorf("two members have two messages at position %d", pos)
			}
			at[pos] = id
		}
	}
	return nil
}
