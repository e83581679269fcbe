package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

func writeQueuedProposal(w *wire.Writer, q *queuedProposal) {
	writeAuthenticatedContent(w, q.content)
	w.Raw(q.digest[:])
	w.Bool(q.leafKey != nil)
	if q.leafKey == nil {
		return
	}
	w.Bytes(mustPrivate(q.leafKey))
	w.Bytes(q.signatureKey.key())
}

func (e *EpochView) readQueuedProposal(r *wire.Reader) *queuedProposal {
	q := &queuedProposal{content: readAuthenticatedContent(r)}
	r.Copy(q.digest[:])
	if r.Bool() {
		leafKey, signatureKey := r.Bytes(), r.Bytes()
		var err error
		if q.leafKey, err = e.suite.parseHPKE(leafKey); err != nil {
			r.Fail(err)
		}
		if q.signatureKey, err = e.suite.id.ParseSignatureKey(signatureKey); err != nil {
			r.Fail(err)
		}
	}
	if r.Err() == nil && q.content.content.proposal == nil {
		r.Fail(fmt.Errorf("%w: a queued message is no proposal", ErrCorrupt))
	}
	if r.Err() == nil {
		q.ref, q.said = q.content.proposalRef(e.suite), q.content.said(e.ctx)
	}
	return q
}
