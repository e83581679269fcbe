package main

import (
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/sealpost/sealpost/internal/certpin"
)

// bareQUIC opens a QUIC connection for HTTP/3, without HTTP/3 on it.
func bareQUIC(t *testing.T, g greeting) *quic.Conn {
	t.Helper()
	config := certpin.ClientConfig("localhost", g.keys.Pin)
	config.NextProtos = []string{http3.NextProtoH3}
	c, err := quic.DialAddr(t.Context(), g.relay.Host, config, &quic.Config{
		EnableDatagrams: true, EnableStreamResetPartialDelivery: true, MaxIncomingStreams: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseWithError(0, "") })
	return c
}

// opened returns a new stream of c, as soon as the server lets it have one; nil if the server
// has ended the connection.
func opened(t *testing.T, c *quic.Conn) *quic.Stream {
	t.Helper()
	s, err := c.OpenStreamSync(t.Context())
	if err != nil && c.Context().Err() == nil {
		t.Fatal(err)
	}
	return s
}

// frame3 is a frame of HTTP/3 (RFC 9114 section 7.1).
func frame3(typ uint64, body []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, typ), uint64(len(body))), body...)
}

// field is a header field, literally (RFC 9204 section 4.5.6). Its name has at most six letters.
func field(name, value string) []byte {
	b := append([]byte{0x20 | byte(len(name))}, name...)
	if len(value) < 127 {
		b = append(b, byte(len(value)))
	} else {
		b = append(b, 127, byte(len(value)-127))
	}
	return append(b, value...)
}

// request is the header section of a request; more follows the fields that every one has.
func request(method byte, path string, more []byte) []byte {
	b := []byte{0, 0, 0xc0 | method, 0xd7}                              // no dynamic table; :method, and :scheme https, of the static one
	b = append(append(b, 0x51, byte(len(path))), path...)               // :path
	b = append(append(b, 0x50, byte(len("a.example"))), "a.example"...) // :authority
	return append(b, more...)
}

const methodGet, methodPost = 17, 20 // in QPACK's static table
