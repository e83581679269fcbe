package clientlib

import (
	"testing"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
)

// TestQ03_HandedSecretsReplaceNoneOfItsOwn: whoever answers a knock hands over secrets of past epochs.
// What the device knows of those by itself stays: its votes can be taken back and counted.
func TestQ03_HandedSecretsReplaceNoneOfItsOwn(t *testing.T) {
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.must(alice.RenewKeys(alice.ctx(), id))
	alice.quiet()
	alice.must(alice.RenewKeys(alice.ctx(), id))
	alice.quiet()
	alice.must(alice.eng.call(alice.ctx(), func() error {
		g := alice.eng.primary(id)
		return alice.eng.update(func(tx *state.Tx) error {
			before, err := pastEpochs(tx, g.id)
			if err != nil {
				return err
			}
			last := before[len(before)-2]
			if last.Commit == (relay.Hash{}) {
				t.Fatal("no epoch that alice has seen the end of")
			}
			if err := alice.eng.keepHanded(tx, g, []pastEpoch{{Epoch: last.Epoch, Secret: newSecret()}}); err != nil {
				return err
			}
			under, err := alice.eng.secretOf(tx, g, last.Commit)
			if err != nil || string(under) != string(last.Secret) {
				t.Errorf("the vote against that epoch's end is sealed under another secret: %v", err)
			}
			return nil
		})
	}))
}
