package acmetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
)

// signed is a request whose signature verified.
type signed struct {
	account    string // URL
	thumbprint string // of the account's key (RFC 7638)
	payload    []byte
}

var errNonce = errors.New("the nonce is not one of mine, or was used")

// jwk is an ES256 key, with its fields in the order of RFC 7638 section 3.2.
type jwk struct {
	Curve string `json:"crv"`
	Type  string `json:"kty"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

func (k jwk) key() (*ecdsa.PublicKey, error) {
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	if k.Curve != "P-256" || k.Type != "EC" || errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
		return nil, errors.New("not an ES256 key")
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
}

func thumbprint(key *ecdsa.PublicKey) (string, error) {
	point, err := key.Bytes()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(jwk{
		"P-256", "EC", base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:]),
	})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

func (a *Authority) nonce() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := random()
	a.nonces[n] = true
	return n
}

// verify checks a request (RFC 8555 section 6.2): its form, nonce, URL and signature, by the
// account's key or, at /account, by the one that it brings.
func (a *Authority) verify(r *http.Request) (*signed, error) {
	var body struct{ Protected, Payload, Signature string }
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/jose+json" {
		return nil, errors.New("not a POST of application/jose+json")
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&body); err != nil {
		return nil, err
	}
	var head struct {
		Alg, Nonce, URL, Kid string
		JWK                  *jwk
	}
	text, err := base64.RawURLEncoding.DecodeString(body.Protected)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	if head.Alg != "ES256" || head.URL != a.server.URL+r.URL.Path || (head.Kid == "") == (head.JWK == nil) {
		return nil, fmt.Errorf("the header does not fit %s", r.URL.Path)
	}
	s := &signed{account: head.Kid}
	a.mu.Lock()
	known := a.nonces[head.Nonce]
	delete(a.nonces, head.Nonce)
	key := a.accounts[head.Kid]
	a.mu.Unlock()
	if !known {
		return nil, errNonce
	}
	if head.JWK != nil {
		if key, err = head.JWK.key(); err != nil || r.URL.Path != "/account" {
			return nil, errors.New("a key is brought to a new account only")
		}
	}
	if key == nil {
		return nil, errors.New("no such account")
	}
	signature, err := base64.RawURLEncoding.DecodeString(body.Signature)
	sum := sha256.Sum256([]byte(body.Protected + "." + body.Payload))
	if err != nil || len(signature) != 64 ||
		!ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, errors.New("the signature does not verify")
	}
	if s.thumbprint, err = thumbprint(key); err != nil {
		return nil, err
	}
	if s.account == "" {
		s.account = a.server.URL + "/account/" + s.thumbprint
		a.mu.Lock()
		a.accounts[s.account] = key
		a.mu.Unlock()
	}
	s.payload, err = base64.RawURLEncoding.DecodeString(body.Payload)
	return s, err
}
