package transfer

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
	"github.com/sealpost/sealpost/relay/relayserver"
	"github.com/sealpost/sealpost/relay/session"
)

// realRelay is a relay on a folder, on TCP, in this process.
type realRelay struct {
	dir    string
	addr   relay.Address
	server *relayserver.Server
	http   *http.Server
	served chan struct{}
}

// start serves the folder at host.
func (r *realRelay) start(t *testing.T, host string) {
	cert, err := certpin.OpenDevelopment(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewPrivateKey(sha256.Sum256([]byte("relay")))
	if err != nil {
		t.Fatal(err)
	}
	r.server, err = relayserver.Open(relayserver.Config{Dir: filepath.Join(r.dir, "queues"), StorageKey: [32]byte{1}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	ls, err := net.Listen("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	if r.addr.Host == "" { // it stays the same
		r.addr = relay.Address{Host: ls.Addr().String(), Key: key.Public(), Pin: new(relay.Hash(cert.Pin()))}
	}
	r.served = make(chan struct{})
	r.http = &http.Server{
		Handler: r.server, TLSConfig: cert.ServerConfig(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		r.http.ServeTLS(ls, "", "")
		close(r.served)
	}()
}

// stop drains the relay.
func (r *realRelay) stop(t *testing.T) {
	r.http.Close()
	<-r.served
	if err := r.server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// A real relay over TCP, on a line that is cut every 150 KiB: while a file goes up, and while
// it comes down, the relay is stopped and started again. It arrives whole.
func TestRealRelayCutAndRestarted(t *testing.T) {
	if testing.Short() {
		t.Skip("uses the real clock")
	}
	r := &realRelay{dir: t.TempDir()}
	r.start(t, "127.0.0.1:0")
	dials := 0
	dial := func(ctx context.Context) (*relayclient.Conn, error) {
		dials++
		return relayclient.Dial(ctx, r.addr, relayclient.Options{DialNet: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			c := &cutConn{Conn: conn}
			c.left.Store(150 << 10)
			return c, nil
		}})
	}
	c, err := relayclient.Dial(t.Context(), r.addr, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	public := relay.PublicKey(reader.Public().(ed25519.PublicKey))
	_, err = c.Create(relayclient.CreateParams{
		Queue: queue, Admin: reader, Admins: []relay.PublicKey{public}, Readers: []relay.PublicKey{public},
	}).Result()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	// restartAt restarts the relay once, beside the transfer, when it is halfway.
	restartAt := func() (progress func(done, size int64), wait func()) {
		var once sync.Once
		var running sync.WaitGroup
		return func(done, size int64) {
			if done > size/2 && done < size {
				once.Do(func() {
					host := r.addr.Host
					running.Go(func() { r.stop(t); r.start(t, host) })
				})
			}
		}, running.Wait
	}
	short := Options{Backoff: relayclient.Backoff{Jitter: func(limit time.Duration) time.Duration { return limit / 50 }}}
	ann, err := Open(t.TempDir(), short)
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	bob, err := Open(t.TempDir(), short)
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	plain := text(2 << 20)
	info := stage(t, ann, plain)
	up := Upload{Dial: dial, Queue: queue, Key: reader, Info: info}
	progress, wait := restartAt()
	up.Progress = progress
	if err := ann.Upload(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	wait()
	upward := dials
	down := Download{Dial: dial, Queue: queue, Info: info}
	down.Progress, wait = restartAt()
	if err := bob.Download(t.Context(), down); err != nil {
		t.Fatal(err)
	}
	wait()
	holds(t, bob, info, plain)
	if upward < 10 || dials-upward < 10 {
		t.Errorf("%d sessions up, %d down: the cuts do not cover the transfer", upward, dials-upward)
	}
	r.stop(t)
}
