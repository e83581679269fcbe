package sealpost_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sealpost/sealpost"

// A rule says what one package of the module may import outside its tests. All paths of
// the module are relative to its root. The standard library is open unless banned.
type rule struct {
	may     []string // packages of this module
	modules []string // third-party modules
	ban     []string // standard packages that would break what the package promises
	why     string
}

// Third-party modules, named once.
const (
	modAdiantum  = "lukechampine.com/adiantum"
	modBadger    = "github.com/dgraph-io/badger/v4"
	modCBOR      = "github.com/fxamacker/cbor/v2"
	modCirc      = "github.com/cloudflare/circl"
	modCoder     = "github.com/coder/websocket"
	modCrypto    = "golang.org/x/crypto"
	modGobwas    = "github.com/gobwas/ws"
	modGWS       = "github.com/lxzan/gws"
	modKong      = "github.com/alecthomas/kong"
	modMetrics   = "github.com/VictoriaMetrics/metrics"
	modNet       = "golang.org/x/net"
	modNoise     = "github.com/flynn/noise"
	modPorcupine = "github.com/anishathalye/porcupine"
	modProxy     = "github.com/pires/go-proxyproto"
	modQUIC      = "github.com/quic-go/quic-go"
	modRapid     = "pgregory.net/rapid"
	modSQLite    = "github.com/ncruces/go-sqlite3"
	modSync      = "golang.org/x/sync"
	modSys       = "golang.org/x/sys"
	modText      = "golang.org/x/text"
	modWebTrans  = "github.com/quic-go/webtransport-go"
	modTOML      = "github.com/BurntSushi/toml"
	modTools     = "golang.org/x/tools"
	modScript    = "github.com/rogpeppe/go-internal"
)

// pureBan keeps a protocol pure: bytes and events in, bytes and events out. log/slog is not
// in it because types that hold secrets redact themselves for it (slog.LogValuer).
var pureBan = []string{"os", "net", "net/http", "log", "os/exec", "database/sql"}

// seedBan keeps a run repeatable: internal/jitter draws from the source that a simulation sets.
var seedBan = []string{"math/rand", "math/rand/v2"}

