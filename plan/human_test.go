package plan

import (
	"math"
	"testing"
	"time"
)

func TestHumanBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1024: "1 kB", 12 << 10: "12 kB", 3250586: "3.1 MB", 212 << 30: "212 GB", 1023 << 20: "1 GB",
		-3 << 20: "-3 MB", math.MaxInt64: "8 EB", math.MinInt64: "-8 EB",
	} {
		if got := HumanBytes(n); got != want {
			t.Errorf("HumanBytes(%d) = %q; want %q", n, got, want)
		}
	}
}

func TestHumanBytesOf(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{
		{112 << 30, 212 << 30, "112/212 GB"},
		{900 << 20, 212 << 30, "900 MB/212 GB"},
		{0, 0, "0/0 B"},
	} {
		if got := HumanBytesOf(c.done, c.total); got != c.want {
			t.Errorf("HumanBytesOf(%d, %d) = %q; want %q", c.done, c.total, got, c.want)
		}
	}
}

func TestHumanDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 400 * time.Microsecond: "0.4 ms", 74 * time.Millisecond: "74 ms", 4100 * time.Millisecond: "4.1 s", 42 * time.Second: "42 s",
		18*time.Minute + 59*time.Second: "18 min", 2 * time.Hour: "2 h", 125 * time.Minute: "2 h 5 min", 76 * time.Hour: "3 d 4 h",
		-time.Second: "-1 s", math.MinInt64: "-53375 d 23 h",
	} {
		if got := HumanDuration(d); got != want {
			t.Errorf("HumanDuration(%d) = %q; want %q", d, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for s, want := range map[string]string{
		"public.größe": "public.größe", "a\nb\x1b[2J": `a\nb\x1b[2J`, "a\u202eb": `a\u202eb`, "gr\xfc": "gr�",
	} {
		if got := OneLine(s); got != want {
			t.Errorf("OneLine(%q) = %q; want %q", s, got, want)
		}
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 tables", 1: "1 table", 2: "2 tables"} {
		if got := Plural(n, "table"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}
