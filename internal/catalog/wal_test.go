package catalog

import "testing"

func TestWALRate(t *testing.T) {
	for _, c := range []struct {
		what  string
		w     walReading
		rate  float64
		basis string
	}{
		{"just started", walReading{2, 7 << 20, 2, 7 << 20}, 0, ""},
		{"since the reset", walReading{3600, 3600 << 20, 60, 6 << 20}, 1 << 20, "3.5 GB in the 1 h since the statistics were reset"},
		{"busier today", walReading{86400, 86400, 60, 60 << 20}, 1 << 20, "60 MB in the 1 min since the last checkpoint"},
		{"no statistics", walReading{0, 0, 60, 60 << 20}, 1 << 20, "60 MB in the 1 min since the last checkpoint"},
		{"idle", walReading{3600, 0, 60, 0}, 0, "0 B in the 1 h since the statistics were reset"},
	} {
		if rate, basis := c.w.rate(); rate != c.rate || basis != c.basis {
			t.Errorf("%s: %v, %q; want %v, %q", c.what, rate, basis, c.rate, c.basis)
		}
	}
}
