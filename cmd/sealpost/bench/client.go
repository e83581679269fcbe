package bench

import (
	"context"

	"github.com/sealpost/sealpost/internal/measure"
)

// client lists the figures of the area client.
func (b *bench) client() []measure.Figure {
	few, filled, searches := b.count(300, 20), b.count(5_000, 100), b.count(50, 5)
	return []measure.Figure{
		{
			Name: "send_vs_sqlite_transaction", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(8),
			About: "Median time of sending a message with no network: history, search index and outbox are on disk when it returns. " +
				"Over that of one transaction that inserts one row of 1 KiB, by the same SQLite with the same encryption, journal and syncs.",
			Of: b.storeSide("client", storeRequest{Send: few}), Over: b.storeSide("sqlite", storeRequest{Send: few}),
		},
		{
			Name: "search_vs_like", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1),
			About: "Median time of finding a word that one of 5,000 messages has, over that of a LIKE scan of as many rows by bare SQLite.",
			Of:    b.storeSide("client", storeRequest{Send: filled}, storeRequest{Search: searches}),
			Over:  b.storeSide("sqlite", storeRequest{Send: filled}, storeRequest{Search: searches}),
		},
		{
			Name: "open_vs_sqlite_open", Unit: "ratio", Sides: "µs",
			About: "Median time of opening an account's store with 300 messages that wait to be sent, over that of opening a bare one and reading its rows.",
			Of:    b.storeSide("client", storeRequest{Send: few}, storeRequest{Open: b.count(20, 3)}),
			Over:  b.storeSide("sqlite", storeRequest{Send: few}, storeRequest{Open: b.count(20, 3)}),
		},
	}
}

// storeSide asks a fresh process with a fresh store for some things, and returns the median
// time of the last, in µs.
func (b *bench) storeSide(role string, requests ...storeRequest) measure.Side {
	return func(ctx context.Context) (median float64, err error) {
		err = b.inFolder(func(dir string) error {
			return b.with(ctx, role, func(child *measure.Child) error {
				for _, q := range requests {
					q.Dir = dir
					done, err := ask(child, q)
					if err != nil {
						return err
					}
					median = done.Median
				}
				return nil
			})
		})
		return median, err
	}
}
