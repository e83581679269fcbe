package main

import "fmt"

// shelf keeps states, transactions, signers and reinits under ids of one space, because
// StorePSK names either of the first two. When it is full, what was used longest ago goes.
type shelf struct {
	limit   int
	entries map[uint32]*entry
	nextID  uint32
	clock   uint64
}

type entry struct {
	value any
	used  uint64
}

// put keeps a value and returns its id, which is never 0: the runner says 0 when it has none.
func (s *shelf) put(value any) uint32 {
	if s.entries == nil {
		s.entries = map[uint32]*entry{}
	}
	if len(s.entries) >= s.limit {
		s.dropOldest()
	}
	for s.nextID == 0 || s.entries[s.nextID] != nil {
		s.nextID++
	}
	s.clock++
	s.entries[s.nextID] = &entry{value: value, used: s.clock}
	return s.nextID
}

func (s *shelf) dropOldest() {
	var oldest uint32
	for id, e := range s.entries {
		if oldest == 0 || e.used < s.entries[oldest].used {
			oldest = id
		}
	}
	delete(s.entries, oldest)
}

func (s *shelf) drop(id uint32) { delete(s.entries, id) }

// find returns what is kept under an id, if it is a T.
func find[T interface{ noun() string }](s *shelf, id uint32) (T, error) {
	e := s.entries[id]
	if e != nil {
		if value, ok := e.value.(T); ok {
			s.clock++
			e.used = s.clock
			return value, nil
		}
	}
	var zero T
	return zero, fmt.Errorf("%w: %s %d", errUnknown, zero.noun(), id)
}
