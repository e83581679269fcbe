// Package observe answers whoever operates a server, in plain HTTP on a loopback address:
// metrics, whether it lives, whether it takes clients, and Go profiles.
//
// Start with [Listen] and [New]. Nothing here has a password: who may open a socket on this
// machine may read it. So nothing that it answers names anybody, it listens on loopback alone
// (ATTACKS R33), and it answers no page of a browser: neither one that has its own name resolve
// to loopback (the Host header says so) nor one that just sends requests (Origin and
// Sec-Fetch-Site do).
//
// Out of scope: what is counted (internal/metrics), and changing anything.
package observe

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/sealpost/sealpost/internal/connlimit"
)

// Our own limits: a program that hangs, or asks too often, costs a few sockets and no more.
const (
	headerWithin   = 5 * time.Second
	idleFor        = time.Minute
	longestProfile = time.Minute
	answerWithin   = longestProfile + 30*time.Second
	maxHeaderBytes = 4 << 10
	maxConns       = 16
)

// ErrNotLoopback: choose an address of this machine alone, as 127.0.0.1:7444.
var ErrNotLoopback = errors.New("not a loopback address: metrics and profiles are for this machine alone, let a program on it pass them on")

// Config is what is answered. All fields are required, and called from any goroutine.
type Config struct {
	Metrics func(io.Writer) // writes Prometheus' text format
	Alive   func() error    // the reason is told, so it names nobody
	Ready   func() error    // the same
}

// Check returns [ErrNotLoopback] or another error for an address that [Listen] would refuse. A
// name is refused too, but for localhost: who knows where another one leads tomorrow.
func Check(address string) error {
	_, err := resolve(address)
	return err
}

func resolve(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no HOST:PORT: %w", address, err)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	at, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("%q: %w", address, ErrNotLoopback)
	}
	return at, nil
}

// Listen opens an address that [Check] accepts.
func Listen(address string) (net.Listener, error) {
	at, err := resolve(address)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, err
	}
	return connlimit.New(connlimit.Limits{Total: maxConns, Network: maxConns, Loopback: maxConns}).Listen(l), nil
}

// New returns a server for a listener of [Listen], which its caller closes. It speaks HTTP/1.1
// alone (ATTACKS R20).
func New(cfg Config) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		cfg.Metrics(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { tell(w, cfg.Alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { tell(w, cfg.Ready()) })
	profiles(mux)
	web := &http.Server{
		Handler:           guard(mux),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       headerWithin,
		WriteTimeout:      answerWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	web.Protocols.SetHTTP1(true)
	return web
}

func tell(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// guard passes on what a program on this machine asks, and refuses everything else.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case !namesLoopback(r.Host):
			http.Error(w, "this host is not served here", http.StatusMisdirectedRequest)
		case r.Header.Get("Origin") != "", site != "" && site != "none": // none: somebody typed the address
			http.Error(w, "pages are not served", http.StatusForbidden)
		case r.ContentLength != 0:
			h.Set("Connection", "close")
			http.Error(w, "a body is not expected", http.StatusRequestEntityTooLarge)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// namesLoopback tells whether a Host header, with or without a port, means this machine.
func namesLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if len(host) > 1 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
