package plan

import "testing"

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "20GB": 20 << 30, "512 MB": 512 << 20, "64kB": 64 << 10, "1.5TB": 3 << 39, "100B": 100, "1gb": 1 << 30} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "20", "GB", "-1GB", "20GiB", "x", "1e30TB", "NaNGB", "inf MB", "2G"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}
