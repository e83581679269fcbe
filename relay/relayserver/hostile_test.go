package relayserver

import (
	"bytes"
	"encoding/binary"
	"net/http"
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

// TestR19_Origin: pages of sites that are not on the list do not get in.
func TestR19_Origin(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), func(c *Config) { c.Origins = []string{"https://app.example"} }))
	for name, c := range map[string]struct {
		path      string
		origins   []string
		protocols []string
		want      int
	}{
		"a program":           {relay.Path, nil, []string{relay.Subprotocol}, http.StatusSwitchingProtocols},
		"the app's page":      {relay.Path, []string{"https://app.example"}, []string{relay.Subprotocol}, http.StatusSwitchingProtocols},
		"another page":        {relay.Path, []string{"https://evil.example"}, []string{relay.Subprotocol}, http.StatusForbidden},
		"its http sister":     {relay.Path, []string{"http://app.example"}, []string{relay.Subprotocol}, http.StatusForbidden},
		"its port":            {relay.Path, []string{"https://app.example:444"}, []string{relay.Subprotocol}, http.StatusForbidden},
		"a suffix":            {relay.Path, []string{"https://app.example.evil"}, []string{relay.Subprotocol}, http.StatusForbidden},
		"a sandbox":           {relay.Path, []string{"null"}, []string{relay.Subprotocol}, http.StatusForbidden},
		"an empty one":        {relay.Path, []string{""}, []string{relay.Subprotocol}, http.StatusForbidden},
		"two of them":         {relay.Path, []string{"https://app.example", "https://evil.example"}, []string{relay.Subprotocol}, http.StatusForbidden},
		"no subprotocol":      {relay.Path, nil, nil, http.StatusBadRequest},
		"another subprotocol": {relay.Path, nil, []string{"chat"}, http.StatusBadRequest},
		"ours among others":   {relay.Path, nil, []string{"chat, " + relay.Subprotocol}, http.StatusSwitchingProtocols},
		"another path":        {relay.Path + "/x", nil, []string{relay.Subprotocol}, http.StatusNotFound},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Origin"] = c.origins
		r.Header["Sec-Websocket-Protocol"] = c.protocols
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
		r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
		resp, err := h.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, c.want)
		}
		if x := resp.Header.Get("Sec-WebSocket-Extensions"); x != "" {
			t.Errorf("%s: extension %q was negotiated", name, x)
		}
	}
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
