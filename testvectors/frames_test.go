package testvectors_test

import "testing"

// A frame of the relay's protocol: relay/PROTOCOL.md sections 6 and 7. Whoever adds a frame
// type adds a row here, and go generate does the rest.
type frame struct {
	name    string // what is special about it
	kind    string
	typ     uint8
	fields  []field
	refused string // for what decodes, and no queue takes it
}

func (f frame) bytes() []byte {
	body := append([]byte{f.typ}, wireOf(f.fields)...)
	return join(u32(uint32(len(body))), body)
}

// Values that many frames share.
var (
	someQueue    = random("queue", 32)
	someIdem     = random("idem", 16)
	someSig      = random("signature", 64)
	someEnvelope = random("envelope", 512)
	keyA         = keyPair("a").public
	keyB         = keyPair("b").public
	keyC         = keyPair("c").public
	someBlob     = hash([]byte("a blob"))
	otherBlob    = hash([]byte("another blob"))
	someSignal   = random("signal", 256)
	here         = position{random("incarnation", 16), 41, random("chain", 32)}
)

// mutation is how the fields of every mutation begin; key is what the frame calls it.
func mutation(key string, rest ...field) []field {
	head := []field{
		number("request", uint64(7)), fixed("idem", someIdem), fixed("queue", someQueue), fixed(key, keyA),
	}
	return append(head, rest...)
}

func change(typ uint8, body ...field) field {
	return field{"", join([]byte{typ}, opaque(wireOf(body))), append(object{{"type", typ}}, valuesOf(body)...)}
}

func signature(name string) field { return fixed(name, someSig) }

