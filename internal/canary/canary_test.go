package canary

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var id = []byte{0xf3, 0x05, 0xab, 0x00, 0x41, 0xfe, 0x7c, 0x90, 0x11, 0x22, 0xd4, 0xe5, 0x66, 0x77, 0x88, 0x99}

// Each way in which a program writes bytes, inside other text, is found, and another id is not.
func TestEveryFormIsFound(t *testing.T) {
	m, other := Of("an id", id), Of("another", bytes.Repeat([]byte{0xf3, 0x05, 0xab, 0x01}, 4))
	array := [16]byte(id)
	written := map[string]string{
		"raw": string(id), "hex": fmt.Sprintf("%x", id), "HEX": fmt.Sprintf("%X", array), "%v": fmt.Sprint(array),
		"%#v": fmt.Sprintf("%#v", array), "traceback": "main.f({0xf3, 0x5, 0xab, 0x0, 0x41, 0xfe, 0x7c, 0x90, 0x11, 0x22, ...})",
	}
	for offset := range 4 {
		b := append(bytes.Repeat([]byte("x"), offset), append(slices.Clone(id), "yy"...)...)
		written[fmt.Sprint("base64 at ", offset)] = base64.StdEncoding.EncodeToString(b)
		written[fmt.Sprint("base64url at ", offset)] = base64.URLEncoding.EncodeToString(b)
	}
	for form, text := range written {
		hay := []byte("before " + text + " behind")
		if !m.In(hay) {
			t.Errorf("%s is not found in %q", form, hay)
		}
		if other.In(hay) {
			t.Errorf("%s is taken for another id", form)
		}
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(hay)
		w.Close()
		if got := Found(z.Bytes(), []Mark{other, m}); !slices.Equal(got, []string{"an id"}) {
			t.Errorf("%s is found as %q in what is compressed", form, got)
		}
	}
}

func TestNothingIsFoundInNoise(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(random.Uint64())
	}
	if got := Found(noise, []Mark{Of("an id", id), Of("short", []byte("\xff\xff\x7f\x4d\x01\x02"))}); got != nil {
		t.Errorf("found %q", got)
	}
}

func TestEachFileSkipsNothingButZeros(t *testing.T) {
	dir := t.TempDir()
	for name, b := range map[string][]byte{
		"plain": id, "deep/behind": append(make([]byte, 1<<20), id...), "deep/across": append(append(make([]byte, 8190), id...), make([]byte, 9000)...),
		"deep/zeros": make([]byte, 9000), "empty": {},
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var in []string
	n, err := EachFile(dir, func(path string, b []byte) {
		if len(Found(b, []Mark{Of("", id)})) > 0 {
			in = append(in, strings.TrimPrefix(path, dir+"/"))
		}
		if len(b) > 3*4096 {
			t.Errorf("%s: %d bytes are looked at", path, len(b))
		}
	})
	slices.Sort(in)
	if want := []string{"deep/across", "deep/behind", "plain"}; err != nil || n != 5 || !slices.Equal(in, want) {
		t.Errorf("of %d files it is found in %q, %v", n, in, err)
	}
}
