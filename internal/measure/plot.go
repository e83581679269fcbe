package measure

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The plot's sizes, in SVG's user units.
const (
	plotWidth = 720
	plotLeft  = 40
	plotRight = plotWidth - 40
	rowHeight = 72
	rowLine   = 44 // of a figure's axis, below the top of its row
)

// WritePlot draws results as an SVG picture: a row for each figure with a dot for each
// round, a line at the median and a broken one at the bound, on an axis that begins at zero.
func WritePlot(w io.Writer, title string, results []Result) error {
	var b strings.Builder
	height := rowHeight*len(results) + 40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15" font-weight="bold">%s</text>`+"\n", plotLeft, escaped(title))
	for i, r := range results {
		plotRow(&b, 32+i*rowHeight, r)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func plotRow(b *strings.Builder, top int, r Result) {
	limit, bounded := r.bound.Limit, r.bound != Bound{}
	most := max(r.Max, limit) * 1.05
	at := func(v float64) float64 { return plotLeft + v/most*(plotRight-plotLeft) }
	line := top + rowLine
	label := fmt.Sprintf("%s: %s %s", r.Name, short(r.Value), r.Unit)
	if bounded {
		label += ", " + r.Bound
	}
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", plotLeft, top+22, escaped(label))
	fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="silver"/>`+"\n", plotLeft, line, plotRight, line)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" font-size="11" fill="gray">%s</text>`+"\n", plotRight, line+18, short(most))
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="11" fill="gray">0</text>`+"\n", plotLeft, line+18)
	if bounded {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="firebrick" stroke-dasharray="4 3"/>`+"\n", at(limit), line-14, at(limit), line+14)
	}
	fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="black" stroke-width="2"/>`+"\n", at(r.Value), line-10, at(r.Value), line+10)
	for _, v := range r.Rounds {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%d" r="4" fill="steelblue" fill-opacity="0.6"/>`+"\n", at(v), line)
	}
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
