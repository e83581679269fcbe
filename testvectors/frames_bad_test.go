package testvectors_test

// badFrame is type and body of what does not decode.
type badFrame struct {
	name string
	body []byte
	err  string
}

// badFrames has one failure each: everything before the broken place is good.
func badFrames() []badFrame {
	head := wireOf(mutation("key"))
	create := func(rest ...[]byte) []byte { return join([]byte{0x02}, head, join(rest...)) }
	configure := func(changes []byte) []byte { return join([]byte{0x03}, head, opaque(changes), someSig) }
	deliver := func(entries []byte) []byte { return join([]byte{0x45}, u64(3), opaque(entries), here.chain) }
	entry := func(envelope []byte) []byte { return join(u64(42), []byte{1, 0}, opaque(nil), opaque(envelope)) }
	admin, reader := opaque(keyA), opaque(keyB)
	many := func(n int, b []byte) (out []byte) {
		for range n {
			out = append(out, b...)
		}
		return out
	}
	afterReaders := join(u16(30), someSig)
	return []badFrame{
		{"a frame of no bytes", nil, "empty"},
		{"type 0x00", []byte{0x00}, "unknown_type"},
		{"type 0x40", []byte{0x40, 1, 2, 3}, "unknown_type"},
		{"type 0x7f", []byte{0x7f}, "unknown_type"},
		{"a type that a session passes over, but that is no frame", []byte{0x80}, "unknown_type"},
		{"PING without its value", []byte{0x0d}, "truncated"},
		{"PING with seven bytes", join([]byte{0x0d}, make([]byte, 7)), "truncated"},
		{"PING with nine bytes", join([]byte{0x0d}, make([]byte, 9)), "trailing"},
		{"a varint of two bytes for 32", create([]byte{0x40, 0x20}, keyA, []byte{0, 0}, reader, afterReaders), "varint_not_shortest"},
		{"a varint of four bytes for 32", create([]byte{0x80, 0, 0, 0x20}, keyA, []byte{0, 0}, reader, afterReaders), "varint_not_shortest"},
		{"a varint with the prefix 11", create([]byte{0xc0}, keyA, []byte{0, 0}, reader, afterReaders), "varint_reserved"},
		{"a vector of a gigabyte that is not there", create([]byte{0xbf, 0xff, 0xff, 0xff}), "truncated"},
		{"a key cut by its vector's end", create(opaque(keyA[:31]), []byte{0, 0}, reader, afterReaders), "truncated"},
		{"a second key cut by its vector's end", create(opaque(join(keyA, keyB[:1])), []byte{0, 0}, reader, afterReaders), "truncated"},
		{"an optional that begins with 2", create(admin, []byte{2}, keyC, []byte{0}, reader, afterReaders), "not_a_bool"},
		{"17 admins", create(opaque(many(17, keyA)), []byte{0, 0}, reader, afterReaders), "too_many"},
		{"65 readers", create(admin, []byte{0, 0}, opaque(many(65, keyB)), afterReaders), "too_many"},
		{"CREATE and a byte more", create(admin, []byte{0, 0}, reader, afterReaders, []byte{0}), "trailing"},
		{"65 changes", configure(many(65, []byte{77, 0})), "too_many"},
		{"a change without a body", configure([]byte{7}), "truncated"},
		{"a boolean that is 2", configure([]byte{7, 1, 2}), "not_a_bool"},
		{"a boolean and a byte more", configure([]byte{7, 2, 1, 0}), "trailing"},
		{"101 tickets", join([]byte{0x06}, head, none.bytes(), keyB, opaque(many(101, keyC)), []byte{0}, opaque(nil), opaque(someEnvelope), someSig), "too_many"},
		{"17 admins in a COMMIT", join([]byte{0x06}, head, none.bytes(), keyB, opaque(nil), []byte{1}, opaque(many(17, keyC)), keyC, someSig,
			opaque(nil), opaque(someEnvelope), someSig), "too_many"},
		{"5 blobs in a COMMIT", join([]byte{0x06}, head, none.bytes(), keyB, opaque(nil), []byte{0}, opaque(many(5, someBlob)),
			opaque(someEnvelope), someSig), "too_many"},
		{"5 blobs in an entry", deliver(join(u64(42), []byte{2, 0}, opaque(many(5, someBlob)), opaque(someEnvelope))), "too_many"},
		{"a BLOB that is complete with 2", join([]byte{0x4e}, u64(7), u64(512), []byte{2}), "not_a_bool"},
		{"an entry with an envelope of 511 bytes", deliver(entry(someEnvelope[:511])), "entry_size"},
		{"an entry with an empty envelope", deliver(entry(nil)), "entry_size"},
		{"an entry cut by its vector's end", deliver(entry(someEnvelope)[:100]), "truncated"},
		{"a refusal whose optional position begins with 255", join([]byte{0x43}, u64(7), u16(3), []byte{255}, here.bytes(), []byte{0}, u32(0)), "not_a_bool"},
	}
}
