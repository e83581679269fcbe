package clientlib

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// visibleKey returns a random key whose bytes are no UTF-8 in any order, so that each of them
// is quoted by itself.
func visibleKey() secret {
	k := newSecret()
	for i := range k {
		k[i] |= 0xf8
	}
	return k
}

// spilled tells in which form the beginning of a key stands in a text; "" if in none. Six
// bytes are whole base64 characters, and none of the random keys has them by chance.
func spilled(text string, key []byte) string {
	part := key[:6]
	text += strings.Join(strings.Fields(text), " ") // widths pad
	each := func(verb, between string) string {
		words := make([]string, len(part))
		for i, b := range part {
			words[i] = fmt.Sprintf(verb, b)
		}
		return strings.Join(words, between)
	}
	quoted := func(form string) string { return strings.Trim(fmt.Sprintf(form, string(part)), `"`) }
	for form, needle := range map[string]string{
		"raw": string(part), "hex": hex.EncodeToString(part), "spaced hex": each("%02x", " "), "Go bytes": each("%#x", ", "),
		"decimal": each("%d", " "), "decimal list": each("%d", ","), "octal": each("%o", " "), "binary": each("%b", " "),
		"base64": base64.StdEncoding.EncodeToString(part), "base64url": base64.URLEncoding.EncodeToString(part),
		"quoted": quoted("%q"), "quoted ASCII": quoted("%+q"), "runes": each("%c", " "), "code points": each("%U", " "),
	} {
		if strings.Contains(text, needle) || form == "hex" && strings.Contains(strings.ToLower(text), needle) {
			return form
		}
	}
	return ""
}

var fmtVerbs = []string{
	"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U", "%e", "%t", "%10v", "%.6x",
}

// printed returns v in every way that fmt and slog have, by the name of the way.
func printed(t testing.TB, v any) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, verb := range fmtVerbs {
		out[verb] = fmt.Sprintf(verb, v)
		out["list "+verb] = fmt.Sprintf(verb, []any{v})
	}
	out["print"] = fmt.Sprintln(v)
	out["error"] = fmt.Errorf("%w: %v", state.ErrCorrupt, v).Error()
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	log.Info("m", "v", v, slog.Group("g", slog.Any("v", v)), "list", []any{v})
	out["slog text"] = text.String()
	text.Reset()
	log = slog.New(slog.NewJSONHandler(&text, nil))
	log.Info("m", "v", v, slog.Group("g", slog.Any("v", v)), "list", []any{v})
	out["slog JSON"] = text.String()
	b, _ := json.Marshal(v)
	out["JSON"] = string(b)
	return out
}

// keyHolder is a value, and the keys that nobody may read off it.
type keyHolder struct {
	value any
	keys  []secret
}

// keyHolders returns the values of this package that hold keys, filled in.
func keyHolders() map[string]keyHolder {
	k := make([]secret, 4)
	for i := range k {
		k[i] = visibleKey()
	}
	return map[string]keyHolder{
		"secret":     {k[0], k[:1]},
		"identity":   {identity{Recovery: k[0], Device: k[1], Secret: k[2], Writer: k[3]}, k},
		"record":     {groupRecord{Ticket: k[0]}, k[:1]},
		"draft":      {inviteDraft{Ticket: k[0]}, k[:1]},
		"commit":     {pendingCommit{Staged: k[0], IndexKey: k[1], Invites: []inviteDraft{{Ticket: k[2]}}}, k[:3]},
		"invite":     {inviteRow{Writer: k[0]}, k[:1]},
		"invitation": {invitation{Ticket: k[0], IndexKey: k[1]}, k[:2]},
		"contact":    {contact{RequestWriter: k[0]}, k[:1]},
		"state":      {sealedState{Key: k[0]}, k[:1]},
		"epoch":      {epochKeys{envelope: k[0], hint: k[1], writer: k[2]}, k[:3]},
		"config":     {Config{Key: [32]byte(k[0])}, k[:1]},
		"group":      {group{rec: groupRecord{Ticket: k[0]}, keys: &epochKeys{hint: k[1]}}, k[:2]},
		"job":        {inviteJob{rec: inviteRow{Writer: k[0]}}, k[:1]},
	}
}

// TestC13_KeysArePrintedNowhere: a record that ends up in a log or an error shows no key,
// whatever the verb, as a value and behind a pointer.
func TestC13_KeysArePrintedNowhere(t *testing.T) {
	t.Parallel()
	for name, h := range keyHolders() {
		p := reflect.New(reflect.TypeOf(h.value))
		p.Elem().Set(reflect.ValueOf(h.value))
		forms := map[string]any{"value": h.value, "pointer": p.Interface()}
		if name == "group" {
			delete(forms, "value") // never copied
		}
		for form, v := range forms {
			for way, text := range printed(t, v) {
				for i, key := range h.keys {
					if as := spilled(text, key); as != "" {
						t.Errorf("%s (%s) by %s shows key %d as %s: %.120q", name, form, way, i, as, text)
					}
				}
			}
		}
	}
}

