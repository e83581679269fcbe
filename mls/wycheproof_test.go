package mls

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const wycheproofFolder = "../../shared/wycheproof"

// wycheproofCase holds the fields of all the kinds of files that are read here.
type wycheproofCase struct {
	ID      int `json:"tcId"`
	Comment string
	Result  string // valid, invalid or acceptable

	Key, IV, AAD, Msg, CT, Tag hexBytes // AEAD, and Msg of signatures
	Sig, Ctx                   hexBytes
	Public, Private, Shared    hexBytes // ECDH
	IKM, Salt, Info, OKM       hexBytes // HKDF
	Size                       int
	Seed, EK, C, K             hexBytes // ML-KEM

	ivSize    int      // of the group, bits
	publicKey hexBytes // of the group
}

// wycheproofFile is a file of the folder: how many cases are in it, and how many of those are
// not tried, by why not.
type wycheproofFile struct {
	cases   int
	skipped map[string]int
}

// wycheproofFiles is the whole folder.
var wycheproofFiles = map[string]wycheproofFile{
	"aes_gcm":                {316, map[string]int{otherKey: 103, otherNonce: 80}},
	"chacha20_poly1305":      {325, map[string]int{otherNonce: 9}},
	"xchacha20_poly1305":     {315, map[string]int{otherNonce: 9}},
	"ecdh_secp256r1_ecpoint": {cases: 355},
	"ecdh_secp384r1_ecpoint": {cases: 790},
	"ecdh_secp521r1_ecpoint": {cases: 661},
	"x25519":                 {cases: 518},
	"x448":                   {cases: 510},
	"ecdsa_secp256r1_sha256": {cases: 484},
	"ecdsa_secp384r1_sha384": {cases: 504},
	"ecdsa_secp521r1_sha512": {cases: 542},
	"ed25519":                {cases: 151},
	"ed448":                  {cases: 87},
	"hkdf_sha256":            {cases: 86},
	"hkdf_sha384":            {cases: 83},
	"hkdf_sha512":            {cases: 83},
	"mldsa_44_verify":        {cases: 180},
	"mldsa_65_verify":        {cases: 210},
	"mlkem_768":              {cases: 193},
	"mlkem_1024":             {cases: 193},
}

// Why a case is not tried.
const (
	otherKey   = "no suite has an AES key of 192 bits"
	otherNonce = "nonces are derived or drawn, in the AEAD's own size"
)

// wycheproof gives every case of a file to run, which tries it or says why not. It fails unless
// all were tried that wycheproofFiles does not leave out.
func wycheproof(t *testing.T, file string, run func(t *testing.T, c *wycheproofCase) (skipped string)) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(wycheproofFolder, file+"_test.json"))
	if os.IsNotExist(err) {
		t.Skipf("Wycheproof's files are not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var content struct {
		TestGroups []struct {
			IVSize    int
			PublicKey json.RawMessage
			Tests     []*wycheproofCase
		}
	}
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	cases, skipped := 0, make(map[string]int)
	for _, g := range content.TestGroups {
		public := must(wycheproofPublicKey(g.PublicKey))(t)
		for _, c := range g.Tests {
			c.ivSize, c.publicKey = g.IVSize, public
			cases++
			if why := run(t, c); why != "" {
				skipped[why]++
			}
		}
	}
	for why, n := range skipped {
		t.Logf("%d of %d cases are skipped: %s", n, cases, why)
	}
	if want := wycheproofFiles[file]; cases != want.cases || !maps.Equal(skipped, want.skipped) {
		t.Errorf("%s: %d cases, of which %v are skipped, want %d and %v", file, cases, skipped, want.cases, want.skipped)
	}
}

// wycheproofPublicKey reads the key of a group of signatures: hex alone, or under a name that
// says in which form.
func wycheproofPublicKey(raw json.RawMessage) (key hexBytes, err error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if raw[0] == '"' {
		return key, json.Unmarshal(raw, &key)
	}
	var named struct{ Uncompressed, PK hexBytes }
	err = json.Unmarshal(raw, &named)
	return slices.Concat(named.Uncompressed, named.PK), err
}

func (c *wycheproofCase) errorf(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Errorf("case %d (%s, %s): "+format, append([]any{c.ID, c.Comment, c.Result}, args...)...)
}

// TestWycheproofWhole: no file of the folder is left out.
func TestWycheproofWhole(t *testing.T) {
	all, err := filepath.Glob(filepath.Join(wycheproofFolder, "*"))
	if err != nil || len(all) == 0 {
		t.Skipf("Wycheproof's files are not here: %v", err)
	}
	for _, path := range all {
		if _, ok := wycheproofFiles[strings.TrimSuffix(filepath.Base(path), "_test.json")]; !ok {
			t.Errorf("nothing runs %s", path)
		}
	}
	if len(all) != len(wycheproofFiles) {
		t.Errorf("%d files, want %d", len(all), len(wycheproofFiles))
	}
}
