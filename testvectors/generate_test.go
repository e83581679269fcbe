package testvectors_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/sealpost/sealpost/testvectors"
)

var update = flag.Bool("update", false, "write the files of vectors anew")

// generators make the files. They share no code with the packages that check them: every
// format here is written a second time, from the PROTOCOL.md pages. Files of MLS are made and
// compared in the tests of package mls.
var generators = map[string]func(t *testing.T) []object{
	"frames.json":            frameVectors,
	"proofs.json":            proofVectors,
	"chain.json":             chainVectors,
	"noise.json":             noiseVectors,
	"branch.json":            branchVectors,
	"envelope.json":          envelopeVectors,
	"signal.json":            signalVectors,
	"file.json":              fileVectors,
	"invitation.json":        invitationVectors,
	"account.json":           accountVectors,
	"credential.json":        credentialVectors,
	"relay-address.json":     relayAddressVectors,
	"keyserver-address.json": keyServerAddressVectors,
}

// TestFilesAreFresh: the files are what the generators make, to the byte.
func TestFilesAreFresh(t *testing.T) {
	all, err := testvectors.All()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string][]byte{}
	for _, f := range all {
		have[f.Name] = f.Data
		if generators[f.Name] == nil && !ofMLS(f.Name) {
			t.Errorf("%s has no generator", f.Name)
		}
	}
	for name, generate := range generators {
		want := fileOf(t, generate(t))
		if again := fileOf(t, generate(t)); !bytes.Equal(again, want) {
			t.Errorf("%s comes out another time by time", name)
		}
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(have[name], want) {
			t.Errorf("%s is not what its generator makes: go generate ./testvectors", name)
		}
	}
}

func fileOf(t *testing.T, cases []object) []byte {
	t.Helper()
	b, err := json.MarshalIndent(cases, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// seed is where all that looks random in the files comes from.
const seed = "Sealpost's test vectors, version 1: known to the whole world, good for nothing else"

// random returns n bytes for one name, the same each time: a case that is added changes no
// other.
func random(name string, n int) []byte {
	x := sha3.NewSHAKE256()
	x.Write([]byte(seed + "\n" + name))
	out := make([]byte, n)
	x.Read(out)
	return out
}

func hash(parts ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return sum[:]
}

// pair is an Ed25519 key pair.
type pair struct{ seed, public []byte }

func keyPair(name string) pair {
	seed := random("key "+name, ed25519.SeedSize)
	return pair{seed, ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)}
}

func (p pair) sign(message []byte) []byte {
	return ed25519.Sign(ed25519.NewKeyFromSeed(p.seed), message)
}

// flipped returns b with one bit changed in the byte at the index, from the end if negative.
func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	return b
}

// member is one name and value of a JSON object; an object keeps its order.
type member struct {
	name  string
	value any
}

type object []member

// MarshalJSON writes the members in order, bytes as hexadecimal.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(plain(m.value))
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

// plain returns the value that JSON is made of.
func plain(v any) any {
	switch v := v.(type) {
	case []byte:
		return hex.EncodeToString(v)
	case [][]byte:
		list := make([]string, len(v))
		for i, b := range v {
			list[i] = hex.EncodeToString(b)
		}
		return list
	}
	return v
}