// TestSpilledFindsKeys: the search of this file sees a key in every form that fmt and JSON
// give to bytes.
func TestSpilledFindsKeys(t *testing.T) {
	t.Parallel()
	key := visibleKey()
	for _, verb := range fmtVerbs {
		if strings.ContainsAny(verb, "et") { // no form of bytes
			continue
		}
		for _, v := range []any{[]byte(key), [32]byte(key), struct{ k []byte }{key}, struct{ k secret }{key}} {
			text := fmt.Sprintf(verb, v)
			if spilled(text, key) == "" {
				t.Errorf("%s of %T hides the key from the test: %s", verb, v, text)
			}
		}
	}
	b := need[[]byte](t)(json.Marshal(struct{ Key []byte }{key}))
	if spilled(string(b), key) == "" {
		t.Errorf("JSON hides the key from the test: %s", b)
	}
}

// TestC13_ErrorsNameNoKey: errors of what is done with keys are made of words.
func TestC13_ErrorsNameNoKey(t *testing.T) {
	t.Parallel()
	key := visibleKey()
	short := key[:31]
	keys := &epochKeys{envelope: short, hint: key, writer: key}
	failures := map[string]error{}
	_, failures["envelope key"] = keys.seal(relay.KindMessage, nil)
	_, failures["chunk key"] = sealChunk(short, 0, nil)
	_, failures["contact seed"] = openInvitation(short, relay.QueueID{}, nil)
	_, failures["contact key"] = contactPublicKey(short)
	_, failures["sealing to a key"] = testInvitation(nil).seal(short, relay.QueueID{})
	_, failures["record"] = decodeRecord[identity](bucketMeta, key)
	b := need[[]byte](t)(wire.Marshal(&contact{RequestWriter: short}))
	failures["contact"] = wire.Unmarshal(b, new(contact))
	failures["invitation"] = wire.Unmarshal(need[[]byte](t)(wire.Marshal(&invitation{Ticket: short, IndexKey: key})), new(invitation))
	for name, err := range failures {
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			for _, verb := range fmtVerbs {
				if as := spilled(fmt.Sprintf(verb, e), key); as != "" {
					t.Errorf("%s: %s of the error shows the key as %s", name, verb, as)
				}
			}
		}
	}
}

// TestRedactionStopsAtTheStore: what may not be printed must still be stored.
func TestRedactionStopsAtTheStore(t *testing.T) {
	t.Parallel()
	for name, h := range keyHolders() {
		if !slices.Contains([]string{"secret", "identity", "record", "draft", "commit", "invite"}, name) {
			continue // stored in their wire form, or not at all
		}
		b := need[[]byte](t)(cbor.Marshal(h.value))
		got := reflect.New(reflect.TypeOf(h.value))
		if err := cbor.Unmarshal(b, got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), h.value) {
			t.Errorf("%s does not come back from its record: %v", name, err)
		}
	}
}

// TestDeviceKeysDiffer: no two purposes, queues or tickets share a key, so that a relay cannot
// tell that two of its readers are one device, and a proof for one is none for another.
func TestDeviceKeysDiffer(t *testing.T) {
	t.Parallel()
	device := newSecret()
	queues, tickets := []relay.QueueID{{}, {1}, {2}}, []relay.PublicKey{{}, {1}, {2}}
	seen := map[relay.PublicKey]string{publicKey(device.signer()): "the device key"}
	note := func(what string, k relay.PublicKey) {
		t.Helper()
		if before, ok := seen[k]; ok {
			t.Errorf("%s is %s", what, before)
		}
		seen[k] = what
	}
	for i, q := range queues {
		note(fmt.Sprintf("admin key of queue %d", i), publicKey(device.adminKey(q)))
		for j, ticket := range tickets {
			note(fmt.Sprintf("reader key of queue %d, ticket %d", i, j), publicKey(device.readerKey(q, ticket)))
			if device.readerKey(q, ticket).Equal(newSecret().readerKey(q, ticket)) {
				t.Error("two devices share a reader key")
			}
			if !device.readerKey(q, ticket).Equal(secret(bytes.Clone(device)).readerKey(q, ticket)) {
				t.Error("a reader key is not the same at the next start")
			}
		}
	}
	// Lengths are encoded, so a boundary cannot move between label and context.
	abc := device.derive("a", []byte("b"), []byte("c"))
	if bytes.Equal(abc, device.derive("ab", []byte("c"))) || bytes.Equal(abc, device.derive("a", []byte("bc"))) {
		t.Error("label and contexts run into each other")
	}
	if bytes.Equal(device.derive("a", []byte("b")), device.derive("a\x01b")) {
		t.Error("a label can be another with its context")
	}
}
