package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// played returns a side that notes its name and returns its values in turn.
func played(log *[]string, name string, values ...float64) Side {
	return func(context.Context) (float64, error) {
		*log = append(*log, name)
		v := values[0]
		values = values[1:]
		return v, nil
	}
}

func TestOrderAlternatesAndRatiosAreOfRounds(t *testing.T) {
	var order []string
	f := Figure{
		Name: "x", Unit: "ratio", Sides: "things", Bound: AtLeast(0.5),
		Of:   played(&order, "of", 1, 4, 3, 2, 100),
		Over: played(&order, "over", 1, 8, 1, 1, 1),
	}
	r, err := f.Run(t.Context(), 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"of", "over", "over", "of", "of", "over", "over", "of", "of", "over"}; !slices.Equal(order, want) {
		t.Errorf("order %v", order)
	}
	if want := []float64{1, 0.5, 3, 2, 100}; !slices.Equal(r.Rounds, want) {
		t.Errorf("rounds %v, want %v", r.Rounds, want)
	}
	// 2 is the median of the ratios; the ratio of the medians would be 3.
	if r.Value != 2 || r.Min != 0.5 || r.Max != 100 || r.Of != 3 || r.Over != 1 || !r.Held {
		t.Errorf("%+v", r)
	}
}

func TestFewRoundsAndNoValuesAreErrors(t *testing.T) {
	one := func(context.Context) (float64, error) { return 1, nil }
	if _, err := (Figure{Of: one}).Run(t.Context(), MinRounds-1, nil); !errors.Is(err, ErrRounds) {
		t.Errorf("four rounds: %v", err)
	}
	for _, v := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		bad := func(context.Context) (float64, error) { return v, nil }
		for name, f := range map[string]Figure{"of": {Of: bad, Over: one}, "over": {Of: one, Over: bad}, "alone": {Of: bad}} {
			if _, err := f.Run(t.Context(), 5, nil); !errors.Is(err, ErrNoValue) {
				t.Errorf("%v as %s: %v", v, name, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Figure{Of: one}).Run(ctx, 5, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
	failing := func(context.Context) (float64, error) { return 0, ErrUnsupported }
	if _, err := (Figure{Name: "x", Of: failing}).Run(t.Context(), 5, nil); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "x, round 1") {
		t.Errorf("a failing side: %v", err)
	}
}

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		b    Bound
		v    float64
		want bool
	}{
		{Bound{}, 0, true}, {AtLeast(0.4), 0.4, true}, {AtLeast(0.4), 0.39, false}, {AtMost(5), 5, true}, {AtMost(5), 5.01, false},
	} {
		if c.b.Holds(c.v) != c.want {
			t.Errorf("%q holds %v: %v", c.b, c.v, !c.want)
		}
	}
}

func TestMedianAndPercentiles(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	if m := Median(values); m != 3 {
		t.Errorf("median %v", m)
	}
	if m := Median(values[:4]); m != 3 {
		t.Errorf("median of an even number %v", m)
	}
	for p, want := range map[int]float64{0: 1, 1: 1, 20: 1, 21: 2, 50: 3, 99: 5, 100: 5, 200: 5, -1: 1} {
		if got := Percentile(values, p); got != want {
			t.Errorf("percentile %d is %v, want %v", p, got, want)
		}
	}
	if !slices.Equal(values, []float64{5, 1, 4, 2, 3}) {
		t.Error("the values were sorted in place")
	}
	if Median(nil) != 0 || Percentile(nil, 50) != 0 {
		t.Error("of no values")
	}
}

func result(t *testing.T) Result {
	t.Helper()
	var order []string
	r, err := Figure{
		Name: `a<b & "c"`, Unit: "ratio", Sides: "messages/s", Bound: AtLeast(0.4),
		Of: played(&order, "", 0.25, 0.25, 0.25, 0.25, 0.25), Over: played(&order, "", 1, 1, 1, 1, 2),
	}.Run(t.Context(), 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOneJSONObjectALine(t *testing.T) {
	var out bytes.Buffer
	if err := errors.Join(result(t).WriteJSON(&out), result(t).WriteJSON(&out)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"name": `a<b & "c"`, "value": 0.25, "unit": "ratio", "min": 0.125, "max": 0.25, "held": false, "bound": "at least 0.4", "of": 0.25, "over": 1.0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if rounds, ok := got["rounds"].([]any); !ok || len(rounds) != 5 {
		t.Errorf("rounds are %v", got["rounds"])
	}
}

func TestTextSaysWhatWasMissed(t *testing.T) {
	var out strings.Builder
	if err := result(t).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0.250", "0.125 to 0.250 in 5 rounds", "at least 0.4: MISSED", "0.250 over 1.00 messages/s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	for v, want := range map[float64]string{0: "0.00", 0.0405: "0.0405", 5.8: "5.80", 93.21: "93.2", 45068.4: "45068", 1e-9: "0.000000"} {
		if got := short(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestPlotIsWellFormedAndHasEveryRound(t *testing.T) {
	var out bytes.Buffer
	all := []Result{result(t), {Name: "unbounded", Value: 3, Rounds: []float64{3, 3, 3, 3, 3, 3}, Min: 3, Max: 3}}
	if err := WritePlot(&out, "a & b", all); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for d := xml.NewDecoder(&out); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			found[e.Name.Local]++
		}
		if text, ok := token.(xml.CharData); ok && strings.Contains(string(text), `a<b & "c"`) {
			found["name"]++
		}
	}
	// Two axes, two medians, one bound.
	if found["circle"] != 11 || found["line"] != 5 || found["name"] != 1 {
		t.Errorf("the picture has %v", found)
	}
}
