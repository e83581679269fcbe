// Package oneorder makes programs in which chance decides nothing: the same goroutines run in the
// same order each time. It hands the Go command other sources for a few files of the standard
// library, made from those of the toolchain that is installed, with these changes:
//
//   - which ready case a select takes, which timer of one instant fires first and where the
//     iteration of a map begins follow, inside a bubble of testing/synctest, from a seed that the
//     program sets, and the seeds of the process itself are constants;
//   - nothing takes the processor from a goroutine, not even a system call that lasts, and a
//     mutex does not look at the clock: who waited longest gets it by order alone.
//
// Two places of this module say besides what only they know: which key a ciphertext was made with
// (witnesses). No program that is released has them.
//
// Start with [Overlay]. The program is built with -overlay and the build tag [Tag], which its file
// with the seed has, runs with GOMAXPROCS=1, and does its work inside the bubble:
//
//	//go:linkname seed runtime.OneOrderSeed
//	var seed uint64 // anything but 0, set before the bubble begins
//
// In memory the order is that of one process from its start: a second bubble of a process may
// find other addresses, and so another order in maps with pointers for keys. It is a tool for
// simulation: all randomness of such a program can be foretold.
package oneorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrToolchain means that sources are not written as this package expects: it was made for Go 1.26.
var ErrToolchain = errors.New("oneorder: these sources are not known")

// Tag is the build tag of what only such a program can be built with.
const Tag = "oneorder"

// change replaces a piece of text, which stands once in the file.
type change struct{ file, old, new string }

var changes = []change{
	{"runtime/rand.go", "\tglobalRand.state.Init(*seed)\n", "\t*seed = [32]byte{1}\n\tglobalRand.state.Init(*seed)\n"},
	{"runtime/rand.go", "\tmp.cheaprand = rand()\n", "\tmp.cheaprand = bootstrapRand()\n"},
	{
		"runtime/rand.go", "\tmp := getg().m\n\tc := &mp.chacha8\n",
		"\tmp := getg().m\n\tif x, ok := bubbleRand(mp); ok {\n\t\treturn x\n\t}\n\tc := &mp.chacha8\n",
	},
	{"runtime/rand.go", "// rand32 is uint32(rand()), called", bubbleRand + "\n// rand32 is uint32(rand()), called"},
	{"runtime/select.go", "j := cheaprandn(uint32(norder + 1))", "j := randn(uint32(norder + 1))"},
	{"runtime/time.go", "t.rand = cheaprand()", "t.rand = uint32(rand())"},
	{"runtime/proc.go", "func retake(now int64) uint32 {\n", "func retake(now int64) uint32 {\n\tif OneOrderSeed != 0 {\n\t\treturn 0\n\t}\n"},
	{"runtime/proc.go", "if pp.schedtick%61 == 0 && !sched.runq.empty() {", "if OneOrderSeed == 0 && pp.schedtick%61 == 0 && !sched.runq.empty() {"},
	{"internal/sync/mutex.go", "starvationThresholdNs = 1e6", "starvationThresholdNs = 1 << 62"},
}

// witnesses tell the simulation under which key of a member's ratchet a message is encrypted, and
// in which envelope that travels.
var witnesses = []change{
	{
		"mls/privatemessage.go", "\tsk := s.senderDataKey(senderDataSecret, m.ciphertext)\n\tm.encrypted",
		"\tSealedUnder(k.key, m.ciphertext)\n\tsk := s.senderDataKey(senderDataSecret, m.ciphertext)\n\tm.encrypted",
	},
	{"mls/privatemessage.go", "func (s *suite) aeadSeal(", "var SealedUnder = func(key, ciphertext []byte) {}\n\nfunc (s *suite) aeadSeal("},
	{
		"clientlib/envelope.go", "\treturn aead.Seal(out, nonce, plain, k.aad(kind)), nil\n",
		"\tout = aead.Seal(out, nonce, plain, k.aad(kind))\n\tEnclosedIn(content, out)\n\treturn out, nil\n",
	},
	{"clientlib/envelope.go", "// open returns the content of", "var EnclosedIn = func(content, envelope []byte) {}\n\n// open returns the content of"},
}

// bubbleRand is what the runtime draws from inside a bubble, once the seed is set.
const bubbleRand = `// OneOrderSeed is the state of what is drawn inside bubbles; 0: nothing is.
//
//go:linkname OneOrderSeed
var OneOrderSeed uint64

//go:nosplit
func bubbleRand(mp *m) (uint64, bool) {
	gp := mp.curg
	if OneOrderSeed == 0 || gp == nil || gp.bubble == nil {
		return 0, false
	}
	OneOrderSeed += 0x9e3779b97f4a7c15
	z := OneOrderSeed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31, true
}
`

// Overlay writes the changed sources into dir and returns the file for the Go command's -overlay.
// goroot is the toolchain's (go env GOROOT), module the folder of this module's checkout. It
// returns ErrToolchain or an error of the disk.
func Overlay(goroot, module, dir string) (string, error) {
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for root, list := range map[string][]change{filepath.Join(goroot, "src"): changes, module: witnesses} {
		if err := apply(list, root, dir, overlay.Replace); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// apply makes the changes in copies of the files below root, and notes which copy stands for what.
func apply(list []change, root, dir string, replace map[string]string) error {
	texts := map[string]string{}
	for _, c := range list {
		if texts[c.file] == "" {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(c.file)))
			if err != nil {
				return fmt.Errorf("%w: %w", ErrToolchain, err)
			}
			texts[c.file] = string(b)
		}
		if strings.Count(texts[c.file], c.old) != 1 {
			return fmt.Errorf("%w: %s", ErrToolchain, c.file)
		}
		texts[c.file] = strings.Replace(texts[c.file], c.old, c.new, 1)
	}
	for file, text := range texts {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return err
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = to
	}
	return nil
}
