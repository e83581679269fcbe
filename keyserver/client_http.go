package keyserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/sealpost/sealpost/internal/wire"
)

// do sends one request and reads its answer. The request's path names the operation in
// errors; nothing else of it may, since errors end up in logs.
func (c *Client) do(ctx context.Context, at Endpoint, q wire.Marshaler, p wire.Unmarshaler) error {
	body, err := wire.Marshal(q)
	if err != nil {
		return err
	}
	if int64(len(body)) > at.MaxRequest {
		return fmt.Errorf("%s: body of %d bytes, at most %d: %w", at.Path, len(body), at.MaxRequest, ErrTooLarge)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+at.Path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", at.Path, err)
	}
	req.Header.Set("Content-Type", MediaType)
	// The default would name the library and its version to the server.
	req.Header.Set("User-Agent", "")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", at.Path, err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != MediaType {
		return fmt.Errorf("%s: status %d without a Sealpost body: %w", at.Path, resp.StatusCode, ErrUnavailable)
	}
	if resp.StatusCode != http.StatusOK {
		var e Error
		if err := readBody(resp.Body, MaxErrorBody, &e); err != nil {
			return fmt.Errorf("%s: status %d: %w", at.Path, resp.StatusCode, err)
		}
		return fmt.Errorf("%s: %w", at.Path, &e)
	}
	if err := readBody(resp.Body, at.MaxReply, p); err != nil {
		return fmt.Errorf("%s: %w", at.Path, err)
	}
	return nil
}

// readBody decodes a body of at most limit bytes. A longer one is cut off, and refused as
// too large, after limit+1 bytes.
func readBody(r io.Reader, limit int64, p wire.Unmarshaler) error {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return err
	}
	if int64(len(b)) > limit {
		return fmt.Errorf("answer is larger than %d bytes: %w", limit, ErrLied)
	}
	if err := wire.Unmarshal(b, p); err != nil {
		// The cause stays text: wrapped, a decoder's ErrTooLarge would pass for a refusal.
		return fmt.Errorf("answer does not decode (%v): %w", err, ErrLied)
	}
	return nil
}
