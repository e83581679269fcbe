package main

import (
	"crypto/rand"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/sealpost/sealpost/internal/certpin"
)

// rawClient is a QUIC client that acknowledges nothing and sends what it is told to.
type rawClient struct {
	t        *testing.T
	conn     net.Conn
	to, from []byte // connection ids
	tls      *tls.QUICConn

	read, write [4]*packetKey // by level
	number      [4]uint64
	sent        [4]uint64            // bytes of CRYPTO
	received    [4]uint64            // the same, without gaps
	early       [4]map[uint64][]byte // behind one
	done        bool
}

// dialRawQUIC opens a connection, with a handshake like any other.
func dialRawQUIC(t *testing.T, g greeting) *rawClient {
	t.Helper()
	c := &rawClient{t: t, to: make([]byte, 8), from: make([]byte, 8)}
	c.move(g)
	_, _ = rand.Read(c.to)
	_, _ = rand.Read(c.from)
	const first = tls.QUICEncryptionLevelInitial
	c.write[first], c.read[first] = initialKeys(c.to)
	config := certpin.ClientConfig("localhost", g.keys.Pin)
	config.NextProtos, config.CurvePreferences = []string{http3.NextProtoH3}, []tls.CurveID{tls.X25519} // else the hello takes two packets
	c.tls = tls.QUICClient(&tls.QUICConfig{TLSConfig: config})
	var parameters []byte
	for id, value := range map[uint64][]byte{
		0x0f: c.from, 0x04: quicvarint.Append(nil, 1<<20), 0x07: quicvarint.Append(nil, 1<<16), 0x09: quicvarint.Append(nil, 16),
	} {
		parameters = append(quicvarint.Append(quicvarint.Append(parameters, id), uint64(len(value))), value...)
	}
	c.tls.SetTransportParameters(parameters)
	if err := c.tls.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for c.advance(); !c.done; c.advance() {
		if len(c.hear(5*time.Second)) == 0 {
			t.Fatal("the handshake goes no further")
		}
	}
	return c
}

// move goes on from another port.
func (c *rawClient) move(g greeting) {
	c.t.Helper()
	conn, err := net.Dial("udp", g.relay.Host)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	c.conn = conn
}

// advance does what TLS has to do by now.
func (c *rawClient) advance() {
	c.t.Helper()
	for {
		switch e := c.tls.NextEvent(); e.Kind {
		case tls.QUICNoEvent:
			return
		case tls.QUICHandshakeDone:
			c.done = true
		case tls.QUICSetReadSecret:
			c.secret(&c.read, e)
		case tls.QUICSetWriteSecret:
			c.secret(&c.write, e)
		case tls.QUICWriteData:
			b := quicvarint.Append(quicvarint.Append([]byte{0x06}, c.sent[e.Level]), uint64(len(e.Data)))
			c.sent[e.Level] += uint64(len(e.Data))
			c.send(e.Level, append(b, e.Data...))
		}
	}
}

func (c *rawClient) secret(keys *[4]*packetKey, e tls.QUICEvent) {
	c.t.Helper()
	if e.Suite != tls.TLS_AES_128_GCM_SHA256 {
		c.t.Skipf("this machine prefers suite %x, which the test does not have", e.Suite)
	}
	keys[e.Level] = newPacketKey(e.Data)
}

// send sends a packet of frames, as large as the first of a connection has to be.
func (c *rawClient) send(level tls.QUICEncryptionLevel, frames []byte) {
	c.t.Helper()
	if level != tls.QUICEncryptionLevelApplication {
		frames = append(frames, make([]byte, max(0, 1160-len(frames)))...)
	}
	b := c.write[level].seal(header(level, c.to, c.from, len(frames)), c.number[level], frames)
	c.number[level]++
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the frames of the next datagram, none if there is none in time. What is TLS's it
// has been given.
func (c *rawClient) hear(within time.Duration) (all []frame) {
	c.t.Helper()
	var datagram [2048]byte
	if err := c.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		c.t.Fatal(err)
	}
	n, err := c.conn.Read(datagram[:])
	if err != nil {
		return nil
	}
	for b := datagram[:n]; len(b) > 0; {
		level, at, end := c.shape(b)
		if end == 0 || c.read[level] == nil {
			return all
		}
		plain, err := c.read[level].open(b[:end], at)
		if err != nil {
			return all
		}
		for _, f := range parseFrames(plain) {
			all = append(all, f)
			if f.typ == 0x06 {
				c.crypto(level, f)
			}
		}
		b = b[end:]
	}
	return all
}

// shape returns a packet's level, where its number is, and where it ends; 0 if it is none.
func (c *rawClient) shape(b []byte) (level tls.QUICEncryptionLevel, at, end int) {
	if b[0]&0x80 == 0 {
		return tls.QUICEncryptionLevelApplication, 1 + len(c.from), len(b)
	}
	if len(b) < 7 || len(b) < 7+int(b[5])+int(b[6+b[5]]) {
		return 0, 0, 0
	}
	at = 6 + int(b[5])
	server := b[at+1 : at+1+int(b[at])]
	at += 1 + len(server)
	switch b[0] >> 4 & 3 {
	case 0:
		level = tls.QUICEncryptionLevelInitial
		at++ // no token comes from a server
		c.to = append([]byte(nil), server...)
	case 2:
		level = tls.QUICEncryptionLevelHandshake
	default:
		return 0, 0, 0
	}
	size, n, err := quicvarint.Parse(b[at:])
	if err != nil || uint64(len(b)-at-n) < size {
		return 0, 0, 0
	}
	return level, at + n, at + n + int(size)
}

// crypto gives TLS what came, in order.
func (c *rawClient) crypto(level tls.QUICEncryptionLevel, f frame) {
	c.t.Helper()
	if c.early[level] == nil {
		c.early[level] = make(map[uint64][]byte)
	}
	c.early[level][f.offset] = f.data
	for {
		data, ok := c.early[level][c.received[level]]
		if !ok || len(data) == 0 {
			return
		}
		c.received[level] += uint64(len(data))
		if err := c.tls.HandleData(level, data); err != nil {
			c.t.Fatal(err)
		}
		c.advance() // the next packet may want the keys that follow
	}
}
