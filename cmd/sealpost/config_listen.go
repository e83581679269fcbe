package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// listenerConfig is one address to listen on: a TCP port for TLS, and the UDP port of the same
// number for QUIC.
type listenerConfig struct {
	Address   string         `toml:"address"`    // HOST:PORT; localhost is both loopback addresses
	Public    string         `toml:"public"`     // HOST:PORT that clients dial; Address if empty
	QUIC      *bool          `toml:"quic"`       // nil: unless ProxyFrom is set
	ProxyFrom []netip.Prefix `toml:"proxy-from"` // peers that speak for clients with PROXY protocol v2; nobody else may connect
}

// quic tells whether the listener has a UDP port.
func (l listenerConfig) quic() bool {
	if l.QUIC != nil {
		return *l.QUIC
	}
	return len(l.ProxyFrom) == 0
}

// check refuses what cannot work.
func (l listenerConfig) check() error {
	if _, _, err := net.SplitHostPort(l.Address); err != nil {
		return fmt.Errorf("%q is no HOST:PORT: %w", l.Address, err)
	}
	if l.Public != "" {
		if h, _, err := net.SplitHostPort(l.Public); err != nil || h == "" {
			return fmt.Errorf("public is %q, no HOST:PORT", l.Public)
		}
	}
	if l.quic() && len(l.ProxyFrom) > 0 {
		return errors.New("quic does not go with proxy-from: no proxy says who sent a UDP packet")
	}
	for _, p := range l.ProxyFrom {
		if p.Addr().Is4() && p.Bits() < leastProxyBits4 || p.Addr().Is6() && p.Bits() < leastProxyBits6 {
			return fmt.Errorf("proxy-from has %s: whoever is in it is believed about where clients come from, so say which addresses the proxies have", p)
		}
	}
	return nil
}

// leastProxyBits4 and leastProxyBits6 bound a network of proxies: the largest private ones. A
// larger one holds strangers, who could say that they come from anywhere, and no limit by
// address would hold them.
const leastProxyBits4, leastProxyBits6 = 8, 7

// dialable tells whether clients can be given the listener's address.
func (l listenerConfig) dialable() bool {
	if l.Public != "" {
		return true
	}
	host, _, err := net.SplitHostPort(l.Address)
	ip := net.ParseIP(host)
	return err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) && len(l.ProxyFrom) == 0
}

// listeners returns all listeners, whichever way they were written.
func (c *serveConfig) listeners() []listenerConfig {
	if c.Listen == "" {
		return c.Listeners
	}
	return []listenerConfig{{Address: c.Listen, Public: c.Public}}
}

// completeListeners checks what is listened on, and that clients can be told an address.
func (c *serveConfig) completeListeners() error {
	if c.Listen != "" && len(c.Listeners) > 0 {
		return errors.New("listen and [[listener]] do not go together: write all addresses as [[listener]]")
	}
	if c.Listen == "" && c.Public != "" {
		return errors.New("public goes with listen: write it into the [[listener]] that it is for")
	}
	told := false
	for _, l := range c.listeners() {
		if err := l.check(); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		told = told || l.dialable()
	}
	if !told {
		return errors.New("no listener has an address that clients can dial (all addresses, or behind a proxy): say with public which one it is")
	}
	return nil
}
