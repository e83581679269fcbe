package mls

import (
	"encoding/binary"
	"testing"
)

// treeMathVectors cuts the array of nodes into halves, which shares nothing with treemath.go.
func treeMathVectors(*testing.T, *suite) []jsonObject {
	var out []jsonObject
	for leaves := 1; leaves <= 32; leaves *= 2 {
		width := 2*leaves - 1
		left, right := make([]*int, width), make([]*int, width)
		parent, sibling := make([]*int, width), make([]*int, width)
		var split func(from, width int) *int
		split = func(from, width int) *int {
			root := from + width/2
			if width > 1 {
				l, r := split(from, width/2), split(root+1, width/2)
				left[root], right[root] = l, r
				parent[*l], parent[*r] = &root, &root
				sibling[*l], sibling[*r] = r, l
			}
			return &root
		}
		root := split(0, width)
		out = append(out, jsonObject{
			{"n_leaves", leaves}, {"n_nodes", width}, {"root", root},
			{"left", left}, {"right", right}, {"parent", parent}, {"sibling", sibling},
		})
	}
	return out
}

// deserializationVectors writes the headers by RFC 9000's rule, without the codec.
func deserializationVectors(*testing.T, *suite) []jsonObject {
	var out []jsonObject
	for _, length := range []uint32{0, 1, 32, 63, 64, 255, 256, 16383, 16384, 65535, 65536, 1 << 20, 1<<30 - 1} {
		header := []byte{byte(length)}
		switch {
		case length >= 1<<14:
			header = binary.BigEndian.AppendUint32(nil, length|2<<30)
		case length >= 1<<6:
			header = binary.BigEndian.AppendUint16(nil, uint16(length|1<<14))
		}
		out = append(out, jsonObject{{"vlbytes_header", header}, {"length", length}})
	}
	return out
}

func cryptoBasicsVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	value, key, context := drawn(60), drawn(s.nh), drawn(40)
	const length, generation = 16, 7
	signer, content := signatureKeyOf(t, s.id), drawn(50)
	reader, plaintext := must(s.generateHPKE())(t), drawn(30)
	sealed := must(s.encryptWithLabel(reader.pub, "EncryptWithLabel", context, plaintext))(t)
	return []jsonObject{{
		{"cipher_suite", s.id},
		{"ref_hash", jsonObject{{"label", "RefHash"}, {"value", value}, {"out", s.refHash("RefHash", value)}}},
		{"expand_with_label", jsonObject{
			{"secret", key}, {"label", "ExpandWithLabel"}, {"context", context}, {"length", length},
			{"out", s.expandWithLabel(key, "ExpandWithLabel", context, length)},
		}},
		{"derive_secret", jsonObject{
			{"secret", key}, {"label", "DeriveSecret"}, {"out", s.deriveSecret(key, "DeriveSecret")},
		}},
		{"derive_tree_secret", jsonObject{
			{"secret", key}, {"label", "DeriveTreeSecret"}, {"generation", generation}, {"length", length},
			{"out", s.deriveTreeSecret(key, "DeriveTreeSecret", generation, length)},
		}},
		{"sign_with_label", jsonObject{
			{"priv", signer.key()}, {"pub", signer.pub}, {"content", content}, {"label", "SignWithLabel"},
			{"signature", must(signer.Sign("SignWithLabel", content))(t)},
		}},
		{"encrypt_with_label", jsonObject{
			{"priv", mustPrivate(reader)}, {"pub", reader.pub}, {"label", "EncryptWithLabel"}, {"context", context},
			{"plaintext", plaintext}, {"kem_output", sealed.kemOutput}, {"ciphertext", sealed.ciphertext},
		}},
	}}
}

// secretTreeVectors ask a fresh tree for each generation.
func secretTreeVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	var out []jsonObject
	for _, size := range []uint32{1, 4} {
		root, senderDataSecret, ciphertext := secret(drawn(s.nh)), secret(drawn(s.nh)), drawn(77)
		sample := s.senderDataKey(senderDataSecret, ciphertext)
		leaves := make([][]jsonObject, size)
		for l := range leaves {
			keyOf := func(contentType uint8, generation uint32) messageKey {
				return must(newSecretTree(s, size, root).seek(LeafIndex(l), contentType, generation))(t).key
			}
			for _, generation := range []uint32{0, 1, 15} {
				handshake, application := keyOf(contentCommit, generation), keyOf(contentApplication, generation)
				leaves[l] = append(leaves[l], jsonObject{
					{"generation", generation},
					{"handshake_key", handshake.key}, {"handshake_nonce", handshake.nonce},
					{"application_key", application.key}, {"application_nonce", application.nonce},
				})
			}
		}
		out = append(out, jsonObject{
			{"cipher_suite", s.id},
			{"sender_data", jsonObject{
				{"sender_data_secret", senderDataSecret}, {"ciphertext", ciphertext}, {"key", sample.key}, {"nonce", sample.nonce},
			}},
			{"encryption_secret", root},
			{"leaves", leaves},
		})
	}
	return out
}

