package testvectors_test

import (
	"bytes"
	"testing"
)

// Signatures of relay/PROTOCOL.md section 5.1.

var (
	relayKey  = xPair("relay").public
	handshake = random("handshake hash", 32)
)

// signing is one signature of a frame and what it is over.
type signing struct {
	purpose                string
	by                     pair
	digest, signed, result []byte
}

func signFor(purpose string, by pair, handshake, queue, digest []byte) signing {
	signed := join(opaque([]byte("sealpost relay 1 "+purpose)), handshake, queue, digest)
	return signing{purpose, by, digest, signed, by.sign(signed)}
}

// good signs for the session and queue of the vectors.
func good(purpose string, by pair, digest []byte) signing {
	return signFor(purpose, by, handshake, someQueue, digest)
}

func leaving(by pair, relayKey []byte) signing {
	signed := join(opaque([]byte("sealpost leave 1")), relayKey, someQueue, by.public)
	return signing{"leave", by, nil, signed, by.sign(signed)}
}

// closing is the statement of a DELETE, which the log shows.
func closing(by pair, relayKey []byte) signing {
	signed := join(opaque([]byte("sealpost closed 1")), relayKey, someQueue)
	return signing{"closed", by, nil, signed, by.sign(signed)}
}

// framed adds length and type.
func framed(typ uint8, body ...[]byte) []byte {
	b := join(body...)
	return join(u32(uint32(1+len(b))), []byte{typ}, b)
}

// boundTo is what a frame's signatures hold for: a LEAVE's for a relay, a DELETE's for a relay and a
// session, all others for a session.
func boundTo(frame []byte) []member {
	switch frame[4] {
	case 0x04:
		return []member{{"relay_key", relayKey}}
	case 0x0c:
		return []member{{"relay_key", relayKey}, {"handshake_hash", handshake}}
	}
	return []member{{"handshake_hash", handshake}}
}

// bound begins a case.
func bound(name string, frame []byte) object {
	return append(append(object{{"name", name}}, boundTo(frame)...), member{"frame", frame})
}

// proofCase is a signed frame; fields are those that a retry must repeat, nil for PROVE.
func proofCase(name string, typ uint8, frame, fields []byte, signatures ...signing) object {
	c := bound(name, frame)
	if fields != nil {
		c = append(c, member{"mutation_digest", hash([]byte{typ}, fields)})
	}
	list := make([]object, len(signatures))
	for i, s := range signatures {
		list[i] = object{{"purpose", s.purpose}, {"seed", s.by.seed}, {"key", s.by.public}, {"digest", s.digest},
			{"signed", s.signed}, {"signature", s.result}}
		if s.digest == nil {
			list[i] = append(list[i][:3:3], list[i][4:]...)
		}
	}
	return append(c, member{"signatures", list})
}

func badProof(name, err string, frame []byte) object {
	return append(bound(name, frame), member{"error", err})
}

// simple is a mutation with one signature at its end.
func simple(name, purpose string, typ uint8, by pair, rest ...[]byte) object {
	fields := join(someIdem, someQueue, by.public, join(rest...))
	s := good(purpose, by, hash(fields))
	return proofCase(name, typ, framed(typ, u64(7), fields, s.result), fields, s)
}

func prove(purpose uint8, key, queue, signature []byte) []byte {
	return framed(0x01, u64(1), []byte{purpose}, queue, key, signature)
}

func proofVectors(*testing.T) []object {
	a, b := keyPair("a"), keyPair("b")
	read, write := good("read", a, hash(a.public)), good("write", a, hash(a.public))
	envelope := opaque(someEnvelope)
	rekeyFields := join(someIdem, someQueue, a.public, b.public)
	ticket, reader := good("rekey", a, hash(rekeyFields)), good("rekey", b, hash(rekeyFields))
	leave, leaveFields := leaving(a, relayKey), join(someIdem, someQueue, a.public)
	closed, deletes := closing(a, relayKey), good("delete", a, hash(leaveFields)) // its fields are those of the LEAVE
	cases := []object{
		proofCase("PROVE read", 0x01, prove(1, a.public, someQueue, read.result), nil, read),
		proofCase("PROVE write", 0x01, prove(2, a.public, someQueue, write.result), nil, write),
		simple("CREATE", "create", 0x02, a, opaque(a.public), []byte{1}, keyC, []byte{0}, opaque(b.public), u16(30)),
		simple("CONFIGURE", "configure", 0x03, a, opaque(change(1, fixed("key", keyC)).wire)),
		proofCase("LEAVE", 0x04, framed(0x04, u64(7), leaveFields, leave.result), leaveFields, leave),
		simple("COMMIT", "commit", 0x06, a, here.bytes(), keyC, opaque(nil), []byte{0}, opaque(someBlob), envelope),
		commitProof(a, b),
		proofCase("REKEY by ticket and reader", 0x0a, framed(0x0a, u64(7), rekeyFields, ticket.result, reader.result), rekeyFields, ticket, reader),
		simple("KNOCK", "knock", 0x0b, a, []byte{0}, envelope),
		proofCase("DELETE", 0x0c, framed(0x0c, u64(7), leaveFields, closed.result, deletes.result), leaveFields, closed, deletes),
	}
	return append(append(cases, badProofs(a, b)...), smallOrderProofs()...)
}

