package testvectors_test

// longestExtension is the data of an extension that makes record 1 as long as it may be, 4,096
// bytes: less an ephemeral key, a tag, versions, max_frame and the lengths.
const longestExtension = 4096 - 32 - 16 - 3 - 4 - 2 - 2 - 2

// badSessions end in an error at one end, which is the only end that must run.
func badSessions() []object {
	ping, pong := framed(0x0d, u64(1)), framed(0x4a, u64(1))
	var cases []object
	refused := func(name, at, class string, s *noiseSession) {
		cases = append(cases, s.vector(name, member{"at", at}, member{"error", class}))
	}
	start := func(name string) *noiseSession { return newNoiseSession(name).first().second() }

	s := newNoiseSession("bad 1").first()
	refused("record 1 altered", "server", "handshake", s.raw("client", flipped(s.last(), -1)))
	s = newNoiseSession("bad 2").first()
	refused("record 1 with another ephemeral key", "server", "handshake", s.raw("client", flipped(s.last(), 2)))
	s = newNoiseSession("bad 3")
	honest := s.relay
	s.relay = xPair("another relay")
	s.first()
	s.relay = honest
	refused("record 1 for another relay", "server", "handshake", s)
	s = newNoiseSession("bad 4")
	s.client.public = make([]byte, 32)
	refused("an ephemeral key of low order, under which everybody knows the keys", "server", "handshake", s.first())
	s = newNoiseSession("bad 5").first()
	hello := s.clientHello
	s.records = nil
	refused("a hello with a byte more", "server", "handshake", s.firstWith(append(hello, 0)))
	s = newNoiseSession("bad 6")
	s.extensions = []extensionOf{{77, make([]byte, longestExtension+1)}}
	refused("record 1 of 4,097 bytes", "server", "handshake", s.first())
	s = newNoiseSession("bad 7")
	s.versions = []uint16{2, 3}
	refused("no version in common", "server", "version", s.first())
	s = newNoiseSession("bad 8")
	s.clientMax = 576<<10 - 1
	refused("a max_frame that holds no envelope", "server", "version", s.first())

	s = start("bad 9")
	refused("record 2 altered", "client", "handshake", s.raw("server", flipped(s.last(), -1)))
	s = newNoiseSession("bad 10")
	s.version = 0
	refused("a server without a version in common", "client", "version", s.first().second())
	s = newNoiseSession("bad 11")
	s.version = 2
	refused("a server that chose what was not offered", "client", "version", s.first().second())
	s = newNoiseSession("bad 12")
	s.serverMax = 640<<10 - 1
	refused("a server's max_frame that holds no COMMIT", "client", "version", s.first().second())
	s = newNoiseSession("bad 13")
	s.relay.public = make([]byte, 32)
	refused("a relay key of low order", "client", "handshake", s)

	s = start("bad 14").send("client", ping)
	refused("a record altered", "server", "record", s.raw("client", flipped(s.last(), -1)))
	s = start("bad 15").send("client", ping)
	again := s.last()
	refused("a record twice", "server", "record", s.raw("client", again).raw("client", again))
	s = start("bad 16").send("client", ping).send("client", ping)
	s.records = append(s.records[:2], s.records[3])
	refused("a record left out", "server", "record", s)
	s = start("bad 17").send("server", pong)
	refused("the server's record sent back to it", "server", "record", s.raw("client", s.last()))
	refused("a record without plaintext", "server", "record", start("bad 18").send("client"))
	refused("a record of no bytes", "server", "record", start("bad 19").raw("client", u16(0)))
	s = start("bad 20").send("client", ping)
	refused("a record cut short", "server", "cut", s.raw("client", s.last()[:20]))
	refused("a frame cut short between two records", "server", "cut", start("bad 21").send("client", ping[:7]))

	refused("a frame of the server", "server", "unexpected", start("bad 22").send("client", pong))
	refused("a frame of the client", "client", "unexpected", start("bad 23").send("server", ping))
	refused("an unknown type below 0x80", "server", "unexpected", start("bad 24").send("client", framed(0x3f)))
	refused("a frame of no bytes", "server", "malformed", start("bad 25").send("client", u32(0)))
	refused("a frame that does not decode", "server", "malformed", start("bad 26").send("client", framed(0x0d, []byte{1, 2, 3})))
	refused("a frame longer than the server's max_frame", "server", "frame_too_large", start("bad 27").send("client", u32(640<<10+1), []byte{0x05}))
	refused("a frame longer than the client's max_frame", "client", "frame_too_large", start("bad 28").send("server", u32(1<<20+1), []byte{0x45}))
	return cases
}
