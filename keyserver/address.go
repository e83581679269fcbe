package keyserver

import (
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/sealpost/sealpost/internal/certpin"
)

// Address is where a key server is and how it proves itself: one URI,
// https://host:port/?pin=PIN, in which port (443) and pin may be missing. Without a pin the
// system's certificate authorities decide.
type Address struct {
	Host string // a DNS name or an IP address, without brackets
	Port uint16
	Pin  *certpin.Pin // nil: no pin
}

// ParseAddress reads the one URI form; user names, paths, fragments and unknown parameters
// are [ErrInvalid], so that a mistyped pin is never silently dropped.
func ParseAddress(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Address{}, fmt.Errorf("key server address: %w", ErrInvalid) // the cause would repeat the address
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" ||
		u.Path != "" && u.Path != "/" {
		return Address{}, fmt.Errorf("key server address is not https://host:port/?pin=...: %w", ErrInvalid)
	}
	a := Address{Host: u.Hostname(), Port: 443}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return Address{}, fmt.Errorf("key server address has no such port: %w", ErrInvalid)
		}
		a.Port = uint16(n)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Address{}, fmt.Errorf("key server address: %w", ErrInvalid)
	}
	for name, values := range query {
		if name != "pin" || len(values) != 1 {
			return Address{}, fmt.Errorf("key server address has an unknown or repeated parameter: %w", ErrInvalid)
		}
		pin, err := certpin.Parse(values[0])
		if err != nil {
			return Address{}, fmt.Errorf("key server address: %w: %w", err, ErrInvalid)
		}
		a.Pin = &pin
	}
	return a, nil
}

// String returns the URI that [ParseAddress] reads.
func (a Address) String() string {
	s := a.base() + "/"
	if a.Pin != nil {
		s += "?pin=" + a.Pin.String()
	}
	return s
}

func (a Address) base() string {
	return "https://" + net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}
