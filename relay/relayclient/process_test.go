package relayclient_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayserver"
	"github.com/sealpost/sealpost/relay/session"
)

// The test binary is also the relay that the tests kill: with these variables
// set it serves a folder at an address and does nothing else.
const (
	serveDir  = "SEALPOST_TEST_SERVE_DIR"
	serveAddr = "SEALPOST_TEST_SERVE_ADDR"
)

func TestMain(m *testing.M) {
	if at := os.Getenv(killAt); at != "" {
		killAtPoint(at)
	}
	if dir := os.Getenv(serveDir); dir != "" {
		if err := serveFolder(dir, os.Getenv(serveAddr)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveFolder runs a relay until its standard input ends, then drains it, so
// that no relay outlives the test.
func serveFolder(dir, addr string) error {
	r, err := startRelay(dir, addr)
	if err != nil {
		return err
	}
	fmt.Println("serving")
	io.Copy(io.Discard, os.Stdin)
	return r.stop(context.Background())
}

// running is a real relay on a folder, in this process, over every transport.
type running struct {
	addr   relay.Address
	server *relayserver.Server
	http   *http.Server
	web    *webtransport.Server
	quic   *quic.Transport
	served sync.WaitGroup
}

// identity is the relay's key in every test.
func identity() session.PrivateKey {
	key, err := session.NewPrivateKey(sha256.Sum256([]byte("a test's relay")))
	if err != nil {
		panic(err) // 32 bytes are always a key
	}
	return key
}

func startRelay(dir, addr string) (*running, error) {
	cert, err := certpin.OpenDevelopment(dir)
	if err != nil {
		return nil, err
	}
	server, err := relayserver.Open(relayserver.Config{
		Dir: filepath.Join(dir, "queues"), StorageKey: sha256.Sum256([]byte("storage")), Key: identity(),
	})
	if err != nil {
		return nil, err
	}
	ls, udp, err := listenBoth(addr)
	if err != nil {
		return nil, errors.Join(err, server.Shutdown(context.Background()))
	}
	r := &running{
		addr:   relay.Address{Host: ls.Addr().String(), Key: identity().Public(), Pin: new(relay.Hash(cert.Pin()))},
		server: server,
		http: &http.Server{
			Handler: server, TLSConfig: cert.ServerConfig(), ReadHeaderTimeout: 10 * time.Second,
			ErrorLog: log.New(io.Discard, "", 0), // clients that hang up are what is tested
		},
		// With the same key after a restart: who still sends to the process that was killed
		// hears from this one that its connection is gone.
		quic: &quic.Transport{Conn: udp, StatelessResetKey: new(quic.StatelessResetKey(sha256.Sum256([]byte("reset"))))},
	}
	r.web = &webtransport.Server{H3: &http3.Server{Logger: slog.New(slog.DiscardHandler)}}
	r.web.H3.Handler = server.ServeWebTransport(r.web)
	conf := cert.ServerConfig()
	conf.NextProtos = []string{http3.NextProtoH3}
	quicListener, err := r.quic.Listen(conf, relayserver.QUICConfig())
	if err != nil {
		return nil, errors.Join(err, ls.Close(), udp.Close(), server.Shutdown(context.Background()))
	}
	r.served.Go(func() { r.http.ServeTLS(ls, "", "") })
	r.served.Go(func() {
		for {
			conn, err := quicListener.Accept(context.Background())
			if err != nil {
				return
			}
			go r.web.ServeQUICConn(conn)
		}
	})
	return r, nil
}

// listenBoth listens for TCP at addr and for UDP on the same port.
func listenBoth(addr string) (net.Listener, net.PacketConn, error) {
	for {
		ls, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenPacket("udp", ls.Addr().String())
		if err == nil {
			return ls, udp, nil
		}
		ls.Close()
		if !strings.HasSuffix(addr, ":0") { // else that port is somebody's: another one
			return nil, nil, err
		}
	}
}

func (r *running) stop(ctx context.Context) error {
	err := r.server.Shutdown(ctx)
	r.http.Close()
	r.web.Close()
	r.quic.Close()
	r.quic.Conn.Close()
	r.served.Wait()
	return err
}

// relayHere starts a relay in this process.
func relayHere(t *testing.T, dir, addr string) *running {
	t.Helper()
	r, err := startRelay(dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// process is a relay in a process of its own.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// startProcess returns when the relay serves.
func startProcess(t *testing.T, dir, addr string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveDir+"="+dir, serveAddr+"="+addr)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "serving\n" {
		t.Fatalf("the relay said %q, %v, %v", line, err, cmd.Wait())
	}
	return &process{cmd, stdin}
}

// kill is SIGKILL: the process gets no chance to do anything.
func (p *process) kill(t *testing.T) {
	if err := p.cmd.Process.Kill(); err != nil {
		t.Errorf("killing the relay: %v", err)
	}
	p.cmd.Wait()
}

// end drains the process and reports its exit.
func (p *process) end() error {
	p.stdin.Close()
	return p.cmd.Wait()
}

// freeAddr returns a loopback address with a port that was free just now.
func freeAddr(t *testing.T) string {
	t.Helper()
	ls, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ls.Close()
	return ls.Addr().String()
}

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(key ed25519.PrivateKey) relay.PublicKey {
	return relay.PublicKey(key.Public().(ed25519.PublicKey))
}
