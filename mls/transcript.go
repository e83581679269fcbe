package mls

import "github.com/sealpost/sealpost/internal/wire"

// confirmedTranscriptHash extends the transcript by a commit, up to its signature (RFC 9420
// section 8.2).
func (s *suite) confirmedTranscriptHash(interim []byte, a *authenticatedContent) []byte {
	var w wire.Writer
	w.Uint16(a.wireFormat)
	writeFramedContent(&w, a.content)
	w.Bytes(a.auth.signature)
	return s.sum(interim, mustFinish(&w))
}

// interimTranscriptHash adds the commit's confirmation tag.
func (s *suite) interimTranscriptHash(confirmed, confirmationTag []byte) []byte {
	var w wire.Writer
	w.Bytes(confirmationTag)
	return s.sum(confirmed, mustFinish(&w))
}
