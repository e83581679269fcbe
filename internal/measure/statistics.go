package measure

import "slices"

// Median returns the middle of values, or the mean of the two in the middle; 0 for none.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[n/2]
}

// Percentile returns the value that p percent of values do not exceed (nearest rank): the
// smallest for p = 0, the largest for p = 100; 0 for no values.
func Percentile(values []float64, p int) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	rank := (n*min(max(p, 0), 100) + 99) / 100
	return slices.Sorted(slices.Values(values))[max(rank, 1)-1]
}
