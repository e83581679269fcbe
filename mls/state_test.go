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

// TestDamagedState: a stored form that lost or changed a byte is found out, in both halves,
// and halves of different epochs do not go together.
func TestDamagedState(t *testing.T) {
	groups := trio(t)
	say(t, groups[0], groups, "x")
	must(groups[0].Propose(ProposalParams{Update: true}))(t)
	core, ratchets := must(groups[0].MarshalBinary())(t), must(groups[0].MarshalRatchets())(t)
	_, secrets := keyPackage(t, "x")
	stored := must(secrets.MarshalBinary())(t)
	c := must(groups[0].Commit(CommitParams{}))(t)
	staged := must(c.MarshalBinary())(t)
	for name, d := range map[string]struct {
		b    []byte
		load func([]byte) error
	}{
		"core":     {core, func(b []byte) error { return second(UnmarshalGroup(b, ratchets, Application{})) }},
		"ratchets": {ratchets, func(b []byte) error { return second(UnmarshalGroup(core, b, Application{})) }},
		"secrets":  {stored, func(b []byte) error { return second(UnmarshalKeyPackageSecrets(b)) }},
		"staged":   {staged, func(b []byte) error { return second(UnmarshalStagedCommit(b)) }},
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
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	if _, err := UnmarshalGroup(must(groups[0].MarshalBinary())(t), ratchets, Application{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("old ratchets with a new core: %v, want ErrCorrupt", err)
	}
}

// TestUsedKeysAreGone: no stored form holds a key that was used, nor what it was derived from
// (RFC 9420 section 9.2).
func TestUsedKeysAreGone(t *testing.T) { eachSuite(t, usedKeysAreGone) }

func usedKeysAreGone(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	g := groups[1]
	var gone []secret
	for _, s := range g.keys.nodes {
		gone = append(gone, s) // the encryption secret: the tree is untouched
	}
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
	if !strings.Contains(stored, string(g.keys.ratchets[0].application.secret)) {
		t.Error("the test finds nothing: the living ratchet secret is not in what is stored")
	}
}

// TestRatchetsDoNotGrowWithTheGroup: what one message changes is as large in a big group.
func TestRatchetsDoNotGrowWithTheGroup(t *testing.T) {
	size := func(members int) int {
		a := newGroup(t, "a")
		var p CommitParams
		for range members {
			kp, _ := keyPackage(t, "m")
			p.Add = append(p.Add, kp)
		}
		p.Now = testNow
		if err := a.Merge(must(a.Commit(p))(t)); err != nil {
			t.Fatal(err)
		}
		must(a.Encrypt([]byte("x"), nil))(t)
		return len(must(a.MarshalRatchets())(t))
	}
	// A path of the secret tree is opened: one secret more for each doubling.
	if small, big := size(3), size(200); big > small+8*40 {
		t.Errorf("ratchets take %d bytes among 4 and %d among 201 members", small, big)
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
