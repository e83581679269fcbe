//go:build oneorder

package sim

import _ "unsafe" // for go:linkname

//go:linkname runtimeSeed runtime.OneOrderSeed
var runtimeSeed uint64

func init() {
	exact = true
	seedRuntime = func(seed uint64) { runtimeSeed = seed }
}
