package plan

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseBytes reads an amount of memory as PostgreSQL's settings write it: 20GB, 512 MB, 1.5TB. It needs its unit, but
// for 0: what a bare number counts differs from setting to setting.
func ParseBytes(text string) (int64, error) {
	trimmed := strings.TrimSpace(text)
	number := strings.TrimRight(trimmed, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.ToLower(strings.TrimSpace(trimmed[len(number):]))
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || value < 0 || math.IsInf(value, 0) || math.IsNaN(value) {
		return 0, fmt.Errorf("%q is no amount: give a number and a unit, such as 20GB", text)
	}
	shift, known := map[string]uint{"b": 0, "kb": 10, "mb": 20, "gb": 30, "tb": 40}[unit]
	switch {
	case unit == "" && value == 0:
		return 0, nil
	case !known:
		return 0, fmt.Errorf("%q has no unit that is known: kB, MB, GB or TB", text)
	}
	bytes := value * float64(int64(1)<<shift)
	if bytes >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is more than can be counted", text)
	}
	return int64(bytes), nil
}
