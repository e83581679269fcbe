package keyserver

import (
	"errors"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	pin := strings.Repeat("A", 43)
	for in, want := range map[string]string{
		"https://keys.example":                             "https://keys.example:443/",
		"https://keys.example/":                            "https://keys.example:443/",
		"https://keys.example:8443/?pin=" + pin:            "https://keys.example:8443/?pin=" + pin,
		"https://[::1]:1/?pin=" + pin:                      "https://[::1]:1/?pin=" + pin,
		"https://127.0.0.1:65535":                          "https://127.0.0.1:65535/",
		"http://keys.example/":                             "",
		"https://":                                         "",
		"https://:8443/":                                   "",
		"https://user@keys.example/":                       "",
		"https://keys.example/v1":                          "",
		"https://keys.example/#x":                          "",
		"https://keys.example/?pin=":                       "",
		"https://keys.example/?pin=AAAA":                   "",
		"https://keys.example/?pim=" + pin:                 "",
		"https://keys.example/?pin=" + pin + "&pin=" + pin: "",
		"https://keys.example:0/":                          "",
		"https://keys.example:65536/":                      "",
		"keys.example:443":                                 "",
		"https://keys.example/?pin=%zz":                    "",
	} {
		a, err := ParseAddress(in)
		if want == "" {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%q: %v, want ErrInvalid", in, err)
			}
			continue
		}
		if err != nil || a.String() != want {
			t.Errorf("%q is %q (%v), want %q", in, a, err, want)
		}
		if b, err := ParseAddress(a.String()); err != nil || b.String() != want {
			t.Errorf("%q does not survive a round trip: %v", want, err)
		}
	}
}

func TestNames(t *testing.T) {
	for h, ok := range map[string]bool{
		"a": true, "bob.the-2nd_": true, strings.Repeat("z", 64): true,
		"": false, strings.Repeat("z", 65): false, "Bob": false, "b b": false, "bøb": false, "b\x00": false, "a/b": false,
	} {
		if err := CheckHandle(h); (err == nil) != ok {
			t.Errorf("handle %q: %v", h, err)
		}
	}
	id := AccountID{0xab, 31: 0xcd}
	if got, err := ParseAccountID(id.String()); err != nil || got != id {
		t.Errorf("account id does not survive a round trip: %v", err)
	}
	for _, bad := range []string{"", "ab", strings.ToUpper(id.String()), id.String() + "0", strings.Repeat("g", 64)} {
		if _, err := ParseAccountID(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("account id %q: %v, want ErrInvalid", bad, err)
		}
	}
}