func clientFrames() []frame {
	envelope := vector("envelope", someEnvelope)
	return []frame{
		{"read", "PROVE", 0x01, []field{number("request", uint64(1)), number("purpose", uint8(1)),
			fixed("queue", someQueue), fixed("key", keyA), signature("signature")}, ""},
		{"write", "PROVE", 0x01, []field{number("request", uint64(1)<<40), number("purpose", uint8(2)),
			fixed("queue", someQueue), fixed("key", keyA), signature("signature")}, ""},
		{"an inbox", "CREATE", 0x02, mutation("key", keys("admins", keyA), absent("writer"),
			present(fixed("request_writer", keyB)), keys("readers", keyC), number("retention_days", uint16(0)), signature("signature")), ""},
		{"a group", "CREATE", 0x02, mutation("key", keys("admins", keyB, keyA), present(fixed("writer", keyC)),
			absent("request_writer"), keys("readers", keyB, keyC), number("retention_days", uint16(90)), signature("signature")), ""},
		{"the key is no admin", "CREATE", 0x02, mutation("key", keys("admins", keyB), absent("writer"),
			absent("request_writer"), keys("readers", keyB), number("retention_days", uint16(30)), signature("signature")), "malformed"},
		{"91 days", "CREATE", 0x02, mutation("key", keys("admins", keyA), absent("writer"),
			absent("request_writer"), keys("readers", keyB), number("retention_days", uint16(91)), signature("signature")), "malformed"},
		{"a reader twice", "CREATE", 0x02, mutation("key", keys("admins", keyA), absent("writer"),
			absent("request_writer"), keys("readers", keyB, keyB), number("retention_days", uint16(30)), signature("signature")), "malformed"},
		{"no reader", "CREATE", 0x02, mutation("key", keys("admins", keyA), absent("writer"),
			absent("request_writer"), keys("readers"), number("retention_days", uint16(30)), signature("signature")), "malformed"},
		{"every change", "CONFIGURE", 0x03, mutation("key", list("changes",
			change(1, fixed("key", keyB)), change(2, fixed("key", keyB)), change(3, fixed("key", keyC)), change(4, fixed("key", keyC)),
			change(5, present(fixed("key", keyC))), change(5, absent("key")), change(6, keys("keys", keyA, keyB)),
			change(7, boolean("on", true)), change(8, number("days", uint16(7))), change(9, vector("handle", []byte("sealed"))),
			change(10, number("max_entries", uint32(1000)), number("max_bytes", uint64(1)<<40))), signature("signature")), ""},
		{"a change of a later version", "CONFIGURE", 0x03, mutation("key", list("changes",
			change(77, fixed("body", []byte("later")))), signature("signature")), "malformed"},
		{"no change", "CONFIGURE", 0x03, mutation("key", list("changes"), signature("signature")), "malformed"},
		{"a wake handle of 513 bytes", "CONFIGURE", 0x03, mutation("key", list("changes",
			change(9, vector("handle", random("handle", 513)))), signature("signature")), "too_large"},
		{"deposited", "LEAVE", 0x04, mutation("reader", signature("signature")), ""},
		{"a message", "APPEND", 0x05, mutation("writer", absent("reader"), envelope), ""},
		{"under named writing", "APPEND", 0x05, mutation("writer", present(fixed("reader", keyB)), envelope), ""},
		{"an envelope of 600 bytes", "APPEND", 0x05, mutation("writer", absent("reader"),
			vector("envelope", random("600", 600))), "malformed"},
		{"the first", "COMMIT", 0x06, mutation("reader", none.field("expect"), fixed("next_writer", keyB), keys("tickets"),
			absent("admins"), keys("blobs"), envelope, signature("signature")), ""},
		{"with tickets, admins and blobs", "COMMIT", 0x06, mutation("reader", here.field("expect"), fixed("next_writer", keyB),
			keys("tickets", keyB, keyC), present(nested("admins", keys("admins", keyB, keyC), fixed("key", keyC), signature("signature"))),
			keys("blobs", someBlob, otherBlob), envelope, signature("signature")), ""},
		{"a ticket twice", "COMMIT", 0x06, mutation("reader", here.field("expect"), fixed("next_writer", keyB),
			keys("tickets", keyB, keyB), absent("admins"), keys("blobs"), envelope, signature("signature")), "malformed"},
		{"a blob twice", "COMMIT", 0x06, mutation("reader", here.field("expect"), fixed("next_writer", keyB),
			keys("tickets"), absent("admins"), keys("blobs", someBlob, someBlob), envelope, signature("signature")), "malformed"},
		{"from the beginning", "ATTACH", 0x07, []field{number("request", uint64(9)), fixed("queue", someQueue),
			fixed("reader", keyA), absent("position"), number("window", uint32(1<<20))}, ""},
		{"after a position", "ATTACH", 0x07, []field{number("request", uint64(9)), fixed("queue", someQueue),
			fixed("reader", keyA), present(here.field("position")), number("window", uint32(0))}, ""},
		{"cumulative", "ACK", 0x08, []field{number("attachment", uint64(3)), number("seq", uint64(42))}, ""},
		{"asked", "DETACH", 0x09, []field{number("attachment", uint64(3))}, ""},
		{"a ticket becomes a reader", "REKEY", 0x0a, []field{number("request", uint64(7)), fixed("idem", someIdem),
			fixed("queue", someQueue), fixed("ticket", keyA), fixed("reader", keyB), signature("ticket_signature"),
			fixed("reader_signature", random("other signature", 64))}, ""},
		{"to the ticket itself", "REKEY", 0x0a, []field{number("request", uint64(7)), fixed("idem", someIdem),
			fixed("queue", someQueue), fixed("ticket", keyA), fixed("reader", keyA), signature("ticket_signature"),
			signature("reader_signature")}, "malformed"},
		{"a member asks", "KNOCK", 0x0b, mutation("reader", number("class", uint8(0)), envelope, signature("signature")), ""},
		{"a vote", "KNOCK", 0x0b, mutation("reader", number("class", uint8(1)), envelope, signature("signature")), ""},
		{"an unknown class", "KNOCK", 0x0b, mutation("reader", number("class", uint8(2)), envelope, signature("signature")), "malformed"},
		{"by an admin", "DELETE", 0x0c, mutation("key", signature("statement"), signature("signature")), ""},
		{"a value", "PING", 0x0d, []field{number("value", uint64(1)<<52+1)}, ""},
		{"sealed", "SIGNAL", 0x0e, []field{number("attachment", uint64(3)), fixed("sealed", someSignal)}, ""},
		{"a mebibyte for 30 days", "STORE_BLOB", 0x0f, storing(1<<20, 30), ""},
		{"of no bytes", "STORE_BLOB", 0x0f, storing(0, 30), "malformed"},
		{"91 days", "STORE_BLOB", 0x0f, storing(1<<20, 91), "malformed"},
		{"a part", "PUT_BLOB", 0x10, blobPart(vector("data", random("part", 600))), ""},
		{"a part of no bytes", "PUT_BLOB", 0x10, blobPart(vector("data", nil)), "malformed"},
		{"the longest part", "GET_BLOB", 0x11, blobPart(number("length", uint32(256<<10))), ""},
		{"a byte more", "GET_BLOB", 0x11, blobPart(number("length", uint32(256<<10+1))), "too_large"},
		{"no bytes", "GET_BLOB", 0x11, blobPart(number("length", uint32(0))), "malformed"},
	}
}

