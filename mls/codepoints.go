package mls

import "slices"

// fewPoints is the longest list of code points that is gone through for every question. Peers
// choose how long lists are, and of two of them the work must not grow with the product.
const fewPoints = 64

// pointSet has a bit for every code point.
type pointSet [1 << 16 / 64]uint64

func (s *pointSet) add(v uint16)      { s[v/64] |= 1 << (v % 64) }
func (s *pointSet) has(v uint16) bool { return s[v/64]>>(v%64)&1 == 1 }

// looked, which only tests change, is told how many entries of a peer's lists were looked at.
var looked = func(int) {}

// lacking is the first of the code points in want that is not in have, false without one.
func lacking[T ~uint16](want, have []T) (T, bool) {
	if len(have) > fewPoints {
		return lackingOfMany(want, have)
	}
	for _, v := range want {
		if looked(1 + len(have)); !slices.Contains(have, v) {
			return v, true
		}
	}
	return 0, false
}

func lackingOfMany[T ~uint16](want, have []T) (T, bool) {
	var set pointSet
	for _, v := range have {
		set.add(uint16(v))
	}
	looked(len(have))
	for _, v := range want {
		if looked(1); !set.has(uint16(v)) {
			return v, true
		}
	}
	return 0, false
}

// unannounced is lacking for what a group asks of its members: nobody can do what only GREASE
// announces, whoever lists it (section 13.5).
func unannounced[T ~uint16](want, have []T) (T, bool) {
	looked(len(want))
	if i := slices.IndexFunc(want, func(v T) bool { return isGrease(uint16(v)) }); i >= 0 {
		return want[i], true
	}
	return lacking(want, have)
}

// distinct is a list without its repetitions, in the order of the first ones.
func distinct[T ~uint16](list []T) []T {
	var seen pointSet
	var out []T
	for _, v := range list {
		if !seen.has(uint16(v)) {
			seen.add(uint16(v))
			out = append(out, v)
		}
	}
	looked(len(list))
	return out
}
