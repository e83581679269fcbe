package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/measure"
)

func (b *bench) measure(ctx context.Context, cfg Config, opt Options, figures []measure.Figure) ([]measure.Result, error) {
	var results []measure.Result
	for _, f := range figures {
		r, err := f.Run(ctx, opt.Rounds, func(what string) { fmt.Fprintln(cfg.Log, what) })
		if errors.Is(err, measure.ErrUnsupported) {
			fmt.Fprintf(cfg.Log, "%s is left out: %v\n", f.Name, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		write := r.WriteText
		if opt.JSON {
			write = r.WriteJSON
		}
		if err := write(cfg.Out); err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}
