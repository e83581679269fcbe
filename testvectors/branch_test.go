package testvectors_test

import "testing"

// Branches: relay/PROTOCOL.md section 4.1.

// branch seals records under the key of a STREAM, the nonces counting from 0.
func branch(key []byte, plain ...[]byte) []object {
	records := []object{}
	for i, p := range plain {
		sealed := seal(key, uint64(i), nil, p)
		records = append(records, object{{"from", "server"}, {"plaintext", p}, {"record", join(u16(uint16(len(sealed))), sealed)}})
	}
	return records
}

func branchVectors(*testing.T) []object {
	key := random("branch key", 32)
	pong := framed(0x4a, u64(1))
	var deliver []byte
	for _, f := range serverFrames() {
		if f.typ == 0x45 {
			deliver = f.bytes() // the last of them, with entries
		}
	}
	vector := func(name string, records []object, rest ...member) object {
		return append(object{{"name", name}, {"key", key}, {"records", records}}, rest...)
	}
	refused := func(name, class string, records []object) object {
		return vector(name, records, member{"error", class})
	}
	two := branch(key, pong, pong)
	altered := branch(key, pong)
	altered[0][2].value = flipped(altered[0][2].value.([]byte), -1)
	return []object{
		vector("an entry in three records", branch(key, deliver[:100], deliver[100:1000], join(deliver[1000:], framed(0x48, u64(3), []byte{1})))),
		vector("a frame of an unknown type", branch(key, join(framed(0x90, []byte("later")), pong))),
		refused("a record altered", "record", altered),
		refused("a record twice", "record", []object{two[0], two[0]}),
		refused("a record left out", "record", two[1:]),
		refused("the key of another branch", "record", branch(random("another branch key", 32), pong)),
		refused("a frame of the client", "unexpected", branch(key, framed(0x0d, u64(1)))),
		refused("cut within a frame", "cut", branch(key, deliver[:100])),
	}
}