func storing(size uint64, days uint16) []field {
	return []field{number("request", uint64(7)), fixed("queue", someQueue), fixed("key", keyA), fixed("blob", someBlob),
		number("size", size), number("days", days)}
}

func blobPart(rest field) []field {
	return []field{number("request", uint64(7)), fixed("queue", someQueue), fixed("blob", someBlob), number("offset", uint64(1)<<18), rest}
}

func serverFrames() []frame {
	request, attachment := number("request", uint64(7)), number("attachment", uint64(3))
	refused := func(code uint16, position field, limit uint8, retry uint32) []field {
		return []field{request, number("code", code), position, number("limit", limit), number("retry_ms", retry)}
	}
	entry := func(seq uint64, kind uint8, reader field, envelope string, blobs ...[]byte) field {
		return nested("", number("seq", seq), number("kind", kind), reader, keys("blobs", blobs...), vector("envelope", random(envelope, 512)))
	}
	return []frame{
		{"the signature holds", "PROVED", 0x41, []field{request}, ""},
		{"on disk", "ACCEPTED", 0x42, []field{request, here.field("position")}, ""},
		{"UNKNOWN", "REFUSED", 0x43, refused(1, absent("position"), 0, 0), ""},
		{"CONFLICT with the last commit", "REFUSED", 0x43, refused(3, present(here.field("position")), 0, 0), ""},
		{"LIMIT 3 for 1.5 seconds", "REFUSED", 0x43, refused(7, absent("position"), 3, 1500), ""},
		{"no commit yet", "ATTACHED", 0x44, []field{request, attachment, here.field("head"), none.field("last_commit")}, ""},
		{"nothing", "DELIVER", 0x45, []field{attachment, list("entries"), fixed("chain", here.chain)}, ""},
		{"a message, a commit, a knock and a kind of a later version", "DELIVER", 0x45, []field{attachment, list("entries",
			entry(42, 1, absent("reader"), "one"), entry(43, 2, present(fixed("reader", keyA)), "two", someBlob),
			entry(44, 3, present(fixed("reader", keyB)), "three"), entry(45, 9, absent("reader"), "four")), fixed("chain", here.chain)}, ""},
		{"lost", "GAP", 0x46, []field{attachment, number("from", uint64(1)), number("to", uint64(41)), number("reason", uint8(3)),
			here.field("after")}, ""},
		{"a removed reader", "END", 0x47, []field{attachment, here.field("position")}, ""},
		{"superseded", "DETACHED", 0x48, []field{attachment, number("reason", uint8(2))}, ""},
		{"in 2 seconds", "GOAWAY", 0x49, []field{number("reconnect_ms", uint32(2000))}, ""},
		{"a value", "PONG", 0x4a, []field{number("value", uint64(1)<<52+1)}, ""},
		{"malformed", "CLOSE", 0x4b, []field{number("code", uint16(2))}, ""},
		{"a branch begins", "STREAM", 0x4c, []field{attachment, fixed("name", random("branch", 16)), fixed("key", random("branch key", 32))}, ""},
		{"sealed", "SIGNALLED", 0x4d, []field{attachment, fixed("sealed", someSignal)}, ""},
		{"half of it", "BLOB", 0x4e, []field{request, number("stored", uint64(1)<<19), boolean("complete", false)}, ""},
		{"complete", "BLOB", 0x4e, []field{request, number("stored", uint64(1)<<20), boolean("complete", true)}, ""},
		{"a part", "BLOB_DATA", 0x4f, []field{request, number("size", uint64(1)<<20), vector("data", random("part", 600))}, ""},
		{"beyond the end", "BLOB_DATA", 0x4f, []field{request, number("size", uint64(1)<<20), vector("data", nil)}, ""},
	}
}

func frameVectors(*testing.T) []object {
	var cases []object
	for _, way := range []struct {
		from   string
		frames []frame
	}{{"client", clientFrames()}, {"server", serverFrames()}} {
		for _, f := range way.frames {
			c := object{{"name", f.kind + ", " + f.name}, {"frame", f.kind}, {"type", f.typ}, {"from", way.from},
				{"fields", valuesOf(f.fields)}, {"bytes", f.bytes()}}
			if f.refused != "" {
				c = append(c, member{"refused", f.refused})
			}
			cases = append(cases, c)
		}
	}
	for _, bad := range badFrames() {
		bytes := join(u32(uint32(len(bad.body))), bad.body)
		cases = append(cases, object{{"name", bad.name}, {"bytes", bytes}, {"error", bad.err}})
	}
	return cases
}
