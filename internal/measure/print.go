package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
)

// WriteJSON writes r as one line.
func (r Result) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteText writes r as one line for people, and a second one with its two sides.
func (r Result) WriteText(w io.Writer) error {
	unit := ""
	if r.Unit != "ratio" {
		unit = " " + r.Unit
	}
	line := fmt.Sprintf("%-34s %9s%s  (%s to %s in %d rounds)",
		r.Name, short(r.Value), unit, short(r.Min), short(r.Max), len(r.Rounds))
	switch {
	case r.Bound == "":
	case r.Held:
		line += "  " + r.Bound + ": held"
	default:
		line += "  " + r.Bound + ": MISSED"
	}
	if r.Sides != "" {
		line += fmt.Sprintf("\n%-34s %9s over %s %s", "", short(r.Of), short(r.Over), r.Sides)
	}
	if r.Allocs > 0 {
		line += fmt.Sprintf("\n%-34s %9s allocations of %s bytes in all", "", short(r.Allocs), short(r.Bytes))
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// short writes three significant digits, and never an exponent.
func short(v float64) string {
	digits := 2
	if v != 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	return strconv.FormatFloat(v, 'f', min(digits, 6), 64)
}
