package testvectors_test

import (
	"encoding/base64"
	"strings"
	"testing"
)

var (
	pin          = random("pin", 32)
	relayURI     = "sealpost://relay.example:443/" + base64url(relayKey) + "?pin=" + base64url(pin)
	keyServerURI = "https://keys.example:443/?pin=" + base64url(pin)
)

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func badAddress(name, address string) object {
	return object{{"name", name}, {"address", address}, {"error", "address"}}
}

func relayAddressVectors(*testing.T) []object {
	good := func(name, host string, pin []byte) object {
		address := "sealpost://" + host + "/" + base64url(relayKey)
		o := object{{"name", name}, {"address", address}, {"host", host}, {"key", relayKey}}
		if pin != nil {
			o[1].value = address + "?pin=" + base64url(pin)
			o = append(o, member{"pin", pin})
		}
		return o
	}
	with := func(old, new string) string { return strings.Replace(relayURI, old, new, 1) }
	key := base64url(relayKey)
	return []object{
		good("a name and a port", "relay.example:443", nil),
		good("with a pin", "relay.example:8443", pin),
		good("an IPv4 address", "192.0.2.1:7443", pin),
		good("an IPv6 address", "[2001:db8::1]:7443", pin),
		badAddress("nothing", ""),
		badAddress("another scheme", with("sealpost:", "https:")),
		badAddress("a scheme in capitals", with("sealpost:", "SEALPOST:")),
		badAddress("no port", with(":443", "")),
		badAddress("port 0", with(":443", ":0")),
		badAddress("port 65536", with(":443", ":65536")),
		badAddress("no host", with("relay.example", "")),
		badAddress("a user", with("relay", "user@relay")),
		badAddress("a fragment", relayURI+"#x"),
		badAddress("no key", with(key, "")),
		badAddress("a key of 31 bytes", with(key, base64url(relayKey[:31]))),
		badAddress("a key with padding", with(key, key+"=")),
		badAddress("a key whose last character has bits that count for nothing", with(key, key[:42]+next(key[42]))),
		badAddress("a path behind the key", with("?pin", "/x?pin")),
		badAddress("an empty pin", with(base64url(pin), "")),
		badAddress("a pin of 31 bytes", with(base64url(pin), base64url(pin[:31]))),
		badAddress("another parameter", with("?pin=", "?pim=")),
		badAddress("two parameters", relayURI+"&x=1"),
		badAddress("two pins", relayURI+"&pin="+base64url(pin)),
		badAddress("a line end", relayURI+"\n"),
	}
}

// next is the character after c: in the last of 43 it changes the two bits that no byte has.
func next(c byte) string { return string(rune(c + 1)) }

func keyServerAddressVectors(*testing.T) []object {
	good := func(name, address, host string, port int, pin []byte, canonical string) object {
		o := object{{"name", name}, {"address", address}, {"host", host}, {"port", port}}
		if pin != nil {
			o = append(o, member{"pin", pin})
		}
		return append(o, member{"canonical", canonical})
	}
	query := "?pin=" + base64url(pin)
	return []object{
		good("in its canonical form", keyServerURI, "keys.example", 443, pin, keyServerURI),
		good("no port and no path", "https://keys.example", "keys.example", 443, nil, "https://keys.example:443/"),
		good("no port", "https://keys.example/"+query, "keys.example", 443, pin, keyServerURI),
		good("no path", "https://keys.example:8443"+query, "keys.example", 8443, pin, "https://keys.example:8443/"+query),
		good("an IPv4 address", "https://192.0.2.1:7443/", "192.0.2.1", 7443, nil, "https://192.0.2.1:7443/"),
		good("an IPv6 address", "https://[2001:db8::1]:7443/"+query, "2001:db8::1", 7443, pin, "https://[2001:db8::1]:7443/"+query),
		badAddress("nothing", ""),
		badAddress("no scheme", "keys.example:443"),
		badAddress("without TLS", "http://keys.example/"),
		badAddress("no host", "https://:443/"),
		badAddress("port 0", "https://keys.example:0/"),
		badAddress("port 65536", "https://keys.example:65536/"),
		badAddress("a user", "https://user@keys.example/"),
		badAddress("a path", "https://keys.example/v1"),
		badAddress("a fragment", "https://keys.example/#x"),
		badAddress("an empty pin", "https://keys.example/?pin="),
		badAddress("a pin of 31 bytes", "https://keys.example/?pin="+base64url(pin[:31])),
		badAddress("a pin with padding", keyServerURI+"="),
		badAddress("another parameter", "https://keys.example/?pim="+base64url(pin)),
		badAddress("two pins", keyServerURI+"&pin="+base64url(pin)),
		badAddress("two parameters", keyServerURI+"&x=1"),
		badAddress("an escape that is none", "https://keys.example/?pin=%zz"),
	}
}
