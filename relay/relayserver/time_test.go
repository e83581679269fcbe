package relayserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// TestR10_SilentPeers: who holds a connection and gives nothing loses it: within 10 s
// without a handshake, 90 s without a record, 30 s without reading.
func TestR10_SilentPeers(t *testing.T) {
	t.Run("no handshake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := openHere(t)
			begin := time.Now()
			conn, gone := connect(t, s)
			go conn.Write([]byte{0x82, 0x82, 0, 0}) // a frame begins and does not go on
			<-gone
			if took := time.Since(begin); took > 10*time.Second+closeWithin {
				t.Errorf("held for %v", took)
			}
		})
	})
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _, gone := dialPipe(t, openHere(t))
			begin := time.Now()
			time.AfterFunc(60*time.Second, func() { _ = c.s.WriteFrames(&relay.Ping{}) })
			event[*relay.Pong](c)
			c.ended(relay.CloseIdle)
			<-gone
			if took := time.Since(begin); took < 150*time.Second || took > 150*time.Second+closeWithin {
				t.Errorf("held for %v", took)
			}
		})
	})
	t.Run("not reading", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _, gone := dialPipe(t, openHere(t))
			begin := time.Now()
			c.write(&relay.Ping{})
			<-gone
			if took := time.Since(begin); took > 30*time.Second+closeWithin {
				t.Errorf("held for %v", took)
			}
		})
	})
	t.Run("one byte a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, conn, gone := dialPipe(t, openHere(t))
			go c.s.ReadFrame()
			begin := time.Now()
			frame := append([]byte{0x82, 0xfe, 0x04, 0x02, 0, 0, 0, 0, 0x04, 0x00}, make([]byte, 1024)...)
			go func() {
				for i := range frame {
					if _, err := conn.Write(frame[i : i+1]); err != nil {
						return
					}
					<-time.After(time.Second)
				}
			}()
			<-gone
			if took := time.Since(begin); took > 90*time.Second+closeWithin {
				t.Errorf("held for %v", took)
			}
		})
	})
}

// TestR15_FrameByDribs: records come in time, and the frame never ends.
func TestR15_FrameByDribs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialRaw(t, openHere(t))
		begin := time.Now()
		c.send(t, binary.BigEndian.AppendUint32(nil, 10_000))
		stop := make(chan struct{})
		go func() {
			tick := time.NewTicker(30 * time.Second)
			defer tick.Stop()
			for range 20 {
				select {
				case <-tick.C:
					c.send(t, []byte{0})
				case <-stop:
					return
				}
			}
		}()
		c.last()
		close(stop)
		if took := time.Since(begin); took > relay.FrameWithin+closeWithin {
			t.Errorf("held for %v", took)
		}
	})
}

// openHere opens a server inside a bubble: its store's goroutines end with the test.
func openHere(t *testing.T) *Server {
	t.Helper()
	return open(t, t.TempDir(), nil)
}

func TestBuckets(t *testing.T) {
	b := newBuckets(3, time.Second)
	here, there := prefixOf("192.0.2.7:1"), prefixOf("192.0.3.7:1")
	now := time.Unix(1_000_000, 0)
	for i := range 3 {
		if _, ok := b.take(here, now); !ok {
			t.Errorf("token %d of 3 refused", i)
		}
	}
	if wait, ok := b.take(prefixOf("192.0.2.200:99"), now); ok || wait != time.Second {
		t.Errorf("a fourth from the same /24: %v, wait %v", ok, wait)
	}
	if _, ok := b.take(there, now); !ok {
		t.Error("another network pays for this one")
	}
	if _, ok := b.take(here, now.Add(time.Second)); !ok {
		t.Error("no token after the wait that was told")
	}
	if _, ok := b.take(here, now.Add(time.Second)); ok {
		t.Error("two tokens after the wait for one")
	}
	b.sweep(now.Add(time.Hour))
	if len(b.full) != 0 {
		t.Error("full buckets are kept")
	}
	for remote, want := range map[string]string{
		"192.0.2.7:80": "192.0.2.0/24", "[2001:db8:1:2ff::1]:80": "2001:db8:1:200::/56",
		"[::ffff:192.0.2.7]:80": "192.0.2.0/24", "[fe80::1%eth0]:80": "fe80::/56", "pipe": "invalid Prefix",
	} {
		if got := prefixOf(remote).String(); got != want {
			t.Errorf("prefix of %s is %s, want %s", remote, got, want)
		}
	}
}

// TestR32_BucketsAreBounded: any number of networks takes so much memory and no more.
func TestR32_BucketsAreBounded(t *testing.T) {
	b := newBuckets(1, time.Hour)
	now := time.Unix(1_000_000, 0)
	for i := range maxPrefixes + 100 {
		remote := []byte{10, byte(i >> 16), byte(i >> 8), byte(i)}
		b.take(prefixOfBytes(remote), now)
	}
	if len(b.full) > maxPrefixes+1 {
		t.Errorf("%d buckets", len(b.full))
	}
}

func prefixOfBytes(ip []byte) netip.Prefix {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.PrefixFrom(addr, 32)
}

// TestR11_SessionsOfOneSite: an IPv6 /48 has 256 prefixes, and four times the sessions of one.
func TestR11_SessionsOfOneSite(t *testing.T) {
	s := open(t, t.TempDir(), func(c *Config) { c.Limits.SessionsPerPrefix = 2 })
	var in []netip.Prefix
	for i := range 256 {
		p := prefixOf(fmt.Sprintf("[2001:db8:1:%x00::1]:1", i))
		err := s.admit(p)
		if (err == nil) != (len(in) < 8) {
			t.Errorf("after %d sessions of the site: %v", len(in), err)
		}
		if err == nil {
			in = append(in, p)
		}
	}
	for _, other := range []string{"[2001:db8:2::1]:1", "192.0.2.1:1", "192.0.2.2:1"} {
		if err := s.admit(prefixOf(other)); err != nil {
			t.Fatalf("%s pays for the site: %v", other, err)
		}
		s.release(prefixOf(other))
	}
	for _, p := range in {
		s.release(p)
	}
	if len(s.byPrefix)+len(s.bySite) != 0 {
		t.Errorf("%d prefixes and %d sites are kept of nobody", len(s.byPrefix), len(s.bySite))
	}
}
