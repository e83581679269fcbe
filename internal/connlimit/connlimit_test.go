package connlimit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
)

// TestR11_ListenerClosesWhatIsOverItsLimits: a connection over the limit is closed, and one
// that ends makes room once, however often it is closed.
func TestR11_ListenerClosesWhatIsOverItsLimits(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counter := New(Limits{Total: 2, Network: 1, Loopback: 2})
	l := counter.Listen(inner)
	defer l.Close()
	in := make(chan net.Conn, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	turnedAway := func() {
		t.Helper()
		if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("a connection over the limit: %v, want EOF", err)
		}
	}
	dial()
	dial()
	first, second := <-in, <-in
	turnedAway()
	first.Close()
	first.Close()
	dial()
	third := <-in
	turnedAway()
	second.Close()
	third.Close()
	if counter.Open() != 0 || len(counter.byNetwork)+len(counter.bySite) != 0 {
		t.Errorf("%d connections of %d networks are counted after all were closed", counter.Open(), len(counter.byNetwork))
	}
}

// at returns the address that an accepted connection would have.
func at(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

func TestOneNetworkDoesNotFillTheServer(t *testing.T) {
	c := New(Limits{Total: 5, Network: 2, Loopback: 4})
	var places []*Place
	for _, e := range []struct {
		remote string
		want   bool
	}{
		{"192.0.2.1:1", true}, {"192.0.2.200:1", true}, {"[::ffff:192.0.2.3]:1", false},
		{"[2001:db8:1:200::1]:1", true}, {"[2001:db8:1:2ff::2]:1", true}, {"[2001:db8:1:201::3]:1", false},
		{"127.0.0.1:1", true}, {"127.9.9.9:1", false}, {"198.51.100.1:1", false}, // five are in
	} {
		p := c.Admit(at(e.remote))
		if (p != nil) != e.want {
			t.Errorf("%s is let in: %v", e.remote, p != nil)
		}
		if p != nil {
			places = append(places, p)
		}
	}
	places[0].Release()
	places[0].Release()
	if c.Admit(at("[::1]:1")) == nil {
		t.Error("there is room, and loopback is not let in")
	}
}

// Whoever has a /48 of IPv6 has 256 networks, and never more than a quarter of what there is.
func TestR11_OneSiteDoesNotFillTheServer(t *testing.T) {
	c := New(Limits{Total: 100, Network: 5, Loopback: 50})
	var places []*Place
	for i := range 256 {
		p := c.Admit(at(fmt.Sprintf("[2001:db8:1:%x00::1]:1", i)))
		if (p != nil) != (len(places) < 20) {
			t.Errorf("after %d of the site another is let in: %v", len(places), p != nil)
		}
		if p != nil {
			places = append(places, p)
		}
	}
	if c.Admit(at("[2001:db8:2::1]:1")) == nil || c.Admit(at("192.0.2.1:1")) == nil {
		t.Error("others pay for this site")
	}
	for _, p := range places {
		p.Release()
	}
	if c.Open() != 2 || len(c.byNetwork) != 2 || len(c.bySite) != 2 {
		t.Errorf("%d connections of %d networks and %d sites are counted", c.Open(), len(c.byNetwork), len(c.bySite))
	}
	if most := (Limits{Total: 10, Network: 2}).site(); most != 2 {
		t.Errorf("of few places a site gets %d", most)
	}
}

// A place that is taken before its client is known counts in all, and for one network once it
// is claimed.
func TestPlaceIsClaimedLater(t *testing.T) {
	c := New(Limits{Total: 3, Network: 1, Loopback: 1})
	a, b := c.Take(), c.Take()
	if !a.Claim(at("192.0.2.1:1")) || b.Claim(at("192.0.2.2:1")) {
		t.Error("a second place of one network is claimed")
	}
	if a.Claim(at("198.51.100.1:1")) {
		t.Error("one place is claimed for two networks")
	}
	b.Release()
	if b.Claim(at("198.51.100.1:1")) {
		t.Error("a place that was given back is claimed")
	}
	if c.Open() != 1 || len(c.byNetwork) != 1 {
		t.Errorf("%d connections of %d networks are counted", c.Open(), len(c.byNetwork))
	}
}

func TestLimitsFollowTheFiles(t *testing.T) {
	for files, want := range map[uint64]Limits{
		0: {1, 1, 1}, 600: {300, 75, 300}, 1024: {512, 128, 512}, 65536: {65024, 2048, 4096}, 1<<64 - 1: {maxConns, 2048, 4096},
	} {
		if got := forFiles(files); got != want {
			t.Errorf("with %d files the limits are %+v, want %+v", files, got, want)
		}
	}
	if got := ForProcess(); got.Total < 1 || got.Network > got.Total {
		t.Errorf("this process has %+v", got)
	}
}
