package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/tlscert"
)

// tlsConfig names the operator's own certificate, both or neither, in PEM. The files are read
// again when they change.
type tlsConfig struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
}

// acmeConfig says for what names certificates are got, and from whom.
type acmeConfig struct {
	Domains     []string `toml:"domains"`
	AcceptTerms bool     `toml:"accept-terms"` // of the authority; nothing is asked for without
	Email       string   `toml:"email"`        // where the authority writes about trouble
	Directory   string   `toml:"directory"`    // the authority's URL; Let's Encrypt if empty
	Roots       string   `toml:"roots"`        // PEM file that proves a private authority's own server
	HTTP        string   `toml:"http"`         // HOST:PORT for HTTP-01 challenges, in plain; none if empty
}

// hostName matches a name that an authority gives a certificate for, in the one form that
// clients ask for: lower case, a dot in it, no wildcard.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// completeCertificates refuses what cannot work, and fills in the authority.
func (c *serveConfig) completeCertificates() error {
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return errors.New("tls.certificate and tls.key go together")
	}
	a := &c.ACME
	switch {
	case len(a.Domains) == 0 && (a.AcceptTerms || a.Email != "" || a.Directory != "" || a.Roots != "" || a.HTTP != ""):
		return errors.New("acme.domains is empty: name the hosts to get certificates for")
	case len(a.Domains) == 0:
		return nil
	case c.TLS.Certificate != "":
		return errors.New("tls.certificate and acme.domains do not go together: one certificate is enough")
	case !a.AcceptTerms:
		return errors.New("acme.accept-terms is not true: read the authority's terms of service, and say so")
	}
	for _, name := range a.Domains {
		if !hostName.MatchString(name) || len(name) > 253 || net.ParseIP(name) != nil {
			return fmt.Errorf("acme.domains: %q is no host name in lower case", name)
		}
	}
	if a.Directory == "" {
		a.Directory = tlscert.LetsEncrypt
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("acme.directory is %q, no https URL", a.Directory)
	}
	if strings.ContainsAny(a.Email, " \r\n\t<>") {
		return fmt.Errorf("acme.email is %q, no plain address", a.Email)
	}
	for _, l := range c.listeners() {
		host, _, _ := net.SplitHostPort(l.Public)
		if l.dialable() && !slices.Contains(a.Domains, host) {
			return fmt.Errorf("listener %s: clients check the certificate by name, so public must have one of acme.domains as its host", l.Address)
		}
	}
	if a.HTTP != "" {
		if _, _, err := net.SplitHostPort(a.HTTP); err != nil {
			return fmt.Errorf("acme.http is no HOST:PORT: %w", err)
		}
	}
	return nil
}
