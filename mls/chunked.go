package mls

import "slices"

// chunkSize is the elements of a chunk: few enough that a write copies little, many enough
// that a copy has few chunks to share.
const chunkSize = 64

// chunked is an array that copies share chunk by chunk until one of them writes: a copy costs
// a pointer for each chunk, and the first write to a chunk a copy of it. The zero value is
// empty.
//
// Any number of goroutines may read one at the same time, and copy it if it was sealed.
type chunked[T any] struct {
	chunks []*[chunkSize]T
	own    []bool // chunks that nobody else has; nil: none
	n      int
}

func (c *chunked[T]) at(i int) T { return c.chunks[i/chunkSize][i%chunkSize] }

// place is where element i can be written.
func (c *chunked[T]) place(i int) *T {
	if k := i / chunkSize; k >= len(c.own) || !c.own[k] {
		c.take(k)
	}
	return &c.chunks[i/chunkSize][i%chunkSize]
}

// take makes chunk k this array's own.
func (c *chunked[T]) take(k int) {
	if len(c.own) < len(c.chunks) {
		c.own = append(c.own, make([]bool, len(c.chunks)-len(c.own))...)
	}
	chunk := *c.chunks[k]
	c.chunks[k], c.own[k] = &chunk, true
}

// resize cuts the array, or appends zero values.
func (c *chunked[T]) resize(n int) {
	for i := n; i < min(c.n, (n+chunkSize-1)/chunkSize*chunkSize); i++ {
		var zero T
		*c.place(i) = zero // what is appended later must be zero
	}
	chunks := (n + chunkSize - 1) / chunkSize
	c.own = slices.Clone(c.own[:min(len(c.own), chunks)])
	if chunks <= len(c.chunks) {
		c.chunks = c.chunks[:chunks:chunks]
	}
	for len(c.chunks) < chunks {
		c.own = append(c.own, make([]bool, len(c.chunks)-len(c.own))...)
		c.own = append(c.own, true)
		c.chunks = append(c.chunks, new([chunkSize]T))
	}
	c.n = n
}

// seal gives all chunks up for sharing. Of a sealed array it only reads.
func (c *chunked[T]) seal() {
	if c.own != nil {
		c.own = nil
	}
}

func (c *chunked[T]) clone() chunked[T] {
	c.seal()
	return chunked[T]{chunks: slices.Clone(c.chunks), n: c.n}
}

// unlike yields the places at which a and b, copies of one array, may hold different
// elements: those of the chunks that they do not share, and those that one of them lacks.
func (c *chunked[T]) unlike(b *chunked[T]) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range max(len(c.chunks), len(b.chunks)) {
			if k < len(c.chunks) && k < len(b.chunks) && c.chunks[k] == b.chunks[k] {
				continue
			}
			for i := k * chunkSize; i < min((k+1)*chunkSize, max(c.n, b.n)); i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}
