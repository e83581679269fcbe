package testvectors_test

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

const prologue = "sealpost relay session 1"

// xPair is an X25519 key pair.
func xPair(name string) pair {
	private := random("x25519 "+name, 32)
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		panic(err) // every 32 bytes are a key
	}
	return pair{private, k.PublicKey().Bytes()}
}

// dh is X25519; a public key of low order gives zeros.
func dh(private, public []byte) []byte {
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		panic(err)
	}
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	shared, err := k.ECDH(p)
	if err != nil {
		return make([]byte, 32)
	}
	return shared
}

// symmetric is the symmetric state of Noise revision 34, section 5.2, with SHA-256 and
// ChaCha20-Poly1305.
type symmetric struct{ ck, h, k []byte }

func (s *symmetric) mixHash(data []byte) { s.h = hash(s.h, data) }

func (s *symmetric) mixKey(ikm []byte) { s.ck, s.k = twoKeys(s.ck, ikm) }

// encryptAndHash is used once for each key here, so its nonce is always zero.
func (s *symmetric) encryptAndHash(plain []byte) []byte {
	out := seal(s.k, 0, s.h, plain)
	s.mixHash(out)
	return out
}

// twoKeys is Noise's HKDF, which is RFC 5869 without info.
func twoKeys(salt, ikm []byte) (one, two []byte) {
	out, err := hkdf.Key(sha256.New, ikm, salt, "", 64)
	if err != nil {
		panic(err) // 64 bytes are within HKDF's bound
	}
	return out[:32], out[32:]
}

func seal(key []byte, n uint64, aad, plain []byte) []byte {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err) // keys have 32 bytes
	}
	return aead.Seal(nil, binary.LittleEndian.AppendUint64(make([]byte, 4), n), plain, aad)
}

// extensionOf is an extension of a hello.
type extensionOf struct {
	typ  uint16
	data []byte
}

// noiseSession makes one session's records: NK, with the relay's key as the responder's.
type noiseSession struct {
	relay, client, server pair // static, and both ephemerals
	incarnation           []byte

	versions                 []uint16
	clientMax                uint32
	extensions               []extensionOf
	version                  uint16
	serverMax                uint32
	state                    symmetric
	clientHello, serverHello []byte
	keys                     map[string][]byte
	count                    map[string]uint64
	records                  []object
}

func newNoiseSession(name string) *noiseSession {
	return &noiseSession{
		relay: xPair("relay"), client: xPair(name + ", client"), server: xPair(name + ", server"),
		incarnation: random("incarnation", 16),
		versions:    []uint16{1}, clientMax: 1 << 20, version: 1, serverMax: 640 << 10,
		count: map[string]uint64{},
	}
}

// first makes record 1: e, es and the client's hello.
func (s *noiseSession) first() *noiseSession {
	var versions, extensions []byte
	for _, v := range s.versions {
		versions = append(versions, u16(v)...)
	}
	for _, e := range s.extensions {
		extensions = append(extensions, join(u16(e.typ), opaque(e.data))...)
	}
	s.clientHello = join(opaque(versions), u32(s.clientMax), opaque(extensions))
	return s.firstWith(s.clientHello)
}

func (s *noiseSession) firstWith(hello []byte) *noiseSession {
	name := []byte("Noise_NK_25519_ChaChaPoly_SHA256") // 32 bytes, so it is h itself
	s.state = symmetric{ck: name, h: name}
	s.state.mixHash([]byte(prologue))
	s.state.mixHash(s.relay.public)
	s.state.mixHash(s.client.public)
	s.state.mixKey(dh(s.relay.seed, s.client.public))
	s.add("client", hello, join(s.client.public, s.state.encryptAndHash(hello)))
	return s
}