// keyScheduleVectors are two epochs, the second of which begins with a pre-shared key.
func keyScheduleVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	groupID, initial := drawn(16), secret(drawn(s.nh))
	var epochs []jsonObject
	initSecret := initial
	for i, psk := range []secret{make(secret, s.nh), drawn(s.nh)} {
		ctx := &groupContext{
			suite: s.id, groupID: groupID, epoch: uint64(i), treeHash: drawn(s.nh), confirmedTranscriptHash: drawn(s.nh),
		}
		commit := secret(drawn(s.nh))
		joiner := s.joinerSecret(initSecret, commit, ctx)
		kept, encryption, _ := s.deriveEpoch(s.epochSecret(joiner, psk, ctx))
		const label, length = "exporter label", 48
		context := drawn(20)
		epochs = append(epochs, jsonObject{
			{"tree_hash", ctx.treeHash}, {"commit_secret", commit}, {"psk_secret", psk},
			{"confirmed_transcript_hash", ctx.confirmedTranscriptHash},
			{"group_context", ctx.bytes()},
			{"joiner_secret", joiner}, {"welcome_secret", s.welcomeSecret(joiner, psk)}, {"init_secret", kept.init},
			{"sender_data_secret", kept.senderData}, {"encryption_secret", encryption}, {"exporter_secret", kept.exporter},
			{"epoch_authenticator", kept.authenticator}, {"external_secret", kept.external},
			{"confirmation_key", kept.confirmationKey}, {"membership_key", kept.membershipKey},
			{"resumption_psk", kept.resumption},
			{"external_pub", must(s.deriveHPKE(kept.external))(t).pub},
			{"exporter", jsonObject{
				{"label", label}, {"context", context}, {"length", length},
				{"secret", s.export(kept.exporter, label, context, length)},
			}},
		})
		initSecret = kept.init
	}
	return []jsonObject{{
		{"cipher_suite", s.id}, {"group_id", groupID}, {"initial_init_secret", initial}, {"epochs", epochs},
	}}
}

func pskSecretVectors(_ *testing.T, s *suite) []jsonObject {
	var out []jsonObject
	for _, n := range []int{0, 1, 2, 5} {
		ids, keys, list := make([]preSharedKeyID, n), make([][]byte, n), make([]jsonObject, n)
		for i := range n {
			ids[i] = preSharedKeyID{kind: pskExternal, id: drawn(8 * i), nonce: drawn(s.nh)}
			keys[i] = drawn(s.nh)
			list[i] = jsonObject{{"psk_id", ids[i].id}, {"psk", keys[i]}, {"psk_nonce", ids[i].nonce}}
		}
		out = append(out, jsonObject{{"cipher_suite", s.id}, {"psks", list}, {"psk_secret", s.pskSecret(ids, keys)}})
	}
	return out
}

func transcriptVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	confirmationKey, before := drawn(s.nh), drawn(s.nh)
	ctx := &groupContext{suite: s.id, groupID: drawn(16), epoch: 5, treeHash: drawn(s.nh), confirmedTranscriptHash: drawn(s.nh)}
	a := &authenticatedContent{wireFormat: wireFormatPrivate, content: &framedContent{
		groupID: ctx.groupID, epoch: ctx.epoch, sender: fromMember(1), authenticatedData: drawn(12),
		contentType: contentCommit, commit: smallCommit(s),
	}}
	if err := a.sign(s, signatureKeyOf(t, s.id), ctx); err != nil {
		t.Fatal(err)
	}
	confirmed := s.confirmedTranscriptHash(before, a)
	a.auth.confirmationTag = s.mac(confirmationKey, confirmed)
	return []jsonObject{{
		{"cipher_suite", s.id}, {"confirmation_key", confirmationKey},
		{"authenticated_content", encode(a, writeAuthenticatedContent)},
		{"interim_transcript_hash_before", before},
		{"confirmed_transcript_hash_after", confirmed},
		{"interim_transcript_hash_after", s.interimTranscriptHash(confirmed, a.auth.confirmationTag)},
	}}
}

// smallCommit has proposals by value and by reference, and no path.
func smallCommit(s *suite) *commit {
	return &commit{proposals: []proposalOrRef{
		{proposal: &proposal{kind: proposalPSK, psk: &preSharedKeyID{kind: pskExternal, id: drawn(8), nonce: drawn(s.nh)}}},
		{ref: drawn(s.nh)},
	}}
}
