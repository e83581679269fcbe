package acmetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

// newOrder begins an order of one name (RFC 8555 section 7.4).
func (a *Authority) newOrder(w http.ResponseWriter, payload []byte) {
	var q struct {
		Identifiers []struct{ Type, Value string }
	}
	if err := json.Unmarshal(payload, &q); err != nil || len(q.Identifiers) != 1 || q.Identifiers[0].Type != "dns" {
		answer(w, http.StatusBadRequest, map[string]any{"type": "urn:ietf:params:acme:error:malformed"})
		return
	}
	o := &order{name: q.Identifiers[0].Value, token: random()}
	a.mu.Lock()
	a.orders = append(a.orders, o)
	base := a.server.URL + "/" + strconv.Itoa(len(a.orders)-1) + "/"
	a.mu.Unlock()
	w.Header().Set("Location", base+"order")
	answer(w, http.StatusCreated, a.describe(o, base))
}

// describe is an order as its client sees it (RFC 8555 section 7.1.3).
func (a *Authority) describe(o *order, base string) map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	status := "pending"
	if o.authorized {
		status = "ready"
	} else if o.failed {
		status = "invalid"
	}
	v := map[string]any{
		"identifiers":    []any{map[string]any{"type": "dns", "value": o.name}},
		"authorizations": []string{base + "authorization"}, "finalize": base + "finalize",
	}
	if o.certificate != nil {
		status, v["certificate"] = "valid", base+"certificate"
	}
	v["status"] = status
	return v
}

func (a *Authority) serveOrder(w http.ResponseWriter, what string, o *order, base string, s *signed) {
	switch what {
	case "order":
		answer(w, http.StatusOK, a.describe(o, base))
	case "authorization":
		answer(w, http.StatusOK, a.authorization(o, base))
	case "tls-alpn-01", "http-01":
		// The challenge is tried before the answer, so that nobody has to ask again.
		err := a.try(what, o, o.token+"."+s.thumbprint)
		v := a.challenge(what, o, base)
		if err != nil {
			v["error"] = map[string]any{"type": "urn:ietf:params:acme:error:unauthorized", "detail": err.Error()}
		}
		answer(w, http.StatusOK, v)
	case "finalize":
		if err := a.finalize(o, s.payload); err != nil {
			answer(w, http.StatusForbidden, map[string]any{"type": "urn:ietf:params:acme:error:badCSR", "detail": err.Error()})
			return
		}
		w.Header().Set("Location", base+"order")
		answer(w, http.StatusOK, a.describe(o, base))
	case "certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(o.certificate)
	}
}

// authorization offers the challenges that the name has an address for. It waits until the
// name resolves.
func (a *Authority) authorization(o *order, base string) map[string]any {
	a.mu.Lock()
	for _, known := a.tlsAt[o.name]; !known && !a.closed; _, known = a.tlsAt[o.name] {
		a.resolved.Wait()
	}
	offered := map[string]string{"tls-alpn-01": a.tlsAt[o.name], "http-01": a.httpAt[o.name]}
	status := o.status()
	a.mu.Unlock()
	var challenges []any
	for kind, at := range offered {
		if at != "" {
			challenges = append(challenges, a.challenge(kind, o, base))
		}
	}
	return map[string]any{
		"status": status, "identifier": map[string]any{"type": "dns", "value": o.name}, "challenges": challenges,
	}
}

func (a *Authority) challenge(kind string, o *order, base string) map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	return map[string]any{"type": kind, "url": base + kind, "token": o.token, "status": o.status()}
}

// status is that of the order's authorization, and of all its challenges: one is tried, and
// decides. a.mu is held.
func (o *order) status() string {
	switch {
	case o.authorized:
		return "valid"
	case o.failed:
		return "invalid"
	}
	return "pending"
}

// try dials a challenge, as from the internet.
func (a *Authority) try(kind string, o *order, keyAuthorization string) error {
	a.mu.Lock()
	tlsAt, httpAt := a.tlsAt[o.name], a.httpAt[o.name]
	a.mu.Unlock()
	var err error
	if kind == "tls-alpn-01" {
		err = tryTLS(tlsAt, o.name, keyAuthorization)
	} else {
		err = tryHTTP(httpAt, o.name, o.token, keyAuthorization)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	o.authorized, o.failed = err == nil, err != nil
	return err
}

// identifier is the extension of RFC 8737 section 3.
var identifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

func tryTLS(at, name, keyAuthorization string) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", at, &tls.Config{
		ServerName: name, NextProtos: []string{"acme-tls/1"},
		InsecureSkipVerify: true, // RFC 8737: the certificate is self-signed, and checked below
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	leaf := state.PeerCertificates[0]
	if state.NegotiatedProtocol != "acme-tls/1" || !slices.Equal(leaf.DNSNames, []string{name}) {
		return fmt.Errorf("spoke %q, for %q", state.NegotiatedProtocol, leaf.DNSNames)
	}
	want := sha256.Sum256([]byte(keyAuthorization))
	for _, e := range leaf.Extensions {
		var got []byte
		if e.Id.Equal(identifier) && e.Critical {
			if rest, err := asn1.Unmarshal(e.Value, &got); err == nil && len(rest) == 0 && slices.Equal(got, want[:]) {
				return nil
			}
		}
	}
	return errors.New("the certificate does not hold the key authorization")
}

func tryHTTP(at, name, token, keyAuthorization string) error {
	r, err := http.NewRequest(http.MethodGet, "http://"+at+"/.well-known/acme-challenge/"+token, nil)
	if err != nil {
		return err
	}
	r.Host = name
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil || resp.StatusCode != http.StatusOK || string(b) != keyAuthorization {
		return fmt.Errorf("status %d, %q, %w", resp.StatusCode, b, err)
	}
	return nil
}

// finalize issues for the request's key (RFC 8555 section 7.4).
func (a *Authority) finalize(o *order, payload []byte) error {
	var q struct{ CSR string }
	if err := json.Unmarshal(payload, &q); err != nil {
		return err
	}
	der, err := base64.RawURLEncoding.DecodeString(q.CSR)
	if err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := csr.CheckSignature(); err != nil || !o.authorized || !slices.Equal(csr.DNSNames, []string{o.name}) {
		return fmt.Errorf("asks for %q, authorized: %v, %w", csr.DNSNames, o.authorized, err)
	}
	leaf, err := a.sign(o.name, csr.PublicKey)
	if err != nil {
		return err
	}
	o.certificate = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), a.RootPEM()...)
	return nil
}

// sign issues a certificate of name, a host name or IP address. a.mu is held.
func (a *Authority) sign(name string, key any) ([]byte, error) {
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial + 1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(a.from), NotAfter: time.Now().Add(a.to),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	return x509.CreateCertificate(rand.Reader, template, a.root, key, a.key)
}

// issueTo issues without a challenge.
func (a *Authority) issueTo(t testing.TB, name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	der, err := a.sign(name, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Pair issues a certificate for name without a challenge, as an operator has one in files: the
// chain and the key in PEM.
func (a *Authority) Pair(t testing.TB, name string) (chain, key []byte) {
	t.Helper()
	pair := a.issueTo(t, name)
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
