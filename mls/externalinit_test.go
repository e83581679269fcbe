package mls

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
)

// TestKEMOutputs: both sides come to one init secret, and what no member could use is found
// without the group's key.
func TestKEMOutputs(t *testing.T) { eachSuite(t, kemOutputs) }

func kemOutputs(t *testing.T, id Suite) {
	s := suites[id]
	e := newGroupOf(t, id, "a").at
	key := must(e.externalKey())(t)
	seen := map[string]bool{}
	for range 2 {
		kemOutput, sent, err := s.sendInit(key.pub)
		if err != nil {
			t.Fatal(err)
		}
		if received := must(s.receiveInit(kemOutput, key))(t); !bytes.Equal(sent, received) || len(sent) != s.nh || seen[string(sent)] {
			t.Errorf("sent %d bytes, received %d; again: %v", len(sent), len(received), seen[string(sent)])
		}
		seen[string(sent)] = true
		if err := s.checkKEMOutput(kemOutput); err != nil {
			t.Error(err)
		}
		for n := 0; n < len(kemOutput); n += 1 + len(kemOutput)/64 {
			wantRule(t, "prefix", s.checkKEMOutput(kemOutput[:n]), "external.init")
		}
		wantRule(t, "a byte less", s.checkKEMOutput(kemOutput[:len(kemOutput)-1]), "external.init")
		wantRule(t, "a byte more", s.checkKEMOutput(append(kemOutput, 0)), "external.init")
	}
	for name, bad := range badOutputs(t, id) {
		wantRule(t, name, s.checkKEMOutput(bad), "external.init")
		if _, err := s.receiveInit(bad, key); err == nil {
			t.Errorf("%s: received", name)
		}
	}
}

// TestExternalPubRules: an external_pub extension holds one key of the suite and no more.
func TestExternalPubRules(t *testing.T) { eachSuite(t, externalPubRules) }

func externalPubRules(t *testing.T, id Suite) {
	s := suites[id]
	pub := must(newGroupOf(t, id, "a").at.externalKey())(t).pub
	good := encode(pub, func(w *wire.Writer, b []byte) { w.Bytes(b) })
	if again := must(s.parseExternalPub(good))(t); !bytes.Equal(again, pub) {
		t.Error("another key comes back")
	}
	for n := range good {
		err := second(s.parseExternalPub(good[:n]))
		wantRule(t, "prefix", err, "groupinfo.external-pub")
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("prefix of %d bytes: %v, want ErrMalformed", n, err)
		}
	}
	wantRule(t, "a byte more", second(s.parseExternalPub(append(good, 0))), "groupinfo.external-pub")
	for name, bad := range badKeys(t, id) {
		data := encode(bad, func(w *wire.Writer, b []byte) { w.Bytes(b) })
		wantRule(t, name, second(s.parseExternalPub(data)), "groupinfo.external-pub")
	}
}