// commitWith is a COMMIT that changes the admins: the fields under its signature, which leave
// the admin's out, and the frame.
func commitWith(reader, admin pair, reads, admins signing) (fields, frame []byte) {
	before := join(someIdem, someQueue, reader.public, here.bytes(), keyC, opaque(keyB), []byte{1}, opaque(admin.public), admin.public)
	rest := join(opaque(nil), opaque(someEnvelope))
	return join(before, rest), framed(0x06, u64(7), before, admins.result, rest, reads.result)
}

func commitProof(reader, admin pair) object {
	admins := good("admins", admin, hash(opaque(admin.public), someIdem))
	fields, _ := commitWith(reader, admin, signing{}, signing{})
	commit := good("commit", reader, hash(fields))
	_, frame := commitWith(reader, admin, commit, admins)
	return proofCase("COMMIT with a change of admins", 0x06, frame, fields, admins, commit)
}

func badProofs(a, b pair) []object {
	digest := hash(a.public)
	read := good("read", a, digest)
	malleable := bytes.Clone(read.result)
	addOrder(malleable[32:])
	deleteFields, rekeyFields := join(someIdem, someQueue, a.public), join(someIdem, someQueue, a.public, b.public)
	closed, deletes := closing(a, relayKey), good("delete", a, hash(deleteFields))
	ticket, reader := good("rekey", a, hash(rekeyFields)), good("rekey", b, hash(rekeyFields))
	commitFields, _ := commitWith(a, b, signing{}, signing{})
	commit := good("commit", a, hash(commitFields))
	_, byReader := commitWith(a, b, commit, good("admins", a, hash(opaque(b.public), someIdem)))
	_, otherIdem := commitWith(a, b, commit, good("admins", b, hash(opaque(b.public), random("another idem", 16))))
	prover := func(s signing) []byte { return prove(1, a.public, someQueue, s.result) }
	return []object{
		badProof("signed for another session", "bad_proof", prover(signFor("read", a, random("another session", 32), someQueue, digest))),
		badProof("signed for another queue", "bad_proof", prover(signFor("read", a, handshake, random("another queue", 32), digest))),
		badProof("signed for another purpose", "bad_proof", prover(good("write", a, digest))),
		badProof("signed by another key", "bad_proof", prover(signing{result: b.sign(read.signed)})),
		badProof("a bit of R changed", "bad_proof", prover(signing{result: flipped(read.result, 0)})),
		badProof("a bit of S changed", "bad_proof", prover(signing{result: flipped(read.result, 32)})),
		badProof("S above the group's order", "bad_proof", prover(signing{result: malleable})),
		badProof("no signature", "bad_proof", prover(signing{result: make([]byte, 64)})),
		badProof("an unknown purpose of PROVE", "malformed", prove(3, a.public, someQueue, read.result)),
		badProof("DELETE signed as CONFIGURE", "bad_proof", framed(0x0c, u64(7), deleteFields, closed.result, good("configure", a, hash(deleteFields)).result)),
		badProof("DELETE over the digest that retries are compared by", "bad_proof",
			framed(0x0c, u64(7), deleteFields, closed.result, good("delete", a, hash([]byte{0x0c}, deleteFields)).result)),
		badProof("DELETE with the statement of another relay", "bad_proof", framed(0x0c, u64(7), deleteFields, closing(a, random("another relay", 32)).result, deletes.result)),
		badProof("DELETE with the statement of another key", "bad_proof", framed(0x0c, u64(7), deleteFields, closing(b, relayKey).result, deletes.result)),
		badProof("LEAVE for another relay", "bad_proof", framed(0x04, u64(7), deleteFields, leaving(a, random("another relay", 32)).result)),
		badProof("LEAVE bound to a session", "bad_proof", framed(0x04, u64(7), deleteFields, good("leave", a, hash(deleteFields)).result)),
		badProof("REKEY without the reader's signature", "bad_proof", framed(0x0a, u64(7), rekeyFields, ticket.result, ticket.result)),
		badProof("REKEY without the ticket's signature", "bad_proof", framed(0x0a, u64(7), rekeyFields, reader.result, reader.result)),
		badProof("COMMIT whose change of admins its reader signed", "bad_proof", byReader),
		badProof("COMMIT with the change of admins of another COMMIT", "bad_proof", otherIdem),
	}
}
