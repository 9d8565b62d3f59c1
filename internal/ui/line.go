package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"pgleap/plan"
)

const (
	stageWidth = 10 // of the column of stage names: the longest is "subscribe"
	timeColumn = 80 // where a stage's duration ends
)

// stageLine renders "✓ schema      184 tables, 41 types      4.1s". What is said on the right is the
// duration, or Data["note"] where the stage has something better to say there.
func stageLine(mark string, e plan.Event) string {
	left := mark + " " + padTo(string(e.Stage), stageWidth) + "  " + plan.OneLine(e.Message)
	right, _ := e.Data["note"].(string)
	if right == "" && e.Seconds > 0 {
		right = short(seconds(e.Seconds))
	}
	left = strings.TrimRight(left, " ")
	if right = plan.OneLine(right); right == "" {
		return left
	}
	gap := timeColumn - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	return left + strings.Repeat(" ", max(2, gap)) + right
}

// progressText renders "112/212 GB  91 MB/s  18m left   117/184 tables   lag 3.1 MB" from what of it is known.
func progressText(e plan.Event, m meter) string {
	var parts []string
	if e.Total > 0 {
		amount := plan.HumanBytesOf(e.Bytes, max(e.Bytes, e.Total))
		if rate := m.rate(); rate > 0 {
			amount += "  " + plan.HumanBytes(int64(rate)) + "/s"
		}
		if left, ok := m.left(); ok {
			amount += "  " + short(left) + " left"
		}
		parts = append(parts, amount)
	}
	if of, ok := number(e.Data["of"]); ok {
		batch, _ := e.Data["batch"].(string)
		done, _ := number(e.Data["done"])
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %d/%d", plan.OneLine(batch), done, of)))
	}
	if total, ok := number(e.Data["tables"]); ok {
		ready, _ := number(e.Data["tables_ready"])
		parts = append(parts, fmt.Sprintf("%d/%d tables", ready, total))
	}
	if total, ok := number(e.Data["to_build"]); ok {
		built, _ := number(e.Data["built"])
		parts = append(parts, fmt.Sprintf("%d/%d indexes and statistics", built, total))
	}
	if lag, ok := number(e.Data["lag_bytes"]); ok {
		parts = append(parts, "lag "+plan.HumanBytes(lag))
	}
	if e.Message != "" {
		parts = append(parts, plan.OneLine(e.Message))
	}
	return strings.Join(parts, "   ")
}

// shareOf is how much of the whole is done, by bytes or else by steps; below 0 it is not known.
func shareOf(e plan.Event) float64 {
	if e.Total > 0 {
		return float64(e.Bytes) / float64(max(e.Bytes, e.Total))
	}
	done, _ := number(e.Data["done"])
	if of, ok := number(e.Data["of"]); ok && of > 0 {
		return float64(min(done, of)) / float64(of)
	}
	return -1
}

// number reads a number of an event's Data, whatever type its maker or JSON gave it.
func number(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), true
	case float64:
		return int64(v), true
	}
	return 0, false
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// short renders a duration without blanks: "4.1s", "18m", "2h5m".
func short(d time.Duration) string {
	return strings.NewReplacer(" min", "m", " ", "").Replace(plan.HumanDuration(d))
}

func padTo(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// cut shortens s to width columns, so that a line of a terminal does not become two.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(0, width-1)]) + "…"
}

// withoutDigits is the part of a message that stays while ages and amounts in it grow.
func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789.", r) {
			return -1
		}
		return r
	}, s)
}

func steps(n int) string {
	if n == 1 {
		return "1 step done"
	}
	return strconv.Itoa(n) + " steps done"
}
