package mls_test

import (
	"sync"
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// TestWhatNeverChangesIsForSeveralGoroutines: views, staged commits and KeyPackages are read by
// several at once while their group goes on. The race detector judges.
func TestWhatNeverChangesIsForSeveralGoroutines(t *testing.T) {
	members := meet(mls.Application{}, clients("alice", "bob", "carol"))
	alice, carol := members[0], members[2]
	kp, _ := keyPackage(client(mls.DefaultSuite, "dave"))
	view := alice.View()
	staged := must(alice.Commit(mls.CommitParams{Add: []*mls.KeyPackage{kp}, Remove: []mls.LeafIndex{carol.OwnLeaf()}, Now: now}))

	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for _, v := range []*mls.EpochView{view, staged.Next()} {
				info := must(v.GroupInfo(mls.GroupInfoParams{Tree: true, ExternalPub: true}))
				check(v.CheckGroupInfo(info))
				must(mls.NewPublicGroup(info, nil, mls.Application{}))
				must(v.Export("label", nil, 32))
				v.Members()
				v.TreeHash()
				v.ResumptionPSK()
			}
			must(staged.MarshalBinary())
			staged.Adds()
			staged.Welcomes()
			check(kp.Verify(now, nil))
			kp.Ref()
		})
	}
	check(alice.Merge(staged))
	must(alice.Encrypt([]byte("on we go"), nil))
	commit(alice, mls.CommitParams{})
	readers.Wait()
}
