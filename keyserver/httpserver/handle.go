package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
)

// request is a pointer to the body of a request.
type request[Q any] interface {
	*Q
	wire.Unmarshaler
}

// handle serves one operation at its path. What a stranger can make it do before his request
// is known to be well formed: read one body of bounded size for a bounded time.
func handle[Q any, PQ request[Q], P wire.Marshaler](s *Server, mux *http.ServeMux, at keyserver.Endpoint, rate *limiter, do func(context.Context, PQ) (P, error)) {
	route := routeOf(at)
	serve := func(w http.ResponseWriter, r *http.Request) (wire.Marshaler, error) {
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != keyserver.MediaType {
			return nil, &keyserver.Error{Code: keyserver.CodeInvalid, Text: "not a POST of " + keyserver.MediaType}
		}
		from := prefix(r.RemoteAddr)
		if wait := rate.spend(from); wait > 0 {
			return nil, limited(wait)
		}
		body, err := readBody(w, r, at.MaxRequest)
		if err != nil {
			return nil, err
		}
		q := PQ(new(Q))
		if err := wire.Unmarshal(body, q); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(shard.WithSubmitter(r.Context(), from), storeTimeout)
		defer cancel()
		return do(ctx, q)
	}
	mux.HandleFunc(at.Path, func(w http.ResponseWriter, r *http.Request) {
		p, err := serve(w, r)
		if err != nil {
			s.refuse(w, route, err)
			return
		}
		s.metrics.Request(route, 0)
		s.answer(w, http.StatusOK, p)
	})
}

// routeOf names an operation for its series.
func routeOf(at keyserver.Endpoint) metrics.Route {
	switch at {
	case keyserver.EndpointRegister:
		return metrics.Register
	case keyserver.EndpointAppend:
		return metrics.AppendEntry
	case keyserver.EndpointLookup:
		return metrics.Lookup
	case keyserver.EndpointUpload:
		return metrics.Upload
	case keyserver.EndpointTake:
		return metrics.Take
	case keyserver.EndpointStock:
		return metrics.Stock
	case keyserver.EndpointPutChunk:
		return metrics.PutChunk
	case keyserver.EndpointGetChunk:
		return metrics.GetChunk
	}
	return metrics.OtherRoute
}

// readBody reads a body of announced size, which is within the limit before any of it is
// read.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength < 0 {
		return nil, &keyserver.Error{Code: keyserver.CodeInvalid, Text: "Content-Length is missing"}
	}
	if r.ContentLength > limit {
		// Not to be kept open: the rest of the body would have to be read first.
		w.Header().Set("Connection", "close")
		return nil, &keyserver.Error{Code: keyserver.CodeTooLarge, Text: fmt.Sprintf("the body may have %d bytes", limit)}
	}
	// A handler that cannot set deadlines is one whose server has them.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	b := make([]byte, 0, min(r.ContentLength, 4<<10)) // grows with what has come, not with what was said
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return nil, keyserver.ErrTooLarge
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, &keyserver.Error{Code: keyserver.CodeInvalid, Text: "the body did not arrive"}
		}
	}
}

// refuse answers with an error. What the caller did wrong is told in words; what went wrong
// here is logged, and told without them.
func (s *Server) refuse(w http.ResponseWriter, route metrics.Route, err error) {
	e, remote := errors.AsType[*keyserver.Error](err)
	switch {
	case remote && e.Code == keyserver.CodeUnavailable && !errors.Is(err, context.Canceled):
		s.log.Warn("key server: a request could not be served", "error", err)
		e = &keyserver.Error{Code: e.Code, Text: keyserver.ErrUnavailable.Text, RetryAfter: max(e.RetryAfter, 5*time.Second)}
	case remote:
		e = &keyserver.Error{Code: e.Code, Text: e.Text, RetryAfter: e.RetryAfter}
		if error(e).Error() != err.Error() {
			e.Text = err.Error() // the words around it say which package, which entry
		}
	default:
		// ErrChain, ErrPackage, ErrCredential and what the codec says: all about the caller's
		// own bytes.
		e = &keyserver.Error{Code: keyserver.CodeInvalid, Text: err.Error()}
	}
	s.metrics.Request(route, int(e.Code))
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter/time.Second)))
	}
	s.answer(w, e.Code.Status(), e)
}

func (s *Server) answer(w http.ResponseWriter, status int, p wire.Marshaler) {
	b, err := wire.Marshal(p)
	if err != nil {
		s.log.Error("key server: an answer could not be encoded", "error", err)
		status, b = http.StatusServiceUnavailable, nil
	}
	h := w.Header()
	h.Set("Content-Type", keyserver.MediaType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(bodyTimeout))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a caller who is gone asks again
}
