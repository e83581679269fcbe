//go:build oneorder

package sim

import (
	_ "unsafe" // for go:linkname

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/mls"
)

//go:linkname runtimeSeed runtime.OneOrderSeed
var runtimeSeed uint64

func init() {
	exact = true
	watchKeys = func(k *Keys) { mls.SealedUnder, clientlib.EnclosedIn = k.SealedUnder, k.EnclosedIn }
	seedRuntime = func(seed uint64) { runtimeSeed = seed }
}
