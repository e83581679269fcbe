package history

import (
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/clientlib/internal/state"
)

// BenchmarkInsert stores and indexes messages of about 70 characters, 1 or 500 a transaction.
func BenchmarkInsert(b *testing.B) {
	for _, batch := range []int{1, 20, 500} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			db := newStore(b)
			n := 0
			for b.Loop() {
				update(b, db, func(tx *state.Tx) error {
					for range batch {
						n++
						insert(b, tx, entry(fmt.Sprintf("message %d: shall we meet at the pizza place on the corner, %x?", n, n*7919), uint64(n)))
					}
					return nil
				})
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkSearch looks into 20,000 messages for a word that one of them has.
func BenchmarkSearch(b *testing.B) {
	db := newStore(b)
	update(b, db, func(tx *state.Tx) error {
		for n := range 20000 {
			insert(b, tx, entry(fmt.Sprintf("message %d: shall we meet at the pizza place on the corner, %x?", n, n*7919), uint64(n+1)))
		}
		insert(b, tx, entry("Żółw 海龟", 30000))
		return nil
	})
	for _, query := range []string{"zołw", "海龟", "message 777:", "pizza place"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				db.View(b.Context(), func(tx *state.Tx) error {
					if found, err := Search(tx, query, 20); err != nil || len(found) == 0 {
						b.Fatal(len(found), err)
					}
					return nil
				})
			}
		})
	}
}
