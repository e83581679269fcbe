package mls

import "github.com/sealpost/sealpost/internal/wire"

// epochSecrets are the secrets of one epoch (RFC 9420 section 8). The encryption secret is
// not among what is kept: it becomes the secret tree.
type epochSecrets struct {
	senderData      secret
	exporter        secret
	authenticator   secret
	external        secret
	confirmationKey secret
	membershipKey   secret
	resumption      secret
	init            secret
}

// joinerSecret is joiner_secret for the epoch that ctx describes.
func (s *suite) joinerSecret(initSecret, commitSecret secret, ctx *groupContext) secret {
	return s.expandWithLabel(s.extract(initSecret, commitSecret), "joiner", ctx.bytes(), s.nh)
}

func (s *suite) welcomeSecret(joiner, psk secret) secret {
	return s.deriveSecret(s.extract(joiner, psk), "welcome")
}

// epochSecret is epoch_secret for the epoch that ctx describes.
func (s *suite) epochSecret(joiner, psk secret, ctx *groupContext) secret {
	return s.expandWithLabel(s.extract(joiner, psk), "epoch", ctx.bytes(), s.nh)
}

// deriveEpoch splits epoch_secret up. The encryption secret and the application export secret
// are the roots of trees, whose secrets can each be had once.
func (s *suite) deriveEpoch(epochSecret secret) (kept *epochSecrets, encryption, applicationExport secret) {
	kept = &epochSecrets{
		senderData:      s.deriveSecret(epochSecret, "sender data"),
		exporter:        s.deriveSecret(epochSecret, "exporter"),
		authenticator:   s.deriveSecret(epochSecret, "authentication"),
		external:        s.deriveSecret(epochSecret, "external"),
		confirmationKey: s.deriveSecret(epochSecret, "confirm"),
		membershipKey:   s.deriveSecret(epochSecret, "membership"),
		resumption:      s.deriveSecret(epochSecret, "resumption"),
		init:            s.deriveSecret(epochSecret, "init"),
	}
	return kept, s.deriveSecret(epochSecret, "encryption"), s.deriveSecret(epochSecret, "application_export")
}

// export is MLS-Exporter (section 8.5).
func (s *suite) export(exporter secret, label string, context []byte, length int) secret {
	return s.expandWithLabel(s.deriveSecret(exporter, label), "exported", s.sum(context), length)
}

func (e *epochSecrets) fields() []*secret {
	return []*secret{
		&e.senderData, &e.exporter, &e.authenticator, &e.external,
		&e.confirmationKey, &e.membershipKey, &e.resumption, &e.init,
	}
}

func writeEpochSecrets(w *wire.Writer, e *epochSecrets) {
	for _, f := range e.fields() {
		w.Bytes(*f)
	}
}

func readEpochSecrets(r *wire.Reader) *epochSecrets {
	e := new(epochSecrets)
	for _, f := range e.fields() {
		*f = r.Bytes()
	}
	return e
}
