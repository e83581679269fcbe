package mls

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
)

// codecs decode and encode again every structure that comes from outside.
var codecs = map[string]func([]byte) ([]byte, error){
	"message":               roundTrip(readMessage, writeMessage),
	"key package":           roundTrip(readKeyPackage, writeKeyPackage),
	"welcome":               roundTrip(readWelcome, writeWelcome),
	"group info":            roundTrip(readGroupInfo, writeGroupInfo),
	"group secrets":         roundTrip(readGroupSecrets, writeGroupSecrets),
	"group context":         roundTrip(readGroupContext, writeGroupContext),
	"framed content":        roundTrip(readFramedContent, writeFramedContent),
	"private content":       roundTrip(readPrivateContent, writePrivateContent),
	"authenticated content": roundTrip(readAuthenticatedContent, writeAuthenticatedContent),
	"proposal":              roundTrip(readProposal, writeProposal),
	"commit":                roundTrip(readCommit, writeCommit),
	"update path":           roundTrip(readUpdatePath, writeUpdatePath),
	"sender data":           roundTrip(readSenderData, writeSenderData),
	"leaf node":             roundTrip(readLeafNode, writeLeafNode),
	"ratchet tree":          roundTrip(suites[SuiteX25519AES128Ed25519].readRatchetTree, writeRatchetTree),
	"member":                roundTrip(readMember, writeMember),
	"psk id":                roundTrip(readPreSharedKeyID, writePreSharedKeyID),
	"hpke ciphertext":       roundTrip(readHPKECiphertext, writeHPKECiphertext),
	"extensions":            roundTrip(readExtensions, writeExtensions),
	"credential":            roundTrip(readCredential, writeCredential),
	"capabilities":          roundTrip(readCapabilities, writeCapabilities),
	"required capabilities": bodyTrip(parseRequiredCapabilities, writeRequiredCapabilities),
	"external senders":      bodyTrip(ParseExternalSenders, func(w *wire.Writer, l []ExternalSender) { w.Raw(EncodeExternalSenders(l)) }),
	"components":            bodyTrip(ParseComponents, func(w *wire.Writer, l []ComponentData) { w.Raw(mustEncode(EncodeComponents(l))) }),
	"component ids":         bodyTrip(ParseComponentIDs, func(w *wire.Writer, ids []ComponentID) { w.Raw(EncodeComponentIDs(ids)) }),
	"wire formats":          bodyTrip(parseWireFormats, func(w *wire.Writer, fs []uint16) { w.Raw(EncodeWireFormats(fs)) }),
}

// bodyTrip is roundTrip for what is parsed out of an extension's data.
func bodyTrip[T any](parse func([]byte) (T, error), write func(*wire.Writer, T)) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := parse(b)
		if err != nil {
			return nil, err
		}
		return encode(v, write), nil
	}
}

func mustEncode(b []byte, err error) []byte {
	if err != nil {
		panic(err) // it was parsed before
	}
	return b
}

func parseWireFormats(data []byte) ([]uint16, error) {
	return wireFormats([]Extension{{Type: ExtensionRequiredWireFormats, Data: data}}, ExtensionRequiredWireFormats)
}

func writeRequiredCapabilities(w *wire.Writer, c requiredCapabilities) {
	wire.WriteVector(w, c.extensions, writeUint[ExtensionType])
	wire.WriteVector(w, c.proposals, writeUint[ProposalType])
	wire.WriteVector(w, c.credentials, writeUint[CredentialType])
}

// privateContent is PrivateMessageContent (section 6.3.1) without padding, behind the content
// type that the message around it names.
type privateContent struct {
	content framedContent
	auth    authData
}

func writePrivateContent(w *wire.Writer, p *privateContent) {
	w.Uint8(p.content.contentType)
	p.content.writeBody(w)
	writeAuthData(w, p.auth, p.content.contentType)
}

func readPrivateContent(r *wire.Reader) *privateContent {
	p := &privateContent{content: framedContent{contentType: r.Uint8()}}
	p.content.readBody(r)
	p.auth = readAuthData(r, p.content.contentType)
	return p
}

