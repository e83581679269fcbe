package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/sealpost/sealpost/internal/tlscert/acmetest"
)

const domain = "relay.example.org"

// overBoth stores a chunk over TCP and over QUIC with clients that trust the authority's
// certificates for domain, and returns the one that both saw.
func overBoth(t *testing.T, authority *acmetest.Authority, at string) *x509.Certificate {
	t.Helper()
	trust := &tls.Config{RootCAs: authority.Roots(), ServerName: domain}
	tcp := &http.Transport{TLSClientConfig: trust.Clone()}
	defer tcp.CloseIdleConnections()
	quic := &http3.Transport{TLSClientConfig: trust.Clone()}
	defer quic.Close()
	a, b := putOver(t, tcp, at).PeerCertificates[0], putOver(t, quic, at).PeerCertificates[0]
	if !a.Equal(b) {
		t.Error("TCP and QUIC present different certificates")
	}
	return a
}

// TestOwnCertificateIsReadAgain: the operator's files, for both transports; SIGHUP takes new
// ones without a restart, and keeps the old when they are broken.
func TestOwnCertificateIsReadAgain(t *testing.T) {
	authority, home := acmetest.Start(t), t.TempDir()
	put := func(chain, key []byte) {
		t.Helper()
		for name, text := range map[string][]byte{"chain.pem": chain, "key.pem": key} {
			if err := os.WriteFile(filepath.Join(home, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(authority.Pair(t, domain))
	config := filepath.Join(home, "c.toml")
	text := "[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "--config", config, "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	if g.relay.Pin != nil || g.keys.Pin != nil {
		t.Error("the address pins a certificate that is renewed under another key")
	}
	first := overBoth(t, authority, g.relay.Host)
	put(authority.Pair(t, domain))
	p.signal(syscall.SIGHUP)
	p.logs("a new certificate is in force")
	second := overBoth(t, authority, g.relay.Host)
	if second.Equal(first) {
		t.Error("the new certificate is not in force")
	}
	put([]byte("broken"), nil)
	p.signal(syscall.SIGHUP)
	p.logs("the old one stays")
	if !overBoth(t, authority, g.relay.Host).Equal(second) {
		t.Error("a broken file replaced the certificate")
	}
}

// TestServeGetsACertificate: from an authority that tries the listeners of this very server.
// Other names hear nothing.
func TestServeGetsACertificate(t *testing.T) {
	for name, plain := range map[string]bool{"by TLS": false, "by HTTP": true} {
		t.Run(name, func(t *testing.T) {
			authority, home := acmetest.Start(t), t.TempDir()
			roots := filepath.Join(home, "roots.pem")
			if err := os.WriteFile(roots, authority.RootPEM(), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := defaultConfig()
			cfg.Data, cfg.Listen, cfg.Public = filepath.Join(home, "data"), "127.0.0.1:0", domain+":443"
			cfg.ACME = acmeConfig{Domains: []string{domain}, AcceptTerms: true, Directory: authority.Directory(), Roots: roots}
			if plain {
				cfg.ACME.HTTP = "127.0.0.1:0"
			}
			at, told, log := serveHere(t, cfg, func(all []sockets) {
				if plain {
					authority.Resolve(domain, "", all[1].tcp.Addr().String())
				} else {
					authority.Resolve(domain, all[0].tcp.Addr().String(), "")
				}
			})
			if len(told) != 1 || told[0].relay.Host != domain+":443" || told[0].relay.Pin != nil {
				t.Errorf("clients are told %+v", told)
			}
			log.until(t, "certificate", t.Context().Done()) // there is one, or the authority gives none
			overBoth(t, authority, at)
			if _, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true, ServerName: "other.example.org"}); err == nil {
				t.Error("another name has a certificate")
			}
		})
	}
}

// serveHere serves in this process until the test ends. ready is called with the open sockets,
// before anything is served.
func serveHere(t *testing.T, cfg serveConfig, ready func([]sockets)) (at string, told []address, log *lockedBuffer) {
	t.Helper()
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	all, err := openSockets(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(all)
	log = new(lockedBuffer)
	srv, err := openServer(cfg, false, newLog(log, cfg.Log))
	if err != nil {
		t.Fatal(err)
	}
	if told, err = srv.addresses(all); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.run(ctx, all, minDrain) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return all[0].tcp.Addr().String(), told, log
}

// TestPlainPortServesNothingElse: the listener for an authority's challenges.
func TestPlainPortServesNothingElse(t *testing.T) {
	authority, home := acmetest.Start(t), t.TempDir()
	roots := filepath.Join(home, "roots.pem")
	if err := os.WriteFile(roots, authority.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := defaultConfig()
	cfg.Data, cfg.Listen, cfg.Public = filepath.Join(home, "data"), "127.0.0.1:0", domain+":443"
	cfg.ACME = acmeConfig{
		Domains: []string{domain}, AcceptTerms: true, Directory: authority.Directory(), Roots: roots, HTTP: "127.0.0.1:0",
	}
	var plain net.Addr
	serveHere(t, cfg, func(all []sockets) {
		plain = all[1].tcp.Addr()
		authority.Resolve(domain, all[0].tcp.Addr().String(), "")
	})
	for _, path := range []string{"/", "/v1/relay", "/v1/relay/poll", "/v1/chunk/put", "/debug/pprof/", "/.well-known/acme-challenge/x"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodConnect} {
			r, err := http.NewRequest(method, "http://"+plain.String()+path, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = domain
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound || len(b) > 100 {
				t.Errorf("%s %s is answered with %d, %q", method, path, resp.StatusCode, b)
			}
		}
	}
}
