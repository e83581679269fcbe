package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One figure with real processes: a line of JSON, and a picture.
func TestBenchPrintsAFigure(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "figures.svg")
	p := start(t, t.TempDir(), "bench", "relay", "-quick", "-only", "syncs_per_message", "-json", "-dir", t.TempDir(), "-plot", plot)
	status, out := p.wait()
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
	var line struct {
		Name   string
		Value  float64
		Unit   string
		Rounds []float64
		Min    float64
		Max    float64
	}
	if err := json.Unmarshal([]byte(out), &line); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	// Whoever waits for an answer before the next message shares three syncs with at most
	// everybody else, and needs no more than three alone.
	if line.Name != "syncs_per_message" || line.Unit != "syncs" || len(line.Rounds) != 5 ||
		line.Min > line.Value || line.Value > line.Max || line.Min < 3.0/256 || line.Max > 3 {
		t.Errorf("%+v", line)
	}
	if picture, err := os.ReadFile(plot); err != nil || !strings.Contains(string(picture), "syncs_per_message") {
		t.Errorf("the picture: %v", err)
	}
}

func TestBenchRefusesWhatItDoesNotHave(t *testing.T) {
	for _, args := range [][]string{
		{"bench", "weather"},
		{"bench", "relay", "-only", "nothing"},
		{"bench", "relay", "-rounds", "4"},
		{"bench-role", "nobody"},
	} {
		if status, _ := start(t, t.TempDir(), args...).wait(); status == 0 {
			t.Errorf("%v succeeds", args)
		}
	}
}
