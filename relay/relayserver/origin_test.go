package relayserver

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// origins is what a request may say of its page, and whether it gets in.
var origins = map[string]struct {
	origins []string
	welcome bool
}{
	"a program":       {nil, true},
	"the app's page":  {[]string{"https://app.example"}, true},
	"another page":    {[]string{"https://evil.example"}, false},
	"its http sister": {[]string{"http://app.example"}, false},
	"its port":        {[]string{"https://app.example:444"}, false},
	"a suffix":        {[]string{"https://app.example.evil"}, false},
	"a sandbox":       {[]string{"null"}, false},
	"an empty one":    {[]string{""}, false},
	"two of them":     {[]string{"https://app.example", "https://evil.example"}, false},
}

func forApp(c *Config) { c.Origins = []string{"https://app.example"} }

// TestR19_Origin: pages of sites that are not on the list do not get in, nor does who speaks
// another subprotocol; nothing is compressed.
func TestR19_Origin(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), forApp))
	for page, c := range origins {
		want := http.StatusForbidden
		if c.welcome {
			want = http.StatusSwitchingProtocols
		}
		upgrade(t, h, page, relay.Path, c.origins, []string{relay.Subprotocol}, want)
	}
	upgrade(t, h, "no subprotocol", relay.Path, nil, nil, http.StatusBadRequest)
	upgrade(t, h, "another subprotocol", relay.Path, nil, []string{"chat"}, http.StatusBadRequest)
	upgrade(t, h, "ours among others", relay.Path, nil, []string{"chat, " + relay.Subprotocol}, http.StatusSwitchingProtocols)
	upgrade(t, h, "another path", relay.Path+"/x", nil, []string{relay.Subprotocol}, http.StatusNotFound)
	upgrade(t, h, "nearly polling", relay.Path+"/polls", nil, []string{relay.Subprotocol}, http.StatusNotFound)
}

// TestR19_FetchMetadata: what a page of another site embeds comes without Origin, and does not
// get in either, whatever it asks for.
func TestR19_FetchMetadata(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), forApp), overPolling3)
	for name, c := range map[string]struct {
		sites   []string
		welcome bool
	}{
		"a program":          {nil, true},
		"our own page":       {[]string{"same-origin"}, true},
		"an address typed":   {[]string{"none"}, true},
		"another site":       {[]string{"cross-site"}, false},
		"a sister":           {[]string{"same-site"}, false},
		"something new":      {[]string{"elsewhere"}, false},
		"two, one of it bad": {[]string{"same-origin", "cross-site"}, false},
	} {
		for method, path := range map[string]string{
			http.MethodGet: "/poll/x/0", http.MethodPost: "/poll", http.MethodDelete: "/poll/x", http.MethodConnect: "",
		} {
			want := http.StatusNotFound
			if method == http.MethodConnect { // an upgrade, which has no body and no subprotocol here
				method, want = http.MethodGet, http.StatusBadRequest
			}
			for via, client := range map[string]struct {
				client *http.Client
				url    string
			}{"HTTP/1.1": {h.Client(), h.URL}, "HTTP/3": {h.client3(), h.url3()}} {
				r, err := http.NewRequestWithContext(t.Context(), method, client.url+relay.Path+path, bytes.NewReader(bytes.Repeat([]byte{0xff}, 100)))
				if err != nil {
					t.Fatal(err)
				}
				r.Header["Sec-Fetch-Site"] = c.sites
				answer, err := client.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = answer.Body.Close()
				if c.welcome != (answer.StatusCode == want) || !c.welcome && answer.StatusCode != http.StatusForbidden {
					t.Errorf("%s: %s: %s %s: %d", name, via, method, path, answer.StatusCode)
				}
			}
		}
	}
}

func upgrade(t *testing.T, h *endpoint, name, path string, origins, protocols []string, want int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Origin"] = origins
	r.Header["Sec-Websocket-Protocol"] = protocols
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
	if resp.StatusCode != want {
		t.Errorf("%s: status %d, want %d", name, resp.StatusCode, want)
	}
	if x := resp.Header.Get("Sec-WebSocket-Extensions"); x != "" {
		t.Errorf("%s: extension %q was negotiated", name, x)
	}
}

// TestR19_OriginOfPolling: whatever the endpoint, over both HTTPs, and before a browser asks;
// the answer to an allowed page can be read by it alone.
func TestR19_OriginOfPolling(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), forApp), overPolling3)
	for name, via := range map[string]struct {
		client *http.Client
		url    string
	}{"HTTP/1.1": {h.Client(), h.URL}, "HTTP/3": {h.client3(), h.url3()}} {
		for page, c := range origins {
			for _, r := range []struct {
				method, path string
				welcome      int
			}{
				{http.MethodOptions, "/poll", http.StatusNoContent},
				{http.MethodOptions, "/poll/x/0", http.StatusNoContent},
				{http.MethodPost, "/poll", http.StatusNotFound}, // its body is no hello
				{http.MethodPost, "/poll/x/0", http.StatusNotFound},
				{http.MethodGet, "/poll/x/0", http.StatusNotFound},
				{http.MethodDelete, "/poll/x", http.StatusNotFound},
			} {
				request, err := http.NewRequestWithContext(t.Context(), r.method, via.url+relay.Path+r.path, bytes.NewReader(bytes.Repeat([]byte{0xff}, 100)))
				if err != nil {
					t.Fatal(err)
				}
				request.Header["Origin"] = c.origins
				answer, err := via.client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_ = answer.Body.Close()
				want, readable := http.StatusForbidden, ""
				if c.welcome {
					want, readable = r.welcome, strings.Join(c.origins, "")
				}
				if answer.StatusCode != want || answer.Header.Get("Access-Control-Allow-Origin") != readable {
					t.Errorf("%s: %s: %s %s: %d, readable by %q", name, page, r.method, r.path,
						answer.StatusCode, answer.Header.Get("Access-Control-Allow-Origin"))
				}
				if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s: %s: %s %s may be stored, or comes with cookies", name, page, r.method, r.path)
				}
			}
		}
	}
}

// TestR19_OriginOfWebTransport: the same pages as over WebSocket, and no other path.
func TestR19_OriginOfWebTransport(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), forApp), overWebTransport)
	for page, c := range origins {
		stream, err := dialWebTransport(t.Context(), h, http.Header{"Origin": c.origins})
		if (err == nil) != c.welcome {
			t.Errorf("%s: %v", page, err)
		}
		if err == nil {
			_ = stream.Close()
		} else if !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: %v, want 403", page, err)
		}
	}
}
