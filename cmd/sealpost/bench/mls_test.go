package bench

import (
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// Every operation of the figures runs, again and again, and every suite has its primitives.
func TestOperationsRun(t *testing.T) {
	for name, begin := range operations {
		for _, s := range classicSuites {
			if s != mls.DefaultSuite && name != "protect" && name != "protect primitives" && name != "process primitives" {
				continue // groups of a hundred take seconds with the large curves
			}
			op, err := begin(s)
			if err != nil {
				t.Errorf("%s, %s: %v", name, s, err)
				continue
			}
			for range 2 {
				if _, err := op.once(); err != nil {
					t.Errorf("%s, %s: %v", name, s, err)
				}
			}
		}
	}
}

func TestFiguresHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, area := range Areas() {
		figures, err := new(bench).figures(area, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range figures {
			if seen[f.Name] || f.About == "" || f.Unit == "" || (f.Over != nil) != (f.Sides != "") {
				t.Errorf("figure %q: again, or without About, Unit or Sides", f.Name)
			}
			seen[f.Name] = true
			if f.Over == nil && f.Unit == "ratio" {
				t.Errorf("figure %q is a ratio to nothing", f.Name)
			}
		}
	}
}
