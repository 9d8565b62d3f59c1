package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// byteUnits are powers of 1024 under the names that pg_size_pretty gives them, so that our numbers and the
// server's are the same.
var byteUnits = []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}

// HumanBytes renders n bytes as people read them: "212 GB", "3.1 MB", "12 kB".
func HumanBytes(n int64) string {
	v, u := scaleBytes(n)
	return humanNumber(v) + " " + byteUnits[u]
}

// HumanBytesOf renders two numbers of bytes in one unit where they share it: "112/212 GB", "900 MB/2 GB".
func HumanBytesOf(done, total int64) string {
	d, du := scaleBytes(done)
	t, tu := scaleBytes(total)
	if du != tu {
		return HumanBytes(done) + "/" + HumanBytes(total)
	}
	return humanNumber(d) + "/" + humanNumber(t) + " " + byteUnits[tu]
}

// HumanDuration renders d with the precision an operator needs: "0.4 ms", "74 ms", "4.1 s", "18 min",
// "2 h 5 min", "3 d 4 h".
func HumanDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + HumanDuration(-max(d, -1<<62))
	case d < time.Second:
		return humanNumber(float64(d)/float64(time.Millisecond)) + " ms"
	case d < time.Minute:
		return humanNumber(d.Seconds()) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return joinUnits(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	default:
		return joinUnits(int(d.Hours())/24, "d", int(d.Hours())%24, "h")
	}
}

// Plural renders n things as people count them: "1 table", "2 tables". The noun is one that takes an s.
func Plural(n int, noun string) string { return plural(n, noun) }

// OneLine makes s safe to stand in one line of a terminal or a log: a name may hold a newline or an escape
// sequence. What cannot be printed is shown as Go writes it.
func OneLine(s string) string {
	s = strings.ToValidUTF8(s, string(unicode.ReplacementChar))
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func scaleBytes(n int64) (float64, int) {
	v, u := float64(n), 0
	// 999.5 would be printed as "1000": the next unit is easier to read.
	for (v >= 999.5 || v <= -999.5) && u < len(byteUnits)-1 {
		v, u = v/1024, u+1
	}
	return v, u
}

// humanNumber gives one decimal below ten, none above.
func humanNumber(v float64) string {
	if v > -9.95 && v < 9.95 {
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func joinUnits(a int, ua string, b int, ub string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, ua)
	}
	return fmt.Sprintf("%d %s %d %s", a, ua, b, ub)
}