// rules is the import policy. A package that is not in it fails the test: whoever adds a
// package says here what it may know, and why.
var rules = map[string]rule{
	"": {why: "the root carries tests and no code"},
	"internal/edkey": {
		ban: pureBan,
		why: "one answer to what an Ed25519 signature proves, for relay, key server, client and MLS",
	},
	"internal/wire": {
		ban: pureBan,
		why: "the codec knows no protocol: every protocol is written in it",
	},
	"internal/folder": {
		ban: []string{"net", "net/http"},
		why: "that names are on disk, too; knows nobody who keeps anything",
	},
	"internal/shard": {
		may:     []string{"internal/crashpoint", "internal/folder", "internal/metrics", "internal/wire"},
		modules: []string{modBadger, modCrypto, modSys},
		ban:     []string{"net", "net/http"},
		why:     "one storing goroutine for any state machine; it knows none of them, so relay and key server share its durability",
	},
	"internal/crashpoint": {
		ban: append([]string{"time", "syscall"}, pureBan...),
		why: "names of places, and who watches them; what happens there is a test's own",
	},
	"internal/backup": {
		modules: []string{modCrypto},
		ban:     []string{"net", "net/http", "os"},
		why:     "the file that a backup is, from bytes to bytes; knows no store and no folder",
	},
	"internal/adminsocket": {
		modules: []string{modSys},
		ban:     []string{"net/http"},
		why:     "a socket that only the server's own user reaches; knows nothing of what is said over it",
	},
	"internal/operatorlog": {
		may: []string{"internal/folder"},
		ban: []string{"net", "net/http"},
		why: "a file that is only added to; knows no action that is written there",
	},
	"internal/keyfile": {
		may: []string{"internal/folder"},
		why: "a secret in a file of its own; knows nobody who keeps one",
	},
	"internal/vectorfile": {
		ban: pureBan,
		why: "runs files of test vectors; knows no protocol, so every package checks its own from within",
	},
	"internal/tlscert": {
		modules: []string{modCrypto},
		why:     "certificates of an operator's own name; knows nobody who listens",
	},
	"internal/tlscert/acmetest": {
		why: "a certificate authority for tests; nothing but tests imports it",
	},
	"internal/metrics": {
		modules: []string{modMetrics},
		ban:     []string{"net", "net/http"},
		why:     "what a server counts, with every label value there is: it imports nothing of what it counts, so nothing that a peer chose can become a label",
	},
	"internal/canary": {
		ban: []string{"net", "net/http"},
		why: "what was written where it should not be; knows nobody who writes",
	},
	"internal/observe": {
		may: []string{"internal/connlimit"},
		why: "who may look at a server, and how; what there is to see is the caller's",
	},
	"internal/connlimit": {
		may: []string{"internal/metrics"},
		ban: []string{"net/http"},
		why: "how many connections a process has open, and from where; knows no protocol",
	},
	"internal/turns": {
		may: []string{"internal/connlimit", "internal/metrics"},
		ban: []string{"net/http"},
		why: "who of those that come at once is computed for first; knows no protocol",
	},
	"internal/proxyline": {
		may:     []string{"internal/connlimit", "internal/metrics"},
		modules: []string{modProxy},
		ban:     []string{"net/http"},
		why:     "who a proxy's connection comes from; knows no protocol above TCP",
	},
	"internal/quicport": {
		may:     []string{"internal/connlimit", "internal/metrics"},
		modules: []string{modQUIC, modWebTrans},
		why:     "a UDP socket with HTTP/3 on it; who answers is the caller's",
	},
	"internal/certpin": {
		may: []string{"internal/keyfile"},
		why: "certificates and pins for whoever listens or dials; knows no protocol",
	},
	"internal/race": {
		ban: pureBan,
		why: "who is first, staged in time; knows nothing of what is dialled, so that a fake clock tells all of it",
	},
	"internal/quicdial": {
		may:     []string{"internal/race"},
		modules: []string{modQUIC},
		why:     "a QUIC connection on a socket of its own, for the clients of relay and key server",
	},
	"internal/jitter": {
		why: "random pauses for servers and clients, from the one source that a simulation can set",
	},
	"internal/sim": {
		may: []string{
			"clientlib", "clientlib/content", "clientlib/history", "internal/certpin", "internal/crashpoint", "internal/shard", "keyserver", "keyserver/httpserver",
			"relay", "relay/relayserver", "relay/session",
		},
		modules: []string{modSys},
		why:     "whole systems in one process on made-up time; nothing imports it, so no program links what sets all randomness",
	},
	"internal/sim/oneorder": {
		why: "a Go runtime in which chance decides nothing, for the simulation alone: no program is built with it",
	},
	"mls": {
		may:     []string{"internal/edkey", "internal/wire"},
		modules: []string{modCrypto, modCirc},
		ban:     pureBan,
		why:     "RFC 9420 and nothing else: no I/O, storage or log, so that one seed replays one run",
	},
	"relay": {
		may: []string{"internal/edkey", "internal/vectorfile", "internal/wire"},
		ban: []string{"net/http", "log", "os"},
		why: "the vocabulary and the frames, the same for both ends",
	},
	"relay/session": {
		may:     []string{"relay", "internal/vectorfile", "internal/wire"},
		modules: []string{modNoise},
		ban:     []string{"net/http", "log", "os"},
		why:     "Noise over any ordered stream: knows frames, no transport",
	},
	"relay/internal/blob": {
		may: []string{"internal/crashpoint", "internal/folder", "internal/shard"},
		ban: []string{"net", "net/http"},
		why: "sealed files under names that tell nothing; of shard only how much the disk has left. No record and no connection is known to it",
	},
	"relay/internal/queue": {
		may:     []string{"relay", "relay/internal/blob", "internal/crashpoint", "internal/metrics", "internal/shard", "internal/wire"},
		modules: []string{modCrypto},
		ban:     []string{"net", "net/http"},
		why:     "the state machine behind the relay: storage below it, no connection above it",
	},
	"relay/relayserver": {
		may:     []string{"relay", "relay/session", "relay/internal/queue", "relay/internal/blob", "internal/crashpoint", "internal/metrics", "internal/shard", "internal/turns", "internal/wire", "internal/certpin", "internal/jitter"},
		modules: []string{modGobwas, modGWS, modCoder, modNoise, modQUIC, modWebTrans},
		ban:     seedBan,
		why:     "connections in front of the queues; its WebSocket library is chosen by memory for each idle connection",
	},
	"relay/relayclient": {
		may:     []string{"relay", "relay/session", "internal/wire", "internal/certpin", "internal/jitter", "internal/race", "internal/quicdial"},
		modules: []string{modCoder, modNoise, modQUIC, modWebTrans},
		ban:     seedBan,
		why:     "what a client speaks to a relay; links no storage and no server, for it goes into apps",
	},
	"keyserver": {
		may:     []string{"mls", "internal/edkey", "internal/vectorfile", "internal/wire", "internal/certpin", "internal/race", "internal/quicdial"},
		modules: []string{modCrypto, modQUIC},
		why:     "vocabulary and client; of MLS only KeyPackage, PublicGroup and parsers",
	},
	"keyserver/httpserver": {
		may: []string{"keyserver", "keyserver/directory", "keyserver/groupstate", "internal/metrics", "internal/shard", "internal/wire"},
		why: "HTTP in front of the key server's two stores",
	},
	"keyserver/internal/fixture": {
		may: []string{"keyserver", "mls", "internal/wire"},
		why: "accounts and packages for the key server's tests; nothing but tests imports it",
	},
	"keyserver/internal/calendar": {
		may: []string{"internal/shard"},
		ban: []string{"net"},
		why: "the day by which both stores expire: a clock that jumps must not empty either",
	},
	"keyserver/directory": {
		may: []string{"keyserver", "keyserver/internal/calendar", "mls", "internal/metrics", "internal/shard", "internal/wire"},
		ban: []string{"net"},
		why: "accounts and KeyPackage pools as a state machine",
	},
	"keyserver/groupstate": {
		may: []string{"keyserver", "keyserver/internal/calendar", "internal/metrics", "internal/shard", "internal/wire"},
		ban: []string{"net"},
		why: "sealed chunks by hash: it has no idea what is in them",
	},
	"clientlib": {
		may: []string{
			"mls", "relay", "relay/session", "relay/relayclient", "keyserver", "internal/wire", "internal/certpin",
			"internal/edkey", "internal/jitter", "clientlib/content", "clientlib/history", "clientlib/internal/sealedfile", "clientlib/internal/state",
			"clientlib/internal/transfer", "internal/vectorfile",
		},
		modules: []string{modCrypto, modCBOR},
		ban:     seedBan,
		why:     "the one place where ids of relay, key server and MLS meet, because unlinkability could leak there",
	},
	"clientlib/content": {
		modules: []string{modCBOR},
		ban:     pureBan,
		why:     "MIMI content, bytes to values and back",
	},
	"clientlib/history": {
		may:     []string{"clientlib/content", "clientlib/internal/state"},
		modules: []string{modText},
		ban:     []string{"net", "net/http"},
		why:     "messages and their search: knows neither MLS nor the relay, and outlives both",
	},
	"clientlib/internal/state": {
		may:     []string{"internal/wire"},
		modules: []string{modSQLite, modCrypto, modAdiantum},
		ban:     []string{"net", "net/http"},
		why:     "the client's encrypted store and its one transaction; rows are opaque to it",
	},
	"clientlib/internal/sealedfile": {
		may:     []string{"internal/vectorfile"},
		modules: []string{modCrypto},
		ban:     pureBan,
		why:     "the format of a file that leaves its device: bytes to bytes, whatever keeps or carries them",
	},
	"clientlib/internal/transfer": {
		may: []string{"relay", "relay/relayclient", "clientlib/internal/sealedfile"},
		why: "sealed files between a folder and a relay: sees no key of a conversation and no plaintext but through sealedfile",
	},
	"testvectors": {
		may: []string{"clientlib", "internal/vectorfile", "keyserver", "mls", "relay", "relay/session"},
		ban: pureBan,
		why: "Sealpost's own vectors, and whom to ask about each file; its generator is in its tests and imports none of them (mls makes its files itself)",
	},
	"interop/tsmls": {
		why: "tests of mls against an implementation by others, in a process of its own",
	},
	"cmd/sealpost/demo": {
		may: []string{
			"clientlib", "clientlib/content", "clientlib/history", "keyserver", "relay", "relay/relayclient", "internal/canary", "internal/shard",
		},
		why: "the promises tried out from outside: clients, child processes, and shard to open the servers' stores and scan them",
	},
	"internal/measure": {
		ban: []string{"net", "net/http"},
		why: "how a figure is made, whatever is measured: it knows no part of Sealpost",
	},
	"cmd/sealpost/bench": {
		may: []string{
			"mls", "relay", "relay/relayclient", "keyserver", "clientlib", "clientlib/content", "internal/certpin", "internal/shard", "internal/measure", "internal/wire",
		},
		modules: []string{modBadger, modCoder, modCrypto, modQUIC, modSQLite, modSys, modWebTrans},
		why:     "figures: a load from outside, and beside it the bare store or server that it is compared with; wire to lay out a large group without growing it",
	},
	"cmd/sealpost": {
		may: []string{
			"mls", "relay", "relay/session", "relay/relayserver", "keyserver", "keyserver/httpserver",
			"clientlib", "clientlib/content", "clientlib/history", "internal/certpin", "internal/connlimit", "internal/folder", "internal/keyfile", "internal/proxyline", "internal/quicport",
			"internal/adminsocket", "internal/backup", "internal/metrics", "internal/observe", "internal/operatorlog",
			"internal/shard", "internal/sim/oneorder", "internal/tlscert", "internal/turns", "internal/measure", "cmd/sealpost/demo", "cmd/sealpost/bench", "testvectors",
		},
		modules: []string{modKong, modSys, modTOML, modWebTrans},
		why:     "wiring only; shard for the type of the storage key, WebTransport to hand it from one package to another, the system to forbid core files",
	},
}

