package plan

import (
	"fmt"
	"math"
	"strings"
)

// fullSequence is the part of a sequence's range that may be used before it is worth a warning.
const fullSequence = 0.8

func checkSequences(in input) []Finding {
	positions := map[Name]SequencePosition{}
	for _, p := range in.source.Definitions.SequencePositions {
		positions[p.Name] = p
	}
	var out []Finding
	var never []string
	for _, s := range in.selection.Sequences {
		p, known := positions[s.Name]
		switch {
		case !known:
		case p.Unreadable:
			out = append(out, Finding{
				Severity: Warning, On: Source, Object: s.Name.String(),
				Problem: fmt.Sprintf("role %s may not read where sequence %s stands\nthat it was never called cannot be told from that: it could not be carried over", ident(in.source.Role.Name), said(s.Name)),
				Fix:     "let it read the sequence",
				SQL:     fmt.Sprintf("grant select on sequence %s to %s;", s.Name, QuoteIdent(in.source.Role.Name)),
			})
		case p.Busy:
			out = append(out, Finding{
				Severity: Info, On: Source, Object: s.Name.String(),
				Problem: fmt.Sprintf("somebody has locked sequence %s: how much of it is used could not be read", said(s.Name)),
				Fix:     "run pgleap check again later",
			})
		case p.Last == nil:
			never = append(never, said(s.Name))
		default:
			out = append(out, nearEnd(s, p)...)
		}
		out = append(out, cycling(in, s)...)
	}
	if len(never) > 0 {
		out = append(out, Finding{
			Severity: Info, On: Source,
			Problem: fmt.Sprintf("never called, and carried over as that: %s", firstFive(never)),
			Fix:     "nothing is to be done",
		})
	}
	return out
}

// nearEnd warns of a sequence that is nearly used up: by its own range, or by that of the column it fills.
func nearEnd(s Sequence, p SequencePosition) []Finding {
	first, last := float64(s.Min), float64(s.Max)
	what := "sequence " + said(s.Name)
	narrow := false
	if width, ok := columnMax(p.ColumnType); ok && last > width {
		last, narrow = width, true
	}
	at := float64(*p.Last)
	if s.Increment < 0 {
		first, last = float64(s.Max), float64(s.Min)
		if width, ok := columnMax(p.ColumnType); ok && last < -width-1 {
			last, narrow = -width-1, true
		}
	}
	if s.Cycle && !narrow || last == first {
		return nil
	}
	used := (at - first) / (last - first)
	if used < fullSequence {
		return nil
	}
	f := Finding{Severity: Warning, On: Source, Object: s.Name.String()}
	left := int64(math.Max(0, math.Abs(last-at)/math.Abs(float64(s.Increment))))
	f.Problem = fmt.Sprintf("%s has used %.0f %% of its values: %s are left\nwhen it is at its end, every INSERT that needs it fails, on the target as on the source", what, math.Floor(used*100), thousands(left))
	f.Fix = "widen it before pgleap sync, or after the switch: not in between, because definitions must not change while it runs"
	switch {
	case narrow && p.Table != nil:
		f.Problem = fmt.Sprintf("column %s.%s is %s, and its sequence %s has used %.0f %% of what fits into it: %s values are left\nwhen they are used up, every INSERT fails with \"integer out of range\", on the target as on the source",
			said(*p.Table), ident(p.Column), p.ColumnType, said(s.Name), math.Floor(used*100), thousands(left))
		fallthrough
	case p.Table != nil && (p.ColumnType == "integer" || p.ColumnType == "smallint"):
		f.Fix += "; this rewrites the table under an exclusive lock"
		f.SQL = fmt.Sprintf("alter table %s alter column %s type bigint;", *p.Table, QuoteIdent(p.Column))
		if s.Type != "bigint" {
			f.SQL += fmt.Sprintf("\nalter sequence %s as bigint;", s.Name)
		}
	case s.Type != "bigint":
		f.SQL = fmt.Sprintf("alter sequence %s as bigint;", s.Name)
	}
	return []Finding{f}
}

// columnMax is the largest value of an integer column.
func columnMax(columnType string) (width float64, ok bool) {
	switch columnType {
	case "smallint":
		return math.MaxInt16, true
	case "integer":
		return math.MaxInt32, true
	}
	return 0, false
}

// cycling tells what is different about a sequence that begins again.
func cycling(in input, s Sequence) []Finding {
	if !s.Cycle {
		return nil
	}
	f := Finding{
		Severity: Info, On: Source, Object: s.Name.String(),
		Problem: fmt.Sprintf("sequence %s begins again at its end (CYCLE)\nhow often it is called on the old server after the switch cannot be told", said(s.Name)),
		Fix:     "nothing is to be done",
	}
	if in.options.SequenceMargin > 0 {
		f.Severity = Warning
		f.Problem = strings.Replace(f.Problem, "\n", fmt.Sprintf("\nit gets no margin (--sequence-margin %d), and ", in.options.SequenceMargin), 1)
		f.Fix = "accept it where values may come back anyway, or take CYCLE from it"
	}
	return []Finding{f}
}
