package sim

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing/synctest"

	"github.com/sealpost/sealpost/clientlib"
)

// copied is a member's store as it was once, with what its app knew then.
type copied struct {
	dir    string
	events map[uint64]clientlib.Event
	newest uint64
	rooms  map[clientlib.ConversationID]bool // that it was in
}

// storeCopied copies a member's store, as a backup of the machine does. A room's founder is whom
// the others are compared with, and has none.
func (w *world) storeCopied() error {
	m := w.anyone()
	for _, r := range w.rooms {
		if m == r.founder {
			return nil
		}
	}
	if err := m.bury(); err != nil || m.client == nil {
		return err
	}
	w.trace.add("%s: the store is copied", m.name)
	synctest.Wait()
	c := &copied{dir: m.nextDir(), rooms: m.rooms()}
	m.mu.Lock()
	c.events, c.newest = maps.Clone(m.events), m.newest
	m.mu.Unlock()
	if m.copy != nil {
		if err := os.RemoveAll(m.copy.dir); err != nil {
			return err
		}
	}
	m.copy = c
	return copyTree(filepath.Dir(m.cfg.Path), c.dir)
}

// storeCopiedBack puts a copy back, and the app starts on it. It must notice before it uses a key
// again, and find its way back; what it says of the past is that of an old copy. Rooms that the copy does not know
// are lost to it, for whoever invited it has its answer: so then this does not happen.
func (w *world) storeCopiedBack() error {
	var having []*member
	for _, m := range w.members {
		if m.copy != nil {
			having = append(having, m)
		}
	}
	if len(having) == 0 {
		return nil
	}
	m := having[w.random.IntN(len(having))]
	if err := m.bury(); err != nil || m.client == nil || !maps.Equal(m.rooms(), m.copy.rooms) {
		return err
	}
	w.trace.add("%s: the store is copied back", m.name)
	if err := m.crash(); err != nil {
		return err
	}
	old := filepath.Dir(m.cfg.Path)
	m.cfg.Path = filepath.Join(m.copy.dir, filepath.Base(m.cfg.Path))
	m.mu.Lock()
	m.events, m.newest = m.copy.events, m.copy.newest
	m.mu.Unlock()
	for _, r := range w.rooms {
		for text, by := range r.sent {
			w.unsure[text] = w.unsure[text] || by == m
		}
	}
	m.copy, m.old = nil, true
	return os.RemoveAll(old)
}

// rooms are those that a member takes itself to be in.
func (m *member) rooms() map[clientlib.ConversationID]bool {
	in := map[clientlib.ConversationID]bool{}
	_ = m.call(func(ctx context.Context, c *clientlib.Client) error {
		all, err := c.Conversations(ctx)
		for _, conv := range all {
			in[conv.ID] = conv.Active
		}
		return err
	})
	return in
}