// never lists pairs that must not meet even through other packages. The rules above allow
// none of them; this says so when somebody edits the rules. Servers keep apart in their
// tests too; a client's tests run against real servers.
var never = []struct{ from, to, why string }{
	{"relay", "mls", "the relay carries ciphertext; a server that can parse MLS will one day log it"},
	{"relay", "keyserver", "accounts and queues must not meet on a server"},
	{"relay", "clientlib", "a server does not depend on its clients"},
	{"keyserver", "relay", "accounts and queues must not meet on a server"},
	{"keyserver", "clientlib", "a server does not depend on its clients"},
	{"mls", "relay", "the protocol library is of use without Sealpost"},
	{"mls", "keyserver", "the protocol library is of use without Sealpost"},
	{"clientlib/history", "mls", "history follows the user to new devices, ratchets never do"},
	{"clientlib/history", "relay", "history is readable when every relay is gone"},
	{"clientlib", "relay/relayserver", "apps do not link a server"},
	{"clientlib", "relay/internal/queue", "apps do not link a server"},
	{"clientlib", "internal/shard", "apps do not link Badger"},
	{"clientlib", "testvectors", "no app holds keys that the whole world knows"},
	{"relay", "testvectors", "no server holds keys that the whole world knows"},
	{"keyserver", "testvectors", "no server holds keys that the whole world knows"},
	{"mls", "testvectors", "the protocol library is of use without Sealpost"},
	{"testvectors", "relay/relayserver", "the formats are checked without a server"},
	{"testvectors", "internal/shard", "the formats are checked without storage"},
}

