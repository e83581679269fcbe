package testvectors_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/testvectors"
)

// cases returns each file's cases as JSON has them.
func cases(t *testing.T) map[string][]map[string]any {
	t.Helper()
	all, err := testvectors.All()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]map[string]any{}
	for _, f := range all {
		var list []map[string]any
		if err := json.Unmarshal(f.Data, &list); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		out[f.Name] = list
	}
	return out
}

func TestEveryCasePasses(t *testing.T) {
	all, err := testvectors.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		report, err := testvectors.Check(f.Name, f.Data)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		for _, failure := range report.Failures {
			t.Errorf("%s: %s", f.Name, failure)
		}
		if report.Skipped > 0 || report.Passed != len(cases(t)[f.Name]) {
			t.Errorf("%s: %d passed and %d skipped, of %d", f.Name, report.Passed, report.Skipped, len(cases(t)[f.Name]))
		}
	}
}

// unchecked are the members that say nothing about Sealpost.
var unchecked = []string{
	"name",
	// The sender's half of ML-KEM takes no randomness from outside.
	"ml_kem_random",
}

// TestEveryValueIsChecked: a case in which any value is another one fails, wherever it
// stands. Of cases that must be refused, that is the class of the error.
func TestEveryValueIsChecked(t *testing.T) {
	for file, list := range cases(t) {
		if ofMLS(file) {
			continue // in mls_test.go, for a sample
		}
		classes := map[string]bool{}
		for _, c := range list {
			if class, ok := c["error"].(string); ok {
				classes[class] = true
			}
		}
		for _, c := range list {
			if class, ok := c["error"].(string); ok {
				delete(c, "error")
				mustFail(t, file, c, "without its error")
				for other := range classes {
					if c["error"] = other; other != class {
						mustFail(t, file, c, "with the error "+other)
					}
				}
				continue
			}
			mutate(c, func(where string) { mustFail(t, file, c, where) })
		}
	}
}

func mustFail(t *testing.T, file string, c map[string]any, where string) {
	t.Helper()
	data, err := json.Marshal([]any{c})
	if err != nil {
		t.Fatal(err)
	}
	if report, err := testvectors.Check(file, data); err != nil || report.Failed != 1 {
		t.Errorf("%s, %v: %s: %d passed (%v)", file, c["name"], where, report.Passed, err)
	}
}

// mutate changes each value below v in turn, calls try, and puts it back.
func mutate(v any, try func(where string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if slices.Contains(unchecked, name) {
				continue
			}
			value := v[name]
			for i, other := range others(value) {
				v[name] = other
				try(fmt.Sprintf("%s, change %d", name, i))
			}
			if reflect.ValueOf(value).IsValid() && !reflect.ValueOf(value).IsZero() && !isEmpty(value) {
				delete(v, name)
				try("without " + name)
			}
			v[name] = value
			mutate(value, func(where string) { try(name + "." + where) })
		}
	case []any:
		for i, value := range v {
			for j, other := range others(value) {
				v[i] = other
				try(fmt.Sprintf("[%d], change %d", i, j))
			}
			v[i] = value
			mutate(value, func(where string) { try(fmt.Sprintf("[%d].%s", i, where)) })
		}
	}
}

func isEmpty(v any) bool {
	list, ok := v.([]any)
	return ok && len(list) == 0
}

// others returns values of the same form that are not v; none for what has parts.
func others(v any) []any {
	switch v := v.(type) {
	case nil:
		return []any{"00"}
	case bool:
		return []any{!v}
	case float64:
		return []any{v + 1}
	case string:
		b, err := hex.DecodeString(v)
		if err != nil {
			return []any{v + "x"}
		}
		out := []any{v + "00"}
		if len(b) > 0 {
			out = append(out, hex.EncodeToString(b[1:]))
			for _, i := range []int{0, len(b) / 2, len(b) - 1} {
				other := bytes.Clone(b)
				other[i] ^= 0x10 // X25519 passes over the lowest bits of a private key
				out = append(out, hex.EncodeToString(other))
			}
		}
		return out
	}
	return nil
}

// TestEveryFrameHasAVector: of each type of frame and change that the relay's package knows
// there is one at least that decodes, and of each signed one a proof. A new type gets a row
// in frames_test.go or proofs_test.go, and "go generate ./testvectors" does the rest.
func TestEveryFrameHasAVector(t *testing.T) {
	all := cases(t)
	have, changes, proven := map[uint8]bool{}, map[uint8]bool{}, map[uint8]bool{}
	for _, c := range all["frames.json"] {
		if fields, ok := c["fields"].(map[string]any); ok {
			have[uint8(c["type"].(float64))] = true
			list, _ := fields["changes"].([]any)
			for _, change := range list {
				changes[uint8(change.(map[string]any)["type"].(float64))] = true
			}
		}
	}
	for _, c := range all["proofs.json"] {
		if b, err := hex.DecodeString(c["frame"].(string)); err == nil && c["error"] == nil {
			proven[b[4]] = true
		}
	}
	for typ := range uint8(255) {
		if _, err := relay.ParseFrame([]byte{typ}); !errors.Is(err, relay.ErrUnknownFrame) && !have[typ] {
			t.Errorf("frame type 0x%02x has no vector", typ)
		}
		known := true
		if f, err := relay.ParseFrame(configureOf(typ)); err == nil {
			_, unknown := f.(*relay.Configure).Changes[0].(relay.UnknownChange)
			known = !unknown
		}
		if known && !changes[typ] {
			t.Errorf("change type %d has no vector", typ)
		}
	}
	for _, f := range clientFrames() {
		parsed, err := relay.ParseFrame(f.bytes()[4:])
		if err != nil {
			t.Fatalf("%s: %v", f.kind, err)
		}
		signed, ok := parsed.(interface{ Verify(relay.Binding) error })
		if ok && signed.Verify(relay.Binding{}) != nil && !proven[f.typ] {
			t.Errorf("%s is signed and has no proof", f.kind)
		}
	}
}

// configureOf is a CONFIGURE with one change of the type and without a body, which only
// types that nobody knows can have.
func configureOf(typ uint8) []byte {
	fields := mutation("key", field{"changes", opaque([]byte{typ, 0}), nil}, signature("signature"))
	return append([]byte{0x03}, wireOf(fields)...)
}

// TestWhatIsNoVectorFile: a wrong file does not look like a pass.
func TestWhatIsNoVectorFile(t *testing.T) {
	for name, data := range map[string]string{"frames.json": "[]", "chain.json": "{}", "noise.json": "", "weather.json": "[{}]"} {
		if report, err := testvectors.Check(name, []byte(data)); !errors.Is(err, vectorfile.ErrFile) || report.Passed > 0 {
			t.Errorf("%s with %q: %v, want ErrFile", name, data, err)
		}
	}
	for _, data := range []string{`[{"name": "x", "weather": 1}]`, `[1]`, `[{"bytes": "AB"}]`} {
		if report, err := testvectors.Check("frames.json", []byte(data)); err != nil || report.Failed != 1 {
			t.Errorf("%s: %d failed (%v), want 1", data, report.Failed, err)
		}
	}
}