// samples holds one encoding for each codec, and several messages.
func samples(t tb, id Suite) map[string][][]byte {
	t.Helper()
	groups := trioOf(t, id)
	kp, secrets := keyPackageOf(t, id, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Remove: []LeafIndex{1}, Now: testNow, AAD: []byte("aad")}))(t)
	welcome := must(parse(c.Welcomes()[0].Message, readMessage))(t).welcome
	opened, info, err := openWelcome(groups[0].at.suite, welcome, kp.Ref(), secrets.initKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	st := must(groups[1].keys.seek(0, contentCommit, 0))(t)
	private := must(parse(c.Message(), readMessage))(t).private
	data := must(private.openSenderData(groups[1].at.suite, groups[1].at.secrets.senderData))(t)
	a := must(private.open(groups[1].at.suite, data, st.key))(t)
	out := map[string][][]byte{
		"message": {
			c.Message(), c.Welcomes()[0].Message, must(groups[0].Encrypt([]byte("hi"), nil))(t),
			publicCommit(t, groups[0]), must(groups[0].View().GroupInfo(GroupInfoParams{Tree: true, ExternalPub: true}))(t),
			encode(&message{wireFormat: wireFormatKeyPackage, keyPackage: kp}, writeMessage),
		},
		"key package": {kp.Bytes()}, "welcome": {encode(welcome, writeWelcome)},
		"group info": {encode(info, writeGroupInfo)}, "group secrets": {encode(opened, writeGroupSecrets)},
		"group context":         {groups[0].at.ctx.bytes()},
		"authenticated content": {encode(a, writeAuthenticatedContent)},
		"commit":                {encode(a.content.commit, writeCommit)},
		"update path":           {encode(a.content.commit.path, writeUpdatePath)},
		"sender data":           {encode(data, writeSenderData)},
		"leaf node":             {encode(kp.leaf, writeLeafNode), encode(groups[0].at.tree.leaf(0), writeLeafNode)},
		"ratchet tree":          {groups[0].RatchetTree()},
		"member":                {encode(c.Adds()[0], writeMember)},
		"framed content":        {encode(a.content, writeFramedContent)},
		"private content":       {encode(&privateContent{*a.content, a.auth}, writePrivateContent)},
		"hpke ciphertext":       {encode(welcome.secrets[0].secrets, writeHPKECiphertext)},
		"credential": {
			encode(kp.leaf.credential, writeCredential),
			encode(Credential{Type: CredentialX509, Certificates: [][]byte{[]byte("leaf"), []byte("issuer")}}, writeCredential),
		},
		"capabilities":          {encode(kp.leaf.capabilities, writeCapabilities)},
		"extensions":            {encode(groups[0].at.ctx.extensions, writeExtensions)},
		"required capabilities": {encode(requiredCapabilities{[]ExtensionType{testExtension}, []ProposalType{8}, []CredentialType{1, 2}}, writeRequiredCapabilities)},
		"external senders":      {EncodeExternalSenders([]ExternalSender{{SignatureKey: kp.leaf.signatureKey, Credential: basic("sender")}})},
		"components":            {must(EncodeComponents([]ComponentData{{1, EncodeComponentIDs([]ComponentID{1, 9})}, {9, []byte("data")}}))(t)},
		"component ids":         {EncodeComponentIDs([]ComponentID{1, 2, 0x8000})},
		"wire formats":          {EncodeWireFormats([]uint16{6, 0xf000})},
	}
	for _, p := range []*proposal{
		{kind: proposalAdd, add: kp}, {kind: proposalUpdate, update: groups[0].at.tree.leaf(0)},
		{kind: proposalRemove, remove: 7},
		{kind: proposalPSK, psk: &preSharedKeyID{kind: pskExternal, id: []byte("id"), nonce: []byte("nonce")}},
		{kind: proposalPSK, psk: &preSharedKeyID{kind: pskResumption, usage: 1, groupID: []byte("g"), epoch: 1, nonce: []byte("nonce")}},
		{kind: proposalReInit, reInit: &ReInit{GroupID: []byte("g"), Version: 1, Suite: id, Extensions: []Extension{{Type: 9}}}},
		{kind: proposalExternalInit, externalInit: []byte("kem")},
		{kind: proposalGroupExtensions, extensions: []Extension{{Type: 1, Data: []byte("x")}}},
		{kind: ProposalAppDataUpdate, appData: &AppDataUpdate{Component: 7, Update: []byte("new")}},
		{kind: ProposalAppDataUpdate, appData: &AppDataUpdate{Component: 7, Remove: true}},
		{kind: ProposalAppEphemeral, component: &ComponentData{Component: 7, Data: []byte("data")}},
		{kind: ProposalSelfRemove}, {kind: 0xf0b1, custom: []byte("own kind")},
	} {
		out["proposal"] = append(out["proposal"], encode(p, writeProposal))
		if p.kind == proposalPSK {
			out["psk id"] = append(out["psk id"], encode(*p.psk, writePreSharedKeyID))
		}
	}
	return out
}

func TestRoundTripAndEveryPrefix(t *testing.T) { eachSuite(t, roundTripAndEveryPrefix) }

func roundTripAndEveryPrefix(t *testing.T, id Suite) {
	all := samples(t, id)
	for name, trip := range codecs {
		if len(all[name]) == 0 {
			t.Errorf("no sample of %s", name)
		}
		for _, sample := range all[name] {
			again, err := trip(sample)
			if err != nil || !bytes.Equal(again, sample) {
				t.Errorf("%s: %x comes back as %x (%v)", name, sample, again, err)
			}
			for n := range sample {
				if _, err := trip(sample[:n]); !errors.Is(err, ErrMalformed) {
					t.Fatalf("%s: prefix of %d of %d bytes: %v, want ErrMalformed", name, n, len(sample), err)
				}
			}
			if _, err := trip(append(bytes.Clone(sample), 0)); !errors.Is(err, ErrMalformed) || !errors.Is(err, wire.ErrTrailing) {
				t.Errorf("%s with a byte more: %v, want ErrMalformed", name, err)
			}
		}
	}
}

// TestR15_DecodersAllocateWhatTheyWereSent: whatever a message announces, decoding it costs
// memory in proportion to its own size.
func TestR15_DecodersAllocateWhatTheyWereSent(t *testing.T) {
	blank := func(n int) []byte { // a tree of n-1 blank nodes and a leaf
		var w wire.Writer
		kp, _ := keyPackage(t, "x")
		wire.WriteVector(&w, make([]struct{}, n), func(w *wire.Writer, _ struct{}) { w.Bool(false) })
		b := mustFinish(&w)
		return append(b, encode(&node{leaf: kp.leaf}, writeOptionalNode)...)
	}
	inputs := map[string][][]byte{"ratchet tree": {blank(5000), blank(1 << 18)}}
	for name, list := range samples(t, DefaultSuite) {
		for _, sample := range list {
			for i := 0; i+4 <= len(sample); i += 3 {
				bomb := bytes.Clone(sample)
				copy(bomb[i:], []byte{0xbf, 0xff, 0xff, 0xff})
				inputs[name] = append(inputs[name], bomb)
			}
		}
	}
	for name, list := range inputs {
		for _, in := range list {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = codecs[name](in)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(100*len(in))+64<<10 {
				t.Errorf("%s: %d bytes made it allocate %d", name, len(in), grown)
			}
		}
	}
}
