package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// person is one member with a store on disk; the client comes and goes.
type person struct {
	handle  string
	cfg     clientlib.Config
	frames  *os.File // every frame to and from the relay, before it was sealed
	account keyserver.AccountID

	client *clientlib.Client // nil while offline
	end    context.CancelFunc
	seen   sync.WaitGroup // the goroutine that reads events

	wrote []clientlib.MessageID // by the story alone

	mu       sync.Mutex
	accepted map[clientlib.MessageID]bool
	failed   map[clientlib.MessageID]bool
	shown    map[clientlib.MessageID]int // how often the app was told
	changes  []membership
	trouble  []string      // events that an honest run has none of
	news     chan struct{} // closed and replaced at every event
}

// membership is a change that a member saw in the log.
type membership struct {
	seq     uint64
	account keyserver.AccountID
	added   bool
}

// newPerson makes a member whose handle is found nowhere by chance.
func (r *run) newPerson(name string) (*person, error) {
	addr, err := relay.ParseAddress(r.relay.relayURI)
	if err != nil {
		return nil, err
	}
	keys, err := keyserver.ParseAddress(r.keys.keysURI)
	if err != nil {
		return nil, err
	}
	frames, err := os.OpenFile(r.path(name+".frames"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &person{
		handle: name + "-" + r.mark[len(r.mark)-12:], frames: frames, news: make(chan struct{}),
		accepted: map[clientlib.MessageID]bool{}, failed: map[clientlib.MessageID]bool{}, shown: map[clientlib.MessageID]int{},
	}
	p.cfg = clientlib.Config{
		Path: r.path(name + ".db"), Relay: addr, KeyServer: keys, Tap: p.tap, Transports: r.transportsOf(name),
	}
	if r.BlockUDP {
		p.cfg.ListenPacket = listenDeaf
	}
	copy(p.cfg.Key[:], r.mark+name) // the store's key is nobody's secret here
	return p, nil
}

func (p *person) tap(_ bool, frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.frames.Write(frame)
}

// come opens the store and goes online.
func (p *person) come() error {
	if p.client != nil {
		return nil
	}
	client, err := clientlib.Open(p.cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", p.handle, err)
	}
	ctx, end := context.WithCancel(context.Background())
	p.client, p.end = client, end
	p.seen.Go(func() { p.watch(ctx, client) })
	return nil
}

// leave closes the store: the member is offline, and everything is on its disk.
func (p *person) leave() {
	if p.client == nil {
		return
	}
	p.end()
	p.seen.Wait()
	if err := p.client.Close(); err != nil {
		p.note("closing: " + err.Error())
	}
	p.client = nil
}

// watch is the app: it takes events and confirms each.
func (p *person) watch(ctx context.Context, client *clientlib.Client) {
	for ev, err := range client.Events(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				p.note("events: " + err.Error())
			}
			return
		}
		p.take(ev)
		if err := client.Confirm(ctx, ev.ID); err != nil && ctx.Err() == nil {
			p.note("confirming: " + err.Error())
			return
		}
	}
}

func (p *person) take(ev clientlib.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev.Kind {
	case clientlib.EventMessage:
		p.shown[ev.Message]++
	case clientlib.EventSent:
		p.accepted[ev.Message] = true
	case clientlib.EventFailed:
		p.failed[ev.Message] = true
	case clientlib.EventMemberAdded, clientlib.EventMemberRemoved:
		p.changes = append(p.changes, membership{ev.From, ev.Account, ev.Kind == clientlib.EventMemberAdded})
	case clientlib.EventJoined, clientlib.EventRemoved:
	default:
		p.trouble = append(p.trouble, ev.Kind.String()+" "+ev.Detail)
	}
	close(p.news)
	p.news = make(chan struct{})
}

func (p *person) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = append(p.trouble, what)
}

// until waits until ok holds, looking again at every event and, since a conversation's state
// can change without one, a few times a second.
func (p *person) until(ctx context.Context, what string, ok func() (bool, error)) error {
	for {
		p.mu.Lock()
		news := p.news
		p.mu.Unlock()
		done, err := ok()
		if err != nil {
			return fmt.Errorf("%s: %w", p.handle, err)
		}
		if done {
			return nil
		}
		select {
		case <-news:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s waits for %s: %w", p.handle, what, ctx.Err())
		}
	}
}

// inGroup waits until the member reads along in the conversation.
func (p *person) inGroup(ctx context.Context, id clientlib.ConversationID) error {
	return p.until(ctx, "being in the group", func() (bool, error) {
		all, err := p.client.Conversations(ctx)
		for _, c := range all {
			if c.ID == id && c.Active {
				return true, err
			}
		}
		return false, err
	})
}

// send queues one message with the mark in it.
func (p *person) send(ctx context.Context, id clientlib.ConversationID, text string) (clientlib.MessageID, error) {
	m, err := p.client.Send(ctx, id, content.Text(text))
	if errors.Is(err, clientlib.ErrNotMember) || errors.Is(err, clientlib.ErrNoConversation) {
		return m, errNotIn
	}
	if err == nil {
		p.wrote = append(p.wrote, m)
	}
	return m, err
}

var errNotIn = errors.New("not a member at the moment")
