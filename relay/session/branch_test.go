package session

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// oneWay is a stream from one end to the other, all of whose bytes are kept.
type oneWay struct{ bytes.Buffer }

func (*oneWay) Close() error { return nil }

func branchBytes(t *testing.T, s *Session, key relay.StreamKey, frames ...relay.Frame) []byte {
	t.Helper()
	w := new(oneWay)
	if err := s.Send(w, key).WriteFrames(frames...); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

func TestBranchCarriesFrames(t *testing.T) {
	a, b := net.Pipe()
	client, server := pair(t, a, b)
	key := relay.StreamKey{1, 2, 3}
	sent := branchBytes(t, server, key, &relay.End{Attachment: 7}, &relay.Detached{Attachment: 7})
	r := client.Receive(&oneWay{*bytes.NewBuffer(sent)}, key)
	for _, want := range []relay.FrameType{relay.TypeEnd, relay.TypeDetached} {
		f, err := r.ReadFrame()
		if err != nil || f.Type() != want {
			t.Fatalf("%v, %v; want type %#x", f, err, want)
		}
	}
	if _, err := r.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last frame: %v", err)
	}
}

// TestQ09_BranchTampered: a branch that is altered, opened with another key, or replayed from
// its second record on does not open; a frame of the client's in it is refused.
func TestQ09_BranchTampered(t *testing.T) {
	a, b := net.Pipe()
	client, server := pair(t, a, b)
	key := relay.StreamKey{1, 2, 3}
	first := branchBytes(t, server, key, &relay.End{Attachment: 7})
	flipped := bytes.Clone(first)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		bytes []byte
		key   relay.StreamKey
		want  error
	}{
		"altered":     {flipped, key, ErrRecord},
		"another key": {first, relay.StreamKey{1, 2, 4}, ErrRecord},
		"cut":         {first[:len(first)-1], key, io.ErrUnexpectedEOF},
		"client's":    {branchBytes(t, server, key, &relay.Ping{}), key, ErrUnexpected},
	} {
		if _, err := client.Receive(&oneWay{*bytes.NewBuffer(c.bytes)}, c.key).ReadFrame(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	r := client.Receive(&oneWay{*bytes.NewBuffer(append(bytes.Clone(first), first...))}, key)
	if _, err := r.ReadFrame(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadFrame(); !errors.Is(err, ErrRecord) {
		t.Errorf("the same record again: %v", err)
	}
}

// TestFeatures: the server knows what the client takes, and nothing that it did not say.
func TestFeatures(t *testing.T) {
	for _, h := range []struct {
		extensions []extension
		want       bool
	}{
		{nil, false},
		{[]extension{{kind: 1}}, true},
		{[]extension{{kind: 9, data: []byte("later")}, {kind: 1}}, true},
		{[]extension{{kind: 1, data: []byte{0}}}, false},
	} {
		s := &Session{features: (&clientHello{extensions: h.extensions}).features()}
		if s.Takes(FeatureStreams) != h.want {
			t.Errorf("%v: takes streams is %v", h.extensions, !h.want)
		}
	}
}
