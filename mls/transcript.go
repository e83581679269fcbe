package mls

import "github.com/sealpost/sealpost/internal/wire"

// confirmedTranscriptHash extends the transcript by a commit, up to its signature (RFC 9420
// section 8.2).
func (s *suite) confirmedTranscriptHash(interim []byte, a *authenticatedContent) []byte {
	var head, tail wire.Writer
	head.Uint16(a.wireFormat)
	a.content.writeHead(&head)
	tail.Bytes(a.auth.signature)
	return s.sum(interim, mustFinish(&head), a.content.covered(), mustFinish(&tail))
}

// interimTranscriptHash adds the commit's confirmation tag.
func (s *suite) interimTranscriptHash(confirmed, confirmationTag []byte) []byte {
	var w wire.Writer
	w.Bytes(confirmationTag)
	return s.sum(confirmed, mustFinish(&w))
}
