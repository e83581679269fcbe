package mls

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/cryptotest"
)

var updateVectors = flag.Bool("update-vectors", false, "write Sealpost's vectors in the working group's formats anew")

// ownVectors begins the names of Sealpost's own files.
const ownVectors = "../testvectors/mls-"

// vectorSeed is where all that looks random in the files comes from.
const vectorSeed = "Sealpost's MLS test vectors, version 1: known to the whole world, good for nothing else"

// A vectorGenerator makes the cases of one kind for one suite; where there is no suite in the
// format, for those of suites.
type vectorGenerator struct {
	suites []Suite
	cases  func(t *testing.T, s *suite) []jsonObject
}

// vectorGenerators make our own files. They use this package itself, so what the files show is
// that a version still understands what another one made; that it is right, the working
// group's files show.
func vectorGenerators() map[string]vectorGenerator {
	all, one := Suites(), []Suite{DefaultSuite}
	// Of what has no suite, and is only decoded and encoded.
	lengths := []Suite{
		SuiteX25519AES128Ed25519, SuiteP256AES128P256, SuiteP521AES256P521, SuiteX448AES256Ed448,
		SuiteMLKEM768X25519AES256Ed25519,
	}
	// Whole histories of every post-quantum suite would make the files too large.
	some := slices.DeleteFunc(Suites(), func(id Suite) bool {
		return suites[id].postQuantum() && id != SuiteMLKEM768X25519AES256Ed25519
	})
	return map[string]vectorGenerator{
		"tree-math":       {one, treeMathVectors},
		"deserialization": {one, deserializationVectors},
		"messages":        {lengths, messagesVectors},

		"crypto-basics":                  {all, cryptoBasicsVectors},
		"secret-tree":                    {all, secretTreeVectors},
		"key-schedule":                   {all, keyScheduleVectors},
		"psk_secret":                     {all, pskSecretVectors},
		"transcript-hashes":              {all, transcriptVectors},
		"message-protection":             {all, messageProtectionVectors},
		"welcome":                        {all, welcomeVectors},
		"tree-operations":                {all, treeOperationsVectors},
		"tree-validation":                {all, treeValidationVectors},
		"treekem":                        {all, treeKEMVectors},
		"passive-client-welcome":         {all, passiveWelcomeVectors},
		"passive-client-handling-commit": {all, passiveCommitVectors},
		"passive-client-random":          {some, passiveRandomVectors},
	}
}

// TestOwnVectorFilesAreFresh: the files are what the generators make, to the byte. How
// algorithms draw random numbers may change from one Go version to the next; then the files
// are written anew.
func TestOwnVectorFilesAreFresh(t *testing.T) {
	generators := vectorGenerators()
	if len(generators) != len(vectorKinds) {
		t.Errorf("%d generators, %d kinds", len(generators), len(vectorKinds))
	}
	for kind, g := range generators {
		t.Run(kind, func(t *testing.T) {
			name := ownVectors + kind + ".json"
			if *updateVectors {
				if err := os.WriteFile(name, generateVectors(t, kind, g), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			have := must(os.ReadFile(name))(t)
			if testing.Short() {
				have = g.shorten(t, have)
			}
			if !bytes.Equal(have, generateVectors(t, kind, g)) {
				t.Errorf("%s is not what its generator makes: go generate ./testvectors", name)
			}
		})
	}
}

// shorten leaves the sample of suites, in the generator and of what a file has. It leaves
// formats without a suite alone.
func (g *vectorGenerator) shorten(t *testing.T, file []byte) []byte {
	t.Helper()
	var cases, left []json.RawMessage
	if err := json.Unmarshal(file, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var head struct {
			Suite *Suite `json:"cipher_suite"`
		}
		if err := json.Unmarshal(c, &head); err != nil {
			t.Fatal(err)
		}
		if head.Suite == nil {
			return file
		}
		if slices.Contains(sample, *head.Suite) {
			left = append(left, c)
		}
	}
	g.suites = slices.DeleteFunc(slices.Clone(g.suites), func(id Suite) bool { return !slices.Contains(sample, id) })
	return append(must(json.MarshalIndent(left, "", " "))(t), '\n')
}

// generateVectors makes a file. Each suite has a stream of random numbers of its own, so that
// a new suite changes no other.
func generateVectors(t *testing.T, kind string, g vectorGenerator) []byte {
	t.Helper()
	// What is done in parallel would draw in another order each time.
	processors := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(processors)
	var cases []jsonObject
	for _, id := range g.suites {
		seed := sha256.Sum256([]byte(vectorSeed + "\n" + kind + "\n" + id.String()))
		cryptotest.SetGlobalRandom(t, binary.BigEndian.Uint64(seed[:]))
		cases = append(cases, g.cases(t, suites[id])...)
	}
	b := must(json.MarshalIndent(cases, "", " "))(t)
	return append(b, '\n')
}

// drawn returns n random bytes.
func drawn(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// large reports whether keys and signatures have kilobytes. Groups in the files are small then.
func (s *suite) large() bool {
	_, ok := s.signature.(mldsaScheme)
	return ok
}

// postQuantum reports whether HPKE's keys have kilobytes.
func (s *suite) postQuantum() bool { return s.id >= SuiteMLKEM768X25519AES128Ed25519 }

// jsonMember is one name and value of a JSON object; a jsonObject keeps its order.
type jsonMember struct {
	name  string
	value any
}

type jsonObject []jsonMember

// MarshalJSON writes the members in order, bytes as hexadecimal.
func (o jsonObject) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	for i, m := range o {
		out.WriteByte("{,"[min(i, 1)])
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(inHex(m.value))
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// inHex returns the value that JSON is made of. No bytes at all, nil, are null.
func inHex(v any) any {
	switch v := v.(type) {
	case []byte:
		if v == nil {
			return nil
		}
		return hex.EncodeToString(v)
	case secret:
		return inHex([]byte(v))
	case SignaturePublicKey:
		return inHex([]byte(v))
	case [][]byte:
		list := make([]any, len(v))
		for i, b := range v {
			list[i] = inHex(b)
		}
		return list
	}
	return v
}
