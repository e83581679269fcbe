package proxyline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/connlimit"
)

// header is a header with a rest; its length says so unless it is given.
func header(versionCommand, familyProtocol byte, rest []byte, length ...int) []byte {
	n := len(rest)
	if length != nil {
		n = length[0]
	}
	return append([]byte(signature+string([]byte{versionCommand, familyProtocol, byte(n >> 8), byte(n)})), rest...)
}

var (
	v4   = []byte{203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x67, 1, 0xbb}
	v6   = append(append(netip.MustParseAddr("2001:db8::7").AsSlice(), netip.MustParseAddr("2001:db8::1").AsSlice()...), 0x12, 0x67, 1, 0xbb)
	tlvs = []byte{0x04, 0, 3, 0, 0, 0} // PP2_TYPE_NOOP
	good = map[string]struct {
		header []byte
		want   string // nothing: the proxy's own
	}{
		"IPv4":           {header(0x21, 0x11, v4), "203.0.113.7:4711"},
		"IPv6":           {header(0x21, 0x21, v6), "[2001:db8::7]:4711"},
		"with more":      {header(0x21, 0x11, append(bytes.Clone(v4), tlvs...)), "203.0.113.7:4711"},
		"largest":        {header(0x21, 0x11, append(bytes.Clone(v4), make([]byte, maxRest-len(v4))...)), "203.0.113.7:4711"},
		"local":          {header(0x20, 0x00, nil), ""},
		"local and more": {header(0x20, 0x00, tlvs), ""},
		"local IPv4":     {header(0x20, 0x11, v4), ""},
	}
	unix = make([]byte, 216)
)

// TestHeaders: each is read to its last byte and no further; every prefix of it is refused.
func TestHeaders(t *testing.T) {
	for name, c := range good {
		t.Run(name, func(t *testing.T) {
			addr, rest, err := through(t, c.header, "GET")
			if err != nil || rest != "GET" {
				t.Fatalf("%v, and then %q", err, rest)
			}
			if c.want == "" {
				c.want = "pipe"
			}
			if addr.String() != c.want {
				t.Errorf("the client is %v", addr)
			}
			for n := range c.header {
				if _, _, err := through(t, c.header[:n], ""); err == nil {
					t.Errorf("its first %d bytes are enough", n)
				}
			}
		})
	}
}

// TestR16_BadHeaders: none of them names a client.
func TestR16_BadHeaders(t *testing.T) {
	for name, h := range map[string][]byte{
		"version 1":           []byte("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"),
		"version 1, unknown":  []byte("PROXY UNKNOWN\r\n................"),
		"none":                []byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
		"TLS":                 append([]byte{0x16, 3, 1, 0, 200, 1, 0, 0, 196}, make([]byte, 200)...),
		"zeros":               make([]byte, 64),
		"version 3":           header(0x31, 0x11, v4),
		"version 0":           header(0x01, 0x11, v4),
		"unknown command":     header(0x22, 0x11, v4),
		"unspecified":         header(0x21, 0x00, nil),
		"unspecified, more":   header(0x21, 0x00, v4),
		"UDP":                 header(0x21, 0x12, v4),
		"UDP over IPv6":       header(0x21, 0x22, v6),
		"unix":                header(0x21, 0x31, unix),
		"unix datagrams":      header(0x21, 0x32, unix),
		"unknown family":      header(0x21, 0x41, v4),
		"unknown protocol":    header(0x21, 0x13, v4),
		"no protocol":         header(0x21, 0x10, v4),
		"IPv6 as IPv4's size": header(0x21, 0x21, v4),
		"empty IPv4":          header(0x21, 0x11, nil),
		"too long":            header(0x21, 0x11, append(bytes.Clone(v4), make([]byte, maxRest+1-len(v4))...)),
		"64 KiB":              header(0x21, 0x11, v4, 0xffff),
		"cut signature":       append([]byte(signature[:11]), header(0x21, 0x11, v4)...),
	} {
		t.Run(name, func(t *testing.T) {
			if addr, _, err := through(t, h, ""); err == nil {
				t.Errorf("the client is %v", addr)
			}
		})
	}
}

// through sends a header and what comes behind it, and reads them.
func through(t *testing.T, header []byte, behind string) (net.Addr, string, error) {
	t.Helper()
	proxy, c := net.Pipe()
	defer c.Close()
	go func() {
		proxy.Write(append(bytes.Clone(header), behind...))
		proxy.Close()
	}()
	addr, err := readHeader(c)
	if err != nil {
		return addr, "", err
	}
	rest, err := io.ReadAll(c)
	return addr, string(rest), err
}

func FuzzHeader(f *testing.F) {
	for _, c := range good {
		f.Add(c.header)
	}
	f.Add([]byte("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, _, err := through(t, b, "")
		if err != nil {
			return
		}
		if _, err := netip.ParseAddrPort(addr.String()); err != nil && addr.String() != "pipe" {
			t.Errorf("the client is %v", addr)
		}
	})
}

