package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
)

// childDir, in the environment, makes this test binary a key server over that folder, so
// that a test can kill it.
const childDir = "SEALPOST_TEST_KEYSERVER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		t := childTB{}
		l := listen(t)
		plenty := Rate{1 << 20, time.Millisecond} // all takers are one address and one target
		pin, stop := serve(t, dir, l, Limits{Take: plenty, Target: plenty})
		fmt.Println(l.Addr(), pin)
		io.Copy(io.Discard, os.Stdin) // until the parent is gone, or kills us before
		stop()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childTB is the part of a testing.TB that a child process needs to fail.
type childTB struct{ testing.TB }

func (childTB) Helper()           {}
func (childTB) Error(args ...any) { fmt.Fprintln(os.Stderr, args...) }
func (childTB) Fatal(args ...any) { fmt.Fprintln(os.Stderr, args...); os.Exit(1) }

// process is a key server in a process of its own, killed and started again over one
// folder. It is safe for concurrent use.
type process struct {
	dir string

	mu    sync.Mutex
	up    sync.Cond
	cmd   *exec.Cmd      // guarded by mu
	stdin io.WriteCloser // guarded by mu
	addr  string         // guarded by mu; empty while it is down
	pin   certpin.Pin    // guarded by mu; the same in every life
}

func startProcess(t *testing.T) *process {
	p := &process{dir: t.TempDir()}
	p.up.L = &p.mu
	p.start(t)
	t.Cleanup(p.kill)
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+p.dir)
	cmd.Stderr = os.Stderr
	stdin := fixture.Must[io.WriteCloser](t)(cmd.StdinPipe())
	stdout := fixture.Must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := fixture.Must[string](t)(bufio.NewReader(stdout).ReadString('\n'))
	var addr, pin string
	fmt.Sscan(line, &addr, &pin)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.stdin, p.addr, p.pin = cmd, stdin, addr, fixture.Must[certpin.Pin](t)(certpin.Parse(pin))
	p.up.Broadcast()
}

// kill is SIGKILL: nothing in the process gets to run.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addr = ""
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.stdin.Close()
}

// dial connects to the process's present life, and waits for it while there is none.
func (p *process) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	p.mu.Lock()
	for p.addr == "" {
		p.up.Wait()
	}
	addr := p.addr
	p.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// takeInput and takeOutput are an operation on the pool as porcupine sees it.
type (
	takeInput  int // the taker; all calls of one taker carry one request id
	takeOutput int // the package's place in the order of upload
)

// pool is the promise: the state is who was given a package, in order, a byte each. A taker
// who has one gets it again, a new one gets the next.
var pool = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		taken, who := state.(string), byte(input.(takeInput))
		for i := range len(taken) {
			if taken[i] == who {
				return int(output.(takeOutput)) == i, taken
			}
		}
		return int(output.(takeOutput)) == len(taken), taken + string([]byte{who})
	},
}

// TestB08_TakenOnce: a hundred takers at once over real HTTPS, every request sent twice, the
// server killed four times in between. No package goes to two requests, one request gets one
// package in all its calls, and some order of the calls explains it all.
func TestB08_TakenOnce(t *testing.T) {
	const takers, calls, kills = 100, 2, 4
	server := startProcess(t)
	client := keyserver.NewClient(
		addressOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(server.addr)), server.pin),
		keyserver.Options{DialContext: server.dial},
	)
	defer client.Close()
	bob := fixture.NewPerson(t, "bob")
	ctx := t.Context()
	fixture.Must[keyserver.AccountID](t)(client.Register(ctx, bob.Devices[0], "bob", bob.Chain[0]))
	packages := bob.Packages(t, takers, time.Now())
	upload(t, client, bob, packages[:takers/2], nil)
	upload(t, client, bob, packages[takers/2:], nil)

	history := make([]porcupine.Operation, takers*calls)
	answered := make(chan struct{}, len(history))
	began := time.Now()
	var wg sync.WaitGroup
	var interrupted atomic.Int64
	call := func(op *porcupine.Operation, id [32]byte) {
		// A call of unknown outcome is repeated: all its tries are one operation.
		op.Call = time.Since(began).Nanoseconds()
		got, err := client.Take(ctx, id, bob.ID(), fixture.Suite)
		for err != nil {
			if _, refused := errors.AsType[*keyserver.Error](err); refused && !errors.Is(err, keyserver.ErrUnavailable) {
				t.Error(err)
				break
			}
			interrupted.Add(1)
			got, err = client.Take(ctx, id, bob.ID(), fixture.Suite)
		}
		op.Output, op.Return = takeOutput(indexOf(packages, got)), time.Since(began).Nanoseconds()
		answered <- struct{}{}
	}
	for taker := range takers {
		if taker%(takers/kills) == 0 {
			for len(answered) > 0 {
				<-answered // of the wave before
			}
		}
		id := requestID()
		for n := range calls {
			op := &history[taker*calls+n]
			op.ClientId, op.Input = taker*calls+n, takeInput(taker)
			wg.Go(func() { call(op, id) })
		}
		if (taker+1)%(takers/kills) == 0 {
			// The first answer of a wave: most of its other calls are somewhere on their way.
			<-answered
			server.kill()
			server.start(t)
		}
	}
	wg.Wait()
	t.Logf("%d calls were interrupted", interrupted.Load())

	holder := make(map[takeOutput]takeInput)
	for _, op := range history {
		who, what := op.Input.(takeInput), op.Output.(takeOutput)
		if what < 0 {
			t.Fatalf("taker %d got no package of the pool", who)
		}
		if other, taken := holder[what]; taken && other != who {
			t.Fatalf("package %d went to takers %d and %d", what, other, who)
		}
		holder[what] = who
	}
	if len(holder) != takers {
		t.Fatalf("%d takers have %d packages", takers, len(holder))
	}
	if result := porcupine.CheckOperationsTimeout(pool, history, time.Minute); result != porcupine.Ok {
		t.Fatalf("the history is not linearizable: %s", result)
	}
}

// indexOf returns which package was taken, -1 if not exactly one of them.
func indexOf(packages [][]byte, got []keyserver.Package) int {
	if len(got) != 1 || got[0].LastResort {
		return -1
	}
	for i, b := range packages {
		if bytes.Equal(b, got[0].KeyPackage) {
			return i
		}
	}
	return -1
}
