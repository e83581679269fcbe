package metrics

// Keys counts a key server's requests. It is safe for concurrent use.
type Keys struct {
	requests []counters // by route and outcome
}

// Keys returns the key server's group.
func (s *Set) Keys() *Keys {
	k := new(Keys)
	for _, route := range routes {
		all := make(counters, len(outcomes))
		for i, outcome := range outcomes {
			all[i] = s.set.NewCounter(series(keysRequests, "route", route, "outcome", outcome))
		}
		k.requests = append(k.requests, all)
	}
	return k
}

// Request counts a request by the code of its answer in the protocol; 0 is success.
func (k *Keys) Request(r Route, code int) {
	if int(r) >= len(k.requests) {
		r = OtherRoute
	}
	ok := len(outcomes) - 1
	switch {
	case code == 0:
		code = ok
	case code >= ok:
		code = 0
	}
	k.requests[r].at(code).Inc()
}