// listen opens a listener for proxies on this machine.
func listen(t *testing.T, limits connlimit.Limits, from ...string) (net.Listener, *connlimit.Counter) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counter := connlimit.New(limits)
	prefixes := make([]netip.Prefix, len(from))
	for i, p := range from {
		prefixes[i] = netip.MustParsePrefix(p)
	}
	l := Listen(inner, prefixes, counter)
	t.Cleanup(func() { l.Close() })
	return l, counter
}

// ask sends a request behind a header and returns the answer.
func ask(t *testing.T, l net.Listener, header []byte) string {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(append(bytes.Clone(header), "GET / HTTP/1.0\r\n\r\n"...))
	b, _ := io.ReadAll(c)
	return string(b)
}

// TestServersSeeTheClient: behind a listed proxy; everybody else is closed unheard, header or
// not.
func TestServersSeeTheClient(t *testing.T) {
	l, counter := listen(t, connlimit.Limits{Total: 10, Network: 10, Loopback: 10}, "192.0.2.0/24", "127.0.0.0/8")
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) })}
	go web.Serve(l)
	if got := ask(t, l, header(0x21, 0x11, v4)); !strings.HasSuffix(got, "\r\n\r\n203.0.113.7:4711") {
		t.Errorf("the answer is %q", got)
	}
	if got := ask(t, l, header(0x20, 0, nil)); !strings.Contains(got, "\r\n\r\n127.0.0.1:") {
		t.Errorf("to the proxy's own question: %q", got)
	}
	if got := ask(t, l, nil); got != "" {
		t.Errorf("without a header: %q", got)
	}
	other, _ := listen(t, connlimit.Limits{Total: 10, Network: 10, Loopback: 10}, "192.0.2.0/24", "::1/128")
	go web.Serve(other)
	if got := ask(t, other, header(0x21, 0x11, v4)); got != "" {
		t.Errorf("to somebody who is no proxy: %q", got)
	}
	if err := web.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if counter.Open() != 0 {
		t.Errorf("%d connections are counted at the end", counter.Open())
	}
}

// TestR11_LimitsCountTheClient: behind one proxy, one client's network is full and another's
// is not; headers that do not come count in all.
func TestR11_LimitsCountTheClient(t *testing.T) {
	l, counter := listen(t, connlimit.Limits{Total: 4, Network: 1, Loopback: 1}, "127.0.0.1/32")
	connect := func(h []byte) net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.Write(h)
		return c
	}
	connect(header(0x21, 0x11, v4))
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect(header(0x21, 0x11, v4)).Read(make([]byte, 1)); err == nil {
		t.Error("a second connection of one network")
	}
	connect(header(0x21, 0x21, v6))
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	connect(nil)
	connect(nil)
	for counter.Open() < 4 { // until both are waited for
	}
	if _, err := connect(header(0x20, 0, nil)).Read(make([]byte, 1)); err == nil {
		t.Error("a connection over the limit of all")
	}
	first.Close()
	first.Close()
	if counter.Open() != 3 {
		t.Errorf("%d connections are counted", counter.Open())
	}
}

// pipes is a listener of pipes whose peers are proxies.
type pipes struct {
	net.Listener
	conns chan net.Conn
}

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error {
	close(p.conns)
	return nil
}

// TestR10_SlowHeaders: one that comes a byte a second ends in its time, and holds up nobody; a
// connection whose header came has all the time it wants.
func TestR10_SlowHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counter := connlimit.New(connlimit.Limits{Total: 10, Network: 10, Loopback: 10})
		inner := pipes{conns: make(chan net.Conn)}
		l := Listen(inner, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, counter)
		connect := func() net.Conn {
			client, c := net.Pipe()
			inner.conns <- &clientConn{c, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}
			return client
		}
		begin, slow := time.Now(), connect()
		ended := make(chan time.Duration)
		go func() {
			for _, b := range header(0x21, 0x11, v4) {
				if _, err := slow.Write([]byte{b}); err != nil {
					break
				}
				time.Sleep(time.Second)
			}
			ended <- time.Since(begin)
		}()
		quick := connect()
		go quick.Write(header(0x21, 0x11, v4))
		c, err := l.Accept()
		if err != nil || time.Since(begin) != 0 {
			t.Fatalf("the quick one is there after %v: %v", time.Since(begin), err)
		}
		if d := <-ended; d > headerWithin+time.Second {
			t.Errorf("the slow one ended after %v", d)
		}
		time.Sleep(time.Hour)
		go quick.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("after an hour: %v", err)
		}
		waiting := connect()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := waiting.Read(make([]byte, 1)); err == nil {
			t.Error("a connection outlives the listener it waits at")
		}
		c.Close()
		synctest.Wait()
		if counter.Open() != 0 {
			t.Errorf("%d connections are counted at the end", counter.Open())
		}
	})
}