// testOnly are the modules that no released program links.
var testOnly = []string{modRapid, modPorcupine, modScript, modTools, modSync}

// testMay are extra modules that tests of some packages use, with the reason beside them.
var testMay = map[string][]string{
	"internal/shard":       {modBadger}, // opens a store behind the package's back, to damage it
	"relay/internal/queue": {modBadger}, // scans a store for what must not be in it
	"internal/tlscert":     {modQUIC},
	"relay/relayserver":    {modBadger, modNoise},
	"relay/relayclient":    {modNoise, modSys}, // modSys: a disk loses power
	"keyserver/directory":  {modBadger},
	"cmd/sealpost":         {modBadger, modQUIC},
	"testvectors":          {modCrypto}, // the generator is written with primitives alone

	"clientlib":                   {modCoder}, // a relay that lies as a test tells it
	"clientlib/internal/transfer": {modCoder}, // the same
}

// nested are modules of their own inside the checkout, which go list does not see from here:
// what each may import of this module, and why it is one.
var nested = map[string]rule{
	"cmd/mlsinterop": {
		may: []string{"mls"},
		why: "what a test runner asks of mls, over gRPC, which no released program links",
	},
}

// listed is what go list says of one package.
type listed struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	Error        *struct{ Err string }
}

func (p listed) name() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func packages(t *testing.T) []listed {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,Deps,Error", "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// local returns an import's path relative to the module, and whether it is in the module.
func local(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// within tells whether pkg is root or below it.
func within(pkg, root string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") }

func inModules(path string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return within(path, m) })
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func TestImportPolicy(t *testing.T) {
	for _, p := range packages(t) {
		name := p.name()
		r, ok := rules[name]
		if !ok {
			t.Errorf("package %q has no rule in deps_test.go: add one that says what it may import, and why", name)
			continue
		}
		for _, path := range p.Imports {
			if dep, ok := local(path); ok {
				if !slices.Contains(r.may, dep) {
					t.Errorf("%s imports %s, which its rule does not allow (%s)", name, dep, r.why)
				}
			} else if standard(path) {
				if slices.Contains(r.ban, path) {
					t.Errorf("%s imports %s, which its rule bans (%s)", name, path, r.why)
				}
			} else if !inModules(path, r.modules) {
				t.Errorf("%s imports %s, a module that its rule does not allow (%s)", name, path, r.why)
			}
		}
	}
}

func TestTestImportPolicy(t *testing.T) {
	for _, p := range packages(t) {
		name := p.name()
		allowed := slices.Concat(rules[name].modules, testOnly, testMay[name])
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			if _, ok := local(path); !ok && !standard(path) && !inModules(path, allowed) {
				t.Errorf("tests of %s import %s, which neither its rule nor testMay allows", name, path)
			}
		}
	}
}

func TestPairsThatNeverMeet(t *testing.T) {
	all := packages(t)
	deps := make(map[string][]string, len(all))
	for _, p := range all {
		deps[p.ImportPath] = p.Deps
	}
	for _, p := range all {
		reach := p.Deps
		if !within(p.name(), "clientlib") {
			for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
				reach = append(append(reach, path), deps[path]...)
			}
		}
		for _, pair := range never {
			if !within(p.name(), pair.from) {
				continue
			}
			for _, path := range reach {
				if dep, ok := local(path); ok && within(dep, pair.to) {
					t.Errorf("%s reaches %s: %s", p.name(), dep, pair.why)
					break
				}
			}
		}
	}
}

