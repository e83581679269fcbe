package relayserver

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/sealpost/sealpost/relay"
)

// TestR16_BadFramesEndTheSession: each with the code that says why; the server goes on.
func TestR16_BadFramesEndTheSession(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(20)
		owner := dial(t, h)
		owner.must(create(q))
		for name, c := range map[string]struct {
			frame relay.Frame
			code  relay.CloseCode
		}{
			"unknown type":      {rawFrame{0x20, nil}, relay.CloseProtocol},
			"a server's frame":  {&relay.Accepted{}, relay.CloseProtocol},
			"cut short":         {rawFrame{relay.TypeAppend, make([]byte, 40)}, relay.CloseMalformed},
			"bytes behind":      {rawFrame{relay.TypePing, make([]byte, 9)}, relay.CloseMalformed},
			"empty body":        {rawFrame{relay.TypeCommit, nil}, relay.CloseMalformed},
			"a length bomb":     {rawFrame{relay.TypeAppend, append(make([]byte, 8+16+32+32+1), 0xbf, 0xff, 0xff, 0xff)}, relay.CloseMalformed},
			"non-minimal":       {rawFrame{relay.TypeConfigure, append(make([]byte, 8+16+32+32), 0x40, 0)}, relay.CloseMalformed},
			"ack from the dark": {&relay.Ack{Attachment: 1, Seq: 1}, relay.CloseProtocol},
		} {
			c2 := dial(t, h)
			if name == "ack from the dark" {
				c2.attach(q, bob, nil, 1<<20)
			}
			c2.write(c.frame)
			t.Log(name)
			c2.ended(c.code)
		}
		c := dial(t, h)
		c.write(rawFrame{0x80, []byte("later")}, rawFrame{0xff, make([]byte, 20_000)}, &relay.Ping{Value: 3})
		if p := event[*relay.Pong](c); p.Value != 3 {
			t.Error("frames that are to be skipped are not")
		}
		c.write(&relay.Ack{Attachment: 77, Seq: 1}, &relay.Detach{Attachment: 77}, &relay.Ping{Value: 4})
		event[*relay.Pong](c) // numbers of attachments that are not there are passed over
		owner.must(proveWrite(q, group))
		owner.must(appendTo(q, group, envelope(512, 1)))
	})
}

// TestR16_OversizedFrame: a frame above the announced limit ends the session before its
// bytes are there.
func TestR16_OversizedFrame(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	c := dialRaw(t, s)
	c.send(t, binary.BigEndian.AppendUint32(nil, relay.MaxClientFrame+1))
	if last := c.last(); last == nil || !bytes.Equal(last[4:], []byte{byte(relay.TypeClose), 0, byte(relay.CloseTooLarge)}) {
		t.Errorf("the session ended with %x", last)
	}
}

// TestR15_LargeFramesNeedAKey: a session that has shown no key sends small frames only; one
// that has, in the same breath, the largest.
func TestR15_LargeFramesNeedAKey(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	c := dialRaw(t, s)
	c.send(t, binary.BigEndian.AppendUint32(nil, relay.MaxFirstFrame+1))
	if last := c.last(); last == nil || !bytes.Equal(last[4:], []byte{byte(relay.TypeClose), 0, byte(relay.CloseTooLarge)}) {
		t.Errorf("the session ended with %x", last)
	}
	h := listen(t, s)
	q := queueID(22)
	dial(t, h).must(create(q))
	owner := dial(t, h)
	bad := owner.sign(proveWrite(q, group)).(*relay.Prove)
	bad.Signature[0] ^= 1
	owner.write(bad)
	owner.read()
	owner.write(rawFrame{0x80, make([]byte, relay.MaxFirstFrame)})
	owner.ended(relay.CloseTooLarge)
	owner = dial(t, h)
	owner.write(owner.sign(proveWrite(q, group)), owner.sign(appendTo(q, group, envelope(relay.MaxEnvelope, 1))))
	if _, ok := owner.read().(*relay.Proved); !ok {
		t.Error("not proven")
	}
	if got, ok := owner.read().(*relay.Accepted); !ok || got.Position.Seq != 1 {
		t.Errorf("the largest envelope is answered %+v", got)
	}
}

// TestR17_RepeatedFrames: the same frame twice does once what it says.
func TestR17_RepeatedFrames(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(21)
		c := dial(t, h)
		r := c.sign(create(q))
		c.write(r, r)
		first, second := c.read().(*relay.Accepted), c.read().(*relay.Accepted)
		if first.Position != second.Position {
			t.Error("a repeated CREATE is answered differently")
		}
		p := c.sign(proveWrite(q, group))
		c.write(p, p)
		c.read()
		c.read()
		a := c.sign(appendTo(q, group, envelope(512, 1)))
		c.write(a, a, a)
		for range 3 {
			if got, ok := c.read().(*relay.Accepted); !ok || got.Position.Seq != 1 {
				t.Errorf("a repeated APPEND is answered %+v", got)
			}
		}
	})
}

// TestR11_SessionsOfOneNetwork: one network opens so many sessions and no more; those that
// end make room.
func TestR11_SessionsOfOneNetwork(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		s := open(t, t.TempDir(), func(c *Config) { c.Limits.SessionsPerPrefix = 2 })
		h := listen(t, s)
		first := dial(t, h)
		dial(t, h)
		if _, err := tryDial(t, h); err == nil || !strings.Contains(err.Error(), "429") {
			t.Errorf("a third session: %v", err)
		}
		_ = first.s.Close()
		for {
			if _, err := tryDial(t, h); err == nil {
				break // the server has noticed that the first one is gone
			}
		}
	})
}

// TestWebSocketRules: what RFC 6455 forbids, and text, ends the connection.
func TestWebSocketRules(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), nil))
	ws, _, err := websocket.Dial(t.Context(), strings.Replace(h.URL, "https", "wss", 1)+relay.Path,
		&websocket.DialOptions{HTTPClient: h.Client(), Subprotocols: []string{relay.Subprotocol}})
	if err != nil {
		t.Fatal(err)
	}
	go ws.Write(t.Context(), websocket.MessageText, []byte("hello"))
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusProtocolError {
		t.Errorf("text: %v", err)
	}
}
