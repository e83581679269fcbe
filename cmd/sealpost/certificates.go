package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/tlscert"
)

// acmeFolder holds the keys and certificates that an authority gave, inside the data folder.
const acmeFolder = "acme"

// certificates is the one source that TCP and QUIC take a certificate from.
type certificates struct {
	get    func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	protos []string       // that TLS over TCP offers, HTTP first; nil: HTTP alone
	pin    *certpin.Pin   // of the certificate that the server makes itself; else nil
	files  *tlscert.Files // the operator's, or nil
	acme   *tlscert.ACME  // or nil
}

// openCertificates takes the operator's files or authority, or makes a certificate that renews
// itself.
func openCertificates(cfg serveConfig, log *slog.Logger) (certificates, error) {
	switch {
	case cfg.TLS.Certificate != "":
		files, err := tlscert.OpenFiles(cfg.TLS.Certificate, cfg.TLS.Key, log)
		if err != nil {
			return certificates{}, err
		}
		return certificates{get: files.GetCertificate, files: files}, nil
	case len(cfg.ACME.Domains) > 0:
		return openACME(cfg, log)
	}
	dev, err := certpin.OpenDevelopment(cfg.Data)
	if err != nil {
		return certificates{}, err
	}
	return certificates{get: dev.GetCertificate, pin: new(dev.Pin())}, nil
}

func openACME(cfg serveConfig, log *slog.Logger) (certificates, error) {
	var roots *x509.CertPool
	if cfg.ACME.Roots != "" {
		text, err := os.ReadFile(cfg.ACME.Roots)
		if err != nil {
			return certificates{}, fmt.Errorf("acme.roots: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(text) {
			return certificates{}, fmt.Errorf("acme.roots: no certificate in %s", cfg.ACME.Roots)
		}
	}
	acme, err := tlscert.OpenACME(tlscert.ACMEConfig{
		Domains: cfg.ACME.Domains, Email: cfg.ACME.Email, Directory: cfg.ACME.Directory, Roots: roots,
		Folder: filepath.Join(cfg.Data, acmeFolder), Log: log,
	})
	if err != nil {
		return certificates{}, err
	}
	return certificates{get: acme.GetCertificate, protos: []string{"http/1.1", tlscert.ChallengeProto}, acme: acme}, nil
}

// config returns a TLS 1.3 configuration of its own for one listener. There are no session
// tickets: a resumed session would outlive the certificate that it was opened under.
func (c certificates) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: c.get, SessionTicketsDisabled: true}
}

// keep gets and renews what has to be, and reads the operator's files again on SIGHUP, until
// ctx ends.
func (c certificates) keep(ctx context.Context) {
	if c.acme != nil {
		c.acme.Run(ctx)
		return
	}
	if c.files == nil {
		return // SIGHUP ends the process, as it does when a terminal is closed
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			c.files.Reload()
		case <-ctx.Done():
			return
		}
	}
}
