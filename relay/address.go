package relay

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ErrAddress is what [ParseAddress] wraps for everything that is no relay address.
var ErrAddress = errors.New("relay: not a relay address")

// Address tells where a relay is and who it is:
//
//	sealpost://HOST:PORT/<base64url Noise key>?pin=<base64url SHA-256 of the certificate's SPKI>
//
// base64url is without padding. Without a pin the system's roots verify the certificate;
// either way the Noise key, not the certificate, is what makes the session the relay's.
type Address struct {
	Host string // HOST:PORT; an IPv6 host stands in brackets
	Key  RelayKey
	Pin  *Hash
}

// ParseAddress reads what [Address.String] writes, and nothing else: no user, no fragment,
// no other query, no padding.
func ParseAddress(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Address{}, fmt.Errorf("%w: not a URI", ErrAddress)
	}
	if u.Scheme != "sealpost" || u.Opaque != "" {
		return Address{}, fmt.Errorf("%w: the scheme is not sealpost", ErrAddress)
	}
	host, port, err := net.SplitHostPort(u.Host)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
		return Address{}, fmt.Errorf("%w: no HOST:PORT", ErrAddress)
	}
	a := Address{Host: u.Host}
	if err := decode32(strings.TrimPrefix(u.Path, "/"), a.Key[:]); err != nil {
		return Address{}, fmt.Errorf("%w: the path is not a key", ErrAddress)
	}
	if u.RawQuery != "" {
		text, ok := strings.CutPrefix(u.RawQuery, "pin=")
		a.Pin = new(Hash)
		if !ok || decode32(text, a.Pin[:]) != nil {
			return Address{}, fmt.Errorf("%w: the query is not a pin", ErrAddress)
		}
	}
	if a.String() != s {
		return Address{}, fmt.Errorf("%w: not in its canonical form", ErrAddress)
	}
	return a, nil
}

// String returns the address as a URI.
func (a Address) String() string {
	s := "sealpost://" + a.Host + "/" + base64.RawURLEncoding.EncodeToString(a.Key[:])
	if a.Pin != nil {
		s += "?pin=" + base64.RawURLEncoding.EncodeToString(a.Pin[:])
	}
	return s
}

func decode32(text string, dst []byte) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(dst) {
		return ErrAddress
	}
	copy(dst, b)
	return nil
}
