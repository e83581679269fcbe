package shard

import (
	"fmt"
	"testing"
)

func TestRecentIsBoundedAndKeepsWhatIsInUse(t *testing.T) {
	r := newRecent()
	r.put("busy", []byte("v"))
	held := func() (n int) {
		for _, generation := range []map[string][]byte{r.young, r.old} {
			for k, v := range generation {
				n += len(k) + recentOverhead + len(v)
			}
		}
		return n
	}
	for i := range 10 * maxRecent / 1024 {
		r.put(fmt.Sprintf("%8d", i), make([]byte, 1024))
		if v, ok := r.get([]byte("busy")); !ok || string(v) != "v" {
			t.Fatalf("what is asked for all the time is forgotten after %d others", i)
		}
	}
	if n := held(); n > 2*(maxRecent+2048) {
		t.Errorf("%d bytes are held, the bound is two generations of %d", n, maxRecent)
	}
	if _, ok := r.get(fmt.Appendf(nil, "%8d", 0)); ok {
		t.Error("what nobody asks for is kept")
	}
	r.put("busy", make([]byte, maxRecentValue+1))
	if _, ok := r.get([]byte("busy")); ok {
		t.Error("a large value, or the small one that it replaced, is kept")
	}
}
