package keyserver

import "net/http"

// newTransport uses the browser's fetch, which has connections of its own, checks certificates
// by its own roots and shows none to a script: pins cannot be checked here.
func newTransport(Address, Options) http.RoundTripper { return &http.Transport{} }
