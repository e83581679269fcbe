package mls

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
)

// malleate turns an ECDSA signature (r, s) into (r, n-s).
func malleate(t tb, id Suite, signature []byte) []byte {
	t.Helper()
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &sig); err != nil || len(rest) > 0 {
		t.Fatalf("signature %x is no DER: %v", signature, err)
	}
	sig.S.Sub(suites[id].signature.(ecdsaScheme).curve.Params().N, sig.S)
	return must(asn1.Marshal(sig))(t)
}

// TestA22_SignatureBytesNameNothing: who changes an ECDSA signature into another valid one
// does not make another message of it. Proposals are the case where it would matter: they are
// committed by a reference that covers the signature, so all members must have the same one
// of the two in their queues, the proposer as well.
func TestA22_SignatureBytesNameNothing(t *testing.T) {
	for _, id := range []Suite{SuiteP256AES128P256, SuiteP384AES256P384, SuiteP521AES256P521} {
		for _, changedFirst := range []bool{false, true} {
			groups := trioOf(t, id)
			victim, insider := groups[0], groups[1]
			own := must(victim.Propose(ProposalParams{Update: true}))(t)
			said := insider.opened(t, own)
			changed := *said
			changed.auth.signature = malleate(t, id, said.auth.signature)
			if bytes.Equal(changed.proposalRef(victim.at.suite), said.proposalRef(victim.at.suite)) {
				t.Fatal("the reference does not cover the signature, and this test shows nothing")
			}
			first, second := own, insider.inNameOf(t, 0, 20, &changed)
			if changedFirst {
				first, second = second, first
			}
			for i := range groups {
				q, ok := must(groups[i].Process(first))(t).(*QueuedProposal)
				if !ok || q.Own != (i == 0) || q.Sender != 0 {
					t.Errorf("%v: leaf %d got %+v", id, i, q)
				}
				groups[i] = reload(t, groups[i])
				if err := untouched(t, "the other of the two", groups[i], second); !errors.Is(err, ErrConsumed) {
					t.Errorf("%v: the other of the two at leaf %d: %v, want ErrConsumed", id, i, err)
				}
			}
			c := must(groups[1].Commit(CommitParams{IncludePending: true, Now: testNow}))(t)
			if len(c.Updates()) != 2 {
				t.Errorf("%v: %d leaves are updated, want the proposer's and the committer's", id, len(c.Updates()))
			}
			deliver(t, c.Message(), []*Group{groups[0], groups[2]})
			if err := groups[1].Merge(c); err != nil {
				t.Fatal(err)
			}
			agree(t, groups)
		}
	}
}

// TestA22_ChangedSignatureIsNoEvidence: an own message whose signature was changed is no sign
// of a copied state, and both signatures verify.
func TestA22_ChangedSignatureIsNoEvidence(t *testing.T) {
	groups := trioOf(t, SuiteP256AES128P256)
	msg := must(groups[0].Encrypt([]byte("mine"), nil))(t)
	changed := *groups[1].opened(t, msg)
	changed.auth.signature = malleate(t, groups[0].Suite(), changed.auth.signature)
	if err := changed.verifySignature(groups[0].at.suite, groups[0].at.signatureKey.pub, groups[0].at.ctx); err != nil {
		t.Fatalf("the changed signature does not verify: %v", err)
	}
	again, ok := must(groups[0].Process(groups[1].inNameOf(t, 0, 20, &changed)))(t).(*ApplicationMessage)
	if !ok || again.Sender != 0 || string(again.Data) != "mine" {
		t.Errorf("own message with a changed signature: %+v", again)
	}
}
