package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/sealpost/sealpost/internal/tlscert/acmetest"
)

const name = "relay.example.org"

// site is a server with listeners of both kinds, which takes its certificate from the
// authority.
type site struct {
	*ACME
	authority *acmetest.Authority
	tcp, udp  string        // HOST:PORT
	messages  chan string   // what was logged
	ended     chan struct{} // closed when Run has returned
	stop      context.CancelFunc
}

// messageHandler hands on the messages of a log.
type messageHandler struct {
	slog.Handler
	to chan string
}

func (h messageHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h messageHandler) Handle(_ context.Context, r slog.Record) error {
	select {
	case h.to <- r.Message:
	default: // nobody listens any more
	}
	return nil
}

// open opens a site whose keys are in folder.
func open(t *testing.T, authority *acmetest.Authority, folder string) *site {
	t.Helper()
	s := &site{authority: authority, messages: make(chan string, 64), ended: make(chan struct{})}
	var err error
	s.ACME, err = OpenACME(ACMEConfig{
		Domains: []string{name}, Email: "admin@example.org", Directory: authority.Directory(), Roots: authority.Roots(),
		Folder: folder, Log: slog.New(messageHandler{slog.DiscardHandler, s.messages}),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: s.GetCertificate, NextProtos: []string{"http/1.1", ChallengeProto},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.(*tls.Conn).HandshakeContext(t.Context())
			}()
		}
	}()
	q, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{GetCertificate: s.GetCertificate, NextProtos: []string{"h3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	s.tcp, s.udp = l.Addr().String(), q.Addr().String()
	return s
}

// run keeps the site's certificate until the test ends.
func (s *site) run(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	go func() {
		defer close(s.ended)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-s.ended
	})
}

// inForce waits until the site has a certificate.
func (s *site) inForce(t *testing.T) {
	t.Helper()
	if m := <-s.messages; m != "a certificate is in force" {
		t.Fatal(m)
	}
}

// overTCP returns the certificate that a client gets which asks for server.
func (s *site) overTCP(server string) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", s.tcp, &tls.Config{ServerName: server, RootCAs: s.authority.Roots(), NextProtos: []string{"http/1.1"}})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

func (s *site) overQUIC(ctx context.Context) (*x509.Certificate, error) {
	c, err := quic.DialAddr(ctx, s.udp, &tls.Config{ServerName: name, RootCAs: s.authority.Roots(), NextProtos: []string{"h3"}}, nil)
	if err != nil {
		return nil, err
	}
	defer c.CloseWithError(0, "")
	return c.ConnectionState().TLS.PeerCertificates[0], nil
}

// TestOneCertificateForTCPAndQUIC: it is got by a challenge over TLS, given to both, and used
// again by the next process; nobody but its owner reads what is kept.
func TestOneCertificateForTCPAndQUIC(t *testing.T) {
	authority, folder := acmetest.Start(t), filepath.Join(t.TempDir(), "acme")
	s := open(t, authority, folder)
	authority.Resolve(name, s.tcp, "")
	if _, err := s.overTCP(name); err == nil {
		t.Error("there is a certificate before there can be one")
	}
	s.run(t)
	s.inForce(t)
	tcp, err := s.overTCP(name)
	if err != nil {
		t.Fatal(err)
	}
	quic, err := s.overQUIC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if upper, err := s.overTCP(strings.ToUpper(name)); err != nil || !upper.Equal(tcp) || !quic.Equal(tcp) {
		t.Errorf("TCP, QUIC and a name in capitals get different certificates: %v", err)
	}
	if tcp.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("its key is %v", tcp.PublicKeyAlgorithm)
	}
	again := open(t, authority, folder)
	again.run(t)
	again.inForce(t)
	if kept, err := again.overTCP(name); err != nil || !kept.Equal(tcp) || authority.Issued()[name] != 1 {
		t.Errorf("after a restart: %v, %d were issued", err, authority.Issued()[name])
	}
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestHandshakesAskNoAuthority: neither for other names, nor for ours while there is no
// certificate.
func TestHandshakesAskNoAuthority(t *testing.T) {
	s := open(t, acmetest.Start(t), t.TempDir()+"/acme")
	for _, server := range []string{"", "127.0.0.1", "other.example.org", "a." + name, name + ".evil.example", "xn--", "..", "../" + name} {
		for _, protos := range [][]string{nil, {ChallengeProto}} {
			if _, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: server, SupportedProtos: protos}); !errors.Is(err, ErrName) {
				t.Errorf("%q, %v: %v", server, protos, err)
			}
		}
	}
	if _, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); !errors.Is(err, ErrPending) {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: name, SupportedProtos: []string{ChallengeProto}}); err == nil {
		t.Error("a challenge that nobody began is answered")
	}
	if n := s.authority.Issued(); len(n) != 0 {
		t.Errorf("issued: %v", n)
	}
}

