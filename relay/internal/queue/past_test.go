package queue

import "testing"

// TestPastIsForgottenWithItsPeriod: what is known of closed periods holds for one present
// period only; also when the clock's move was undone, and a closed period is open again.
func TestPastIsForgottenWithItsPeriod(t *testing.T) {
	var p past
	p.at(7)
	p.holds[string(memoryKey(kindShort, 6, nil))] = false
	p.holds[string(memoryKey(kindShort, 5, nil))] = true
	if !p.empty(kindShort, 7, 1) || p.empty(kindShort, 7, 2) || p.empty(kindLong, 7, 1) || p.empty(kindShort, 7, 0) {
		t.Error("what was seen is not what is known")
	}
	p.at(8)
	if p.empty(kindShort, 8, 2) {
		t.Error("known in another period")
	}
	p.holds[string(memoryKey(kindShort, 7, nil))] = false // closed, and empty
	p.at(7)                                               // the move was undone: it is written again
	p.at(8)
	if p.empty(kindShort, 8, 1) {
		t.Error("a period that was open again is taken for empty")
	}
}
