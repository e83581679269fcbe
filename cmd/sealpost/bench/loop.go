package bench

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"

	"github.com/sealpost/sealpost/relay/relayclient"
)

// fanLoop is the floor under a fan-out: what one connection sends goes to all others, in a
// loop over bare TLS, one write each. A connection says with its first byte what it is.
type fanLoop struct {
	mu      sync.Mutex
	readers []net.Conn // guarded by mu
}

const (
	loopReader = 'r'
	loopWriter = 'w'
)

func (f *fanLoop) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go f.take(conn)
	}
}

func (f *fanLoop) take(conn net.Conn) {
	kind := make([]byte, 1)
	if _, err := io.ReadFull(conn, kind); err != nil {
		return
	}
	if kind[0] == loopReader {
		f.mu.Lock()
		f.readers = append(f.readers, conn)
		f.mu.Unlock()
		_, _ = conn.Write(kind) // now it is one of them
		return
	}
	message := make([]byte, envelopeSize)
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		f.mu.Lock()
		for _, r := range f.readers {
			_, _ = r.Write(message)
		}
		f.mu.Unlock()
	}
}

// fan opens so many readers of the loop, sends the messages, and returns how long each took
// to reach the last reader.
func (l *echoClients) fan(ctx context.Context, messages, readers int) (loadDone, error) {
	round := newRounds(readers)
	err := atOnce(dialsAtOnce, readers, func(i int) error {
		conn, err := l.join(ctx, i, loopReader)
		if err != nil {
			return err
		}
		buffer := make([]byte, envelopeSize)
		if _, err := io.ReadFull(conn, buffer[:1]); err != nil {
			return err
		}
		go func() {
			for {
				_, err := io.ReadFull(conn, buffer)
				round.arrived(err)
				if err != nil {
					return
				}
			}
		}()
		return nil
	})
	if err != nil {
		return loadDone{}, err
	}
	writer, err := l.join(ctx, readers, loopWriter)
	if err != nil {
		return loadDone{}, err
	}
	return round.measure(messages, func() error {
		_, err := writer.Write(make([]byte, envelopeSize))
		return err
	})
}

func (l *echoClients) join(ctx context.Context, n int, kind byte) (net.Conn, error) {
	opt := from(n, relayclient.WebSocket)
	dial := opt.DialNet
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", l.counts.Loop)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, l.trust())
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	l.keep(conn)
	_, err = conn.Write([]byte{kind})
	return conn, err
}