func TestNestedModules(t *testing.T) {
	for _, path := range files(t, func(p string) bool { return filepath.Base(p) == "go.mod" && p != "go.mod" }) {
		if _, ok := nested[filepath.ToSlash(filepath.Dir(path))]; !ok {
			t.Errorf("%s begins a module that is not among the nested ones of deps_test.go", path)
		}
	}
	for root, r := range nested {
		found := false
		for _, s := range sources(t) {
			if !within(s.path, root) {
				continue
			}
			found = true
			for _, spec := range s.ast.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if dep, ok := local(path); ok && !within(dep, root) && !slices.Contains(r.may, dep) {
					t.Errorf("%s imports %s, which the rule of its module does not allow (%s)", s.path, dep, r.why)
				}
			}
		}
		if !found {
			t.Errorf("the nested module %s has no Go file", root)
		}
	}
}

func TestEveryRuleHasAReason(t *testing.T) {
	for name, r := range rules {
		if r.why == "" {
			t.Errorf("the rule of %q gives no reason", name)
		}
		for _, dep := range r.may {
			if _, ok := rules[dep]; !ok {
				t.Errorf("the rule of %q allows %q, a package without a rule", name, dep)
			}
		}
		if inModules("", r.modules) || slices.ContainsFunc(r.modules, func(m string) bool { return slices.Contains(testOnly, m) }) {
			t.Errorf("the rule of %q allows a module that only tests may use", name)
		}
	}
}
