package mls

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// TestDamagedState: a stored form that lost or changed a byte is found out.
func TestDamagedState(t *testing.T) {
	groups := trio(t)
	_, secrets := keyPackage(t, "x")
	c := must(groups[0].Commit(CommitParams{}))(t)
	for name, d := range map[string]struct {
		b    []byte
		load func([]byte) error
	}{
		"secrets": {must(secrets.MarshalBinary())(t), func(b []byte) error { return second(UnmarshalKeyPackageSecrets(b)) }},
		"staged":  {must(c.MarshalBinary())(t), func(b []byte) error { return second(groups[0].LoadCommit(b)) }},
	} {
		if err := d.load(d.b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		eachDamage(d.b, func(what string, at int, damaged []byte) {
			if err := d.load(damaged); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s with %s at %d: %v, want ErrCorrupt", name, what, at, err)
			}
		})
	}
}

// TestUsedKeysAreGone: no stored form holds a key that was used, nor what it was derived from
// (RFC 9420 section 9.2).
func TestUsedKeysAreGone(t *testing.T) { eachSuite(t, usedKeysAreGone) }

func usedKeysAreGone(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	g := groups[1]
	var gone []secret
	gone = append(gone, g.keys.root.secret) // the encryption secret: the tree is untouched
	for range 3 {
		msg := must(groups[0].Encrypt(nil, nil))(t)
		st := must(g.keys.seek(0, contentApplication, uint32(len(gone)-1)))(t)
		gone = append(gone, st.key.key)
		must(g.Process(msg))(t)
	}
	stored := string(fingerprint(t, g))
	for i, s := range gone {
		if strings.Contains(stored, string(s)) {
			t.Errorf("secret %d is still stored", i)
		}
	}
	if !strings.Contains(stored, string(ratchetsOf(g, 0).application.secret)) {
		t.Error("the test finds nothing: the living ratchet secret is not in what is stored")
	}
}

// TestC13_SecretsAreNotPrinted: no verb, logger or encoder shows key material.
func TestC13_SecretsAreNotPrinted(t *testing.T) { eachSuite(t, secretsAreNotPrinted) }

func secretsAreNotPrinted(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	_, secrets := keyPackageOf(t, id, "x")
	c := must(groups[0].Commit(CommitParams{}))(t)
	key := signatureKeyOf(t, id)
	e := groups[0].at
	shown := func(s secret) []string {
		return []string{string(s), fmt.Sprintf("%x", []byte(s)), fmt.Sprintf("%d", []byte(s)[:8]), fmt.Sprintf("%v", []byte(s)[:8])}
	}
	leafKey := must(e.held[e.own.node()].key.Bytes())(t)
	forbidden := slices.Concat(shown(key.key()), shown(e.secrets.exporter), shown(e.secrets.init),
		shown(leafKey), shown(e.signatureKey.key()), shown(secrets.signatureKey.key()))
	for name, v := range map[string]any{
		"signature key": key, "group": groups[0], "view": groups[0].View(), "staged commit": c,
		"key package secrets": secrets, "group config": GroupConfig{SignatureKey: key},
		"commit params": CommitParams{NewSignatureKey: key}, "secret": e.secrets.exporter,
		"unexported field": struct{ key SignaturePrivateKey }{key}, "held": e.held, "hpke": *e.held[e.own.node()],
	} {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		text, _ := json.Marshal(v)
		out.Write(text)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		for _, f := range forbidden {
			if strings.Contains(out.String(), strings.Trim(f, "[]")) {
				t.Errorf("%s shows a secret", name)
				break
			}
		}
	}
}