// second makes record 2: e, ee and the server's hello; then both directions have a key.
func (s *noiseSession) second() *noiseSession {
	s.serverHello = join(u16(s.version), u32(s.serverMax), s.incarnation, opaque(nil))
	s.state.mixHash(s.server.public)
	s.state.mixKey(dh(s.server.seed, s.client.public))
	s.add("server", s.serverHello, join(s.server.public, s.state.encryptAndHash(s.serverHello)))
	s.keys = map[string][]byte{}
	s.keys["client"], s.keys["server"] = twoKeys(s.state.ck, nil)
	return s
}

func (s *noiseSession) add(from string, plain, record []byte) {
	s.records = append(s.records, object{{"from", from}, {"plaintext", plain}, {"record", join(u16(uint16(len(record))), record)}})
}

// send seals one record.
func (s *noiseSession) send(from string, plain ...[]byte) *noiseSession {
	p := join(plain...)
	s.add(from, p, seal(s.keys[from], s.count[from], nil, p))
	s.count[from]++
	return s
}

// raw adds a record as it is, with its length.
func (s *noiseSession) raw(from string, record []byte) *noiseSession {
	s.records = append(s.records, object{{"from", from}, {"record", record}})
	return s
}

// last takes the newest record back and returns it.
func (s *noiseSession) last() []byte {
	n := len(s.records) - 1
	record := s.records[n][2].value.([]byte)
	s.records = s.records[:n]
	return record
}

func (s *noiseSession) vector(name string, rest ...member) object {
	extensions := []object{}
	for _, e := range s.extensions {
		extensions = append(extensions, object{{"type", e.typ}, {"data", e.data}})
	}
	v := object{
		{"name", name}, {"prologue", prologue}, {"relay_private", s.relay.seed}, {"relay_key", s.relay.public},
		{"client_ephemeral", s.client.seed}, {"server_ephemeral", s.server.seed},
		{"client_hello", object{{"versions", s.versions}, {"max_frame", s.clientMax}, {"extensions", extensions}}},
		{"server_hello", object{{"version", s.version}, {"max_frame", s.serverMax}, {"incarnation", s.incarnation}, {"extensions", []object{}}}},
	}
	if rest == nil {
		v = append(v, member{"handshake_hash", s.state.h})
	}
	return append(append(v, member{"records", append([]object{}, s.records...)}), rest...)
}

func noiseVectors(*testing.T) []object {
	ping, pong := framed(0x0d, u64(1)), framed(0x4a, u64(1))
	both := newNoiseSession("both ways").first().second()
	both.send("client", ping).send("server", pong)
	client, server := clientFrames(), serverFrames()
	both.send("client", client[0].bytes(), client[2].bytes()) // two frames in a record
	message := client[13].bytes()
	both.send("client", message[:3]).send("client", message[3:300]).send("client", message[300:], ping) // a frame in three
	both.send("server", server[0].bytes(), server[1].bytes()[:30]).send("server", server[1].bytes()[30:], pong)
	later := newNoiseSession("later")
	later.versions, later.extensions = []uint16{9, 1}, []extensionOf{{77, []byte("later")}, {78, nil}}
	later.first().second().send("client", ping).send("server", pong)
	longest := newNoiseSession("longest")
	longest.extensions = []extensionOf{{77, make([]byte, longestExtension)}}
	longest.first().second().send("client", ping)
	unknown := newNoiseSession("unknown frames").first().second()
	unknown.send("client", framed(0x80), framed(0xff, random("unknown", 40)), ping)
	unknown.send("server", framed(0x9a, []byte("later")), pong)
	branches := newNoiseSession("branches")
	branches.extensions = []extensionOf{{1, nil}}
	branches.first().second().send("client", ping).send("server", pong)
	cases := []object{
		branches.vector("a client that takes branches"),
		newNoiseSession("handshake").first().second().vector("the handshake alone"),
		both.vector("frames in both directions, joined and cut as their sender likes"),
		later.vector("a client of a later version, with extensions that nobody knows"),
		longest.vector("the longest hello, in a record of 4,096 bytes"),
		unknown.vector("frames of unknown types from 0x80 are passed over"),
	}
	return append(cases, badSessions()...)
}
