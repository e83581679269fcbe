package relayserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// pollClient is a client's byte stream over long polling. One goroutine reads, one writes.
type pollClient struct {
	http *http.Client
	url  string // of the endpoint, /poll at its end

	ctx      context.Context
	cancel   context.CancelFunc
	once     sync.Once
	token    string // from the first Write on
	sent     int    // owned by the writer
	received int    // owned by the reader, as left is
	left     []byte
}

// statusError is an answer other than the expected.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

func (c *pollClient) begin() {
	c.once.Do(func() { c.ctx, c.cancel = context.WithCancel(context.Background()) })
}

// do sends one request and returns the answer's body.
func (c *pollClient) do(method, path string, body []byte) (int, []byte, error) {
	c.begin()
	r, err := http.NewRequestWithContext(c.ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer.StatusCode, b, err
}

func (c *pollClient) Write(p []byte) (int, error) {
	path, want := "", http.StatusCreated
	if c.token != "" {
		path, want = fmt.Sprintf("/%s/%d", c.token, c.sent), http.StatusNoContent
	}
	status, b, err := c.do(http.MethodPost, path, p)
	if err != nil {
		return 0, err
	}
	if status != want {
		return 0, statusError(status)
	}
	if c.token == "" {
		c.token = string(b)
	}
	c.sent += len(p)
	return len(p), nil
}

func (c *pollClient) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		status, b, err := c.do(http.MethodGet, fmt.Sprintf("/%s/%d", c.token, c.received), nil)
		switch {
		case err != nil:
			return 0, err
		case status == http.StatusNotFound:
			return 0, io.EOF
		case status != http.StatusOK && status != http.StatusNoContent:
			return 0, statusError(status)
		}
		c.left = b
		c.received += len(b)
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

// Close ends the session and whatever is under way.
func (c *pollClient) Close() error {
	c.begin()
	if c.token != "" {
		_, _, _ = c.do(http.MethodDelete, "/"+c.token, nil)
	}
	c.cancel()
	return nil
}
