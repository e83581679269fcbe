package mls

import (
	"bytes"
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
)

// The targets of this package: FuzzMessage, FuzzHandshake, FuzzJoining, FuzzExtensions and
// FuzzTree decode what comes from outside, FuzzProcess and FuzzJoin give it to members and
// joiners, FuzzStored and FuzzLoadGroup take it for stored state, and FuzzGroup is a whole group's
// life. A target covers several structures, which its first argument chooses between: CI
// fuzzes every target for the same short time, and the mutations that find something in one
// structure help with those that contain it.
var fuzzed = map[string][]string{
	"FuzzMessage":    {"message"},
	"FuzzHandshake":  {"proposal", "commit", "update path", "framed content", "private content", "authenticated content", "sender data", "psk id", "hpke ciphertext"},
	"FuzzJoining":    {"key package", "leaf node", "welcome", "group info", "group secrets", "group context", "member"},
	"FuzzExtensions": {"extensions", "required capabilities", "external senders", "components", "component ids", "wire formats", "credential", "capabilities"},
	"FuzzTree":       {"ratchet tree"},
}

// TestEveryCodecIsFuzzed: a structure that is decoded stands in a target.
func TestEveryCodecIsFuzzed(t *testing.T) {
	var all []string
	for _, names := range fuzzed {
		all = append(all, names...)
	}
	if want := slices.Sorted(maps.Keys(codecs)); !slices.Equal(slices.Sorted(slices.Values(all)), want) {
		t.Errorf("fuzzed are %q, want %q", all, want)
	}
}

func FuzzMessage(f *testing.F)    { fuzzCodecs(f) }
func FuzzHandshake(f *testing.F)  { fuzzCodecs(f) }
func FuzzJoining(f *testing.F)    { fuzzCodecs(f) }
func FuzzExtensions(f *testing.F) { fuzzCodecs(f) }
func FuzzTree(f *testing.F)       { fuzzCodecs(f) }

// fuzzSuites are those whose messages the targets begin with: the formats of the others do
// not differ. One has signatures that can be changed, and one long keys.
var fuzzSuites = []Suite{DefaultSuite, SuiteP256AES128P256, SuiteMLKEM768X25519AES256Ed25519}

// fuzzCodecs begins with the messages of a small group.
func fuzzCodecs(f *testing.F) {
	names := fuzzed[f.Name()]
	for _, id := range fuzzSuites {
		all := samples(f, id)
		for kind, name := range names {
			for _, sample := range all[name] {
				f.Add(uint8(kind), sample)
			}
			for _, sample := range dense[name] {
				f.Add(uint8(kind), sample)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, in []byte) { checkCodec(t, names[int(kind)%len(names)], in) })
}

// dense are inputs that hold as many elements as so many bytes can.
var dense = map[string][][]byte{
	"commit": {
		append(vectorOf(30_000, 1, 0, byte(ProposalSelfRemove)), 0), append(vectorOf(30_000, 2, 0), 0),
		append(vectorOf(30_000, 1, 0xf0, 0, 0), 0), append(vectorOf(30_000, 1, 0, byte(ProposalAppEphemeral), 0, 0, 0), 0),
		append(vectorOf(30_000, 1, 0, proposalPSK, pskExternal, 0, 0), 0), append(vectorOf(30_000, 1, 0, proposalRemove, 0, 0, 0, 0), 0),
		append(vectorOf(30_000, 1, 0, proposalGroupExtensions, 0), 0), append(vectorOf(90_000, 1, 0xf0, 0, 0), 0),
	},
	"ratchet tree":    {vectorOf(60_000, 0), vectorOf(200_000, 0)},
	"capabilities":    {slices.Concat(vectorOf(30_000, 0, 1), []byte{0, 0, 0, 0})},
	"extensions":      {vectorOf(30_000, 0, 1, 0), vectorOf(90_000, 0, 1, 0)},
	"component ids":   {vectorOf(30_000, 0x80, 1)},
	"credential":      {append([]byte{0, 2}, vectorOf(30_000, 0)...), append([]byte{0, 2}, vectorOf(30_000, 1, 0)...)},
	"hpke ciphertext": {append([]byte{0}, vectorOf(30_000, 7)...)},
	"welcome":         {slices.Concat([]byte{0, 1}, vectorOf(30_000, 0, 0, 0), []byte{0}), slices.Concat([]byte{0, 1}, vectorOf(90_000, 0, 0, 0), []byte{0})},
	"group secrets":   {append([]byte{0, 0}, vectorOf(30_000, pskExternal, 0, 0)...)},
}

// vectorOf is a vector of n elements of these bytes.
func vectorOf(n int, element ...byte) []byte {
	return encode(bytes.Repeat(element, n), func(w *wire.Writer, all []byte) { w.Bytes(all) })
}

// TestR15_DenseMessages: the many small elements of a message cost memory in proportion to it.
func TestR15_DenseMessages(t *testing.T) {
	for name, list := range dense {
		for _, in := range list {
			checkCodec(t, name, in)
		}
	}
}

// mostMemory is what decoding and encoding so many bytes may allocate, in bytes. The most
// expensive of all is a pre-shared key of three bytes in a Welcome, which becomes 96, and a custom
// proposal of four in a commit, which becomes 160.
func mostMemory(input int) uint64 { return uint64(100*input + 16<<10) }

// checkCodec verifies what holds for every input: what decodes encodes to the same bytes and
// is no longer decoded when its end is missing; what does not is an error that blames the
// message; and either costs memory in proportion to what was sent.
func checkCodec(t *testing.T, name string, in []byte) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	again, err := codecs[name](in)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > mostMemory(len(in)) {
		t.Errorf("%s: %d bytes made it allocate %d", name, len(in), grown)
	}
	if err != nil {
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrMalformed or ErrInvalid", name, err)
		}
		return
	}
	if !bytes.Equal(again, in) {
		t.Fatalf("%s: %x comes back as %x", name, in, again)
	}
	const prefixes = 100 // of a long input
	for n := 0; n < len(in); n += 1 + len(in)/prefixes {
		if _, err := codecs[name](in[:n]); err == nil {
			t.Fatalf("%s: %x decodes without its last %d bytes", name, in, len(in)-n)
		}
	}
}