// TestHTTPChallenge: an authority that cannot reach the TLS port uses the plain one, on which
// nothing else is to be had.
func TestHTTPChallenge(t *testing.T) {
	authority := acmetest.Start(t)
	s := open(t, authority, t.TempDir()+"/acme")
	plain := httptest.NewServer(s.HTTP())
	defer plain.Close()
	authority.Resolve(name, "", plain.Listener.Addr().String())
	s.run(t)
	s.inForce(t)
	if _, err := s.overTCP(name); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ method, host, path string }{
		{"GET", name, "/"}, {"GET", name, "/v1/relay"}, {"POST", name, "/.well-known/acme-challenge/x"},
		{"GET", name, "/.well-known/acme-challenge/x"}, {"GET", name, "/.well-known/acme-challenge/../acme_account+key"},
		{"GET", "other.example.org", "/.well-known/acme-challenge/x"},
	} {
		r, _ := http.NewRequest(c.method, plain.URL+c.path, nil)
		r.Host = c.host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusForbidden {
			t.Errorf("%+v is answered with %d", c, resp.StatusCode)
		}
	}
}

// TestCertificateIsRenewed: one that is near its end, as after a long time without the
// authority, is replaced while the server runs.
func TestCertificateIsRenewed(t *testing.T) {
	authority := acmetest.Start(t)
	s := open(t, authority, t.TempDir()+"/acme")
	authority.Resolve(name, s.tcp, "")
	authority.Dates(-30*time.Hour, time.Hour)
	s.run(t)
	s.inForce(t)
	authority.Dates(-time.Hour, 90*24*time.Hour)
	for {
		leaf, err := s.overTCP(name)
		if err != nil {
			t.Fatal(err)
		}
		if time.Until(leaf.NotAfter) > 24*time.Hour {
			break
		}
	}
	if leaf, err := s.overQUIC(t.Context()); err != nil || time.Until(leaf.NotAfter) < 24*time.Hour {
		t.Errorf("over QUIC it is still the old one: %v", err)
	}
}

// TestRefusalIsLogged: what the authority does not give is said, and the server goes on.
func TestRefusalIsLogged(t *testing.T) {
	authority := acmetest.Start(t)
	s := open(t, authority, t.TempDir()+"/acme")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	authority.Resolve(name, closed.Addr().String(), "")
	s.run(t)
	if m := <-s.messages; m != "the authority gives no certificate" {
		t.Errorf("logged: %s", m)
	}
	if _, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); !errors.Is(err, ErrPending) {
		t.Errorf("got %v", err)
	}
}

func TestFolderOfKeysIsPrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenACME(ACMEConfig{Folder: dir, Domains: []string{name}}); !errors.Is(err, ErrFolder) {
		t.Errorf("got %v, want ErrFolder", err)
	}
}

func TestLate(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cert := &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(100 * time.Hour)}
	for hours, want := range map[int]bool{0: false, 67: false, 75: false, 76: true, 99: true, 101: true} {
		if late(cert, begin.Add(time.Duration(hours)*time.Hour)) != want {
			t.Errorf("after %d of 100 hours: %v", hours, !want)
		}
	}
}
