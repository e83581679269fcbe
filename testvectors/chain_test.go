package testvectors_test

import "testing"

// The running hash of relay/PROTOCOL.md section 8.

type logEntry struct {
	seq      uint64
	kind     uint8
	envelope []byte
	blobs    [][]byte // of a COMMIT
}

func chainVector(name string, queue, incarnation []byte, entries ...logEntry) object {
	h := hash(opaque([]byte("sealpost chain 1")), relayKey, queue, incarnation)
	start, list := h, []object{}
	for _, e := range entries {
		h = hash(h, u64(e.seq), []byte{e.kind}, hash(e.envelope), join(e.blobs...))
		entry := object{{"seq", e.seq}, {"kind", e.kind}}
		if e.blobs != nil {
			entry = append(entry, member{"blobs", e.blobs})
		}
		list = append(list, append(entry, object{{"envelope", e.envelope}, {"chain", h},
			{"position", position{incarnation, e.seq, h}.bytes()}}...))
	}
	return object{{"name", name}, {"relay_key", relayKey}, {"queue", queue}, {"incarnation", incarnation}, {"start", start},
		{"entries", list}}
}

func chainVectors(*testing.T) []object {
	first, later := random("incarnation", 16), random("later incarnation", 16)
	envelope := func(name string, n int) []byte { return random("logged "+name, n) }
	return []object{
		chainVector("an empty queue", someQueue, first),
		chainVector("messages, a COMMIT, a KNOCK and a kind of a later version", someQueue, first,
			logEntry{1, 1, envelope("one", 512), nil}, logEntry{2, 2, envelope("two", 1024), nil}, logEntry{3, 3, envelope("three", 512), nil},
			logEntry{4, 9, envelope("four", 512), nil}, logEntry{5, 1, envelope("five", 2048), nil}),
		chainVector("COMMITs with blobs", someQueue, first,
			logEntry{1, 2, envelope("eight", 512), [][]byte{random("blob one", 32)}},
			logEntry{2, 2, envelope("nine", 512), [][]byte{random("blob two", 32), random("blob one", 32)}}),
		chainVector("the same envelope twice", random("second queue", 32), first,
			logEntry{1, 1, someEnvelope, nil}, logEntry{2, 1, someEnvelope, nil}),
		chainVector("the life after a loss, above every seq that was answered", someQueue, later,
			logEntry{4097, 1, envelope("six", 512), nil}, logEntry{4098, 2, envelope("seven", 512), nil}),
	}
}
