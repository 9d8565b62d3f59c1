package sequences

import (
	"fmt"
	"strings"

	"pgleap/plan"
)

// handMost is how many relations one union holds: planning it grows faster than linearly.
const handMost = 500

// SetSetting counts, in the session that runs the file, how many sequences were set.
const SetSetting = "pgleap.sequences_set"

// ByHand returns a psql script for the old server that writes into a file what the new one is to run: every
// sequence put where it stands, the margin ahead, in one transaction. It asks the relations themselves, which any
// version can tell exactly.
func ByHand(of []plan.Sequence, margin int64, file string) string {
	return written(file, union(of, func(s plan.Sequence) string {
		return fmt.Sprintf("select %s as name, %s as last, is_called as called from %s", plan.QuoteLiteral(s.Name.String()), ahead(s, margin), s.Name)
	}, `select 'select set_config(''`+SetSetting+`'', (current_setting(''`+SetSetting+`'')::int + count(setval(name::regclass, last, called)))::text, false) as sequences_set from (values '
  || string_agg(format('(%L, %L::bigint, %L::boolean)', name, last, called), ', ') || ') v(name, last, called);' from (
`, "\n) s;"))
}

// LateByHand returns a psql script for the old server that writes into a file what puts those of the new server
// that are behind it forward, and nothing backwards: clients are there already. One that cycles has no forward.
func LateByHand(of []plan.Sequence, file string) string {
	var some []plan.Sequence
	for _, s := range of {
		if !s.Cycle {
			some = append(some, s)
		}
	}
	return written(file, union(some, func(s plan.Sequence) string {
		behind := "<"
		if s.Increment < 0 {
			behind = ">"
		}
		return fmt.Sprintf("select %s as name, '%s' as behind, last_value as last, is_called as called from %s", plan.QuoteLiteral(s.Name.String()), behind, s.Name)
	}, "select format('select %L as sequence, pg_catalog.setval(%L, %L, true) as now from %s where last_value %s %L or last_value = %L and not is_called;', name, name, last, name, behind, last, last) from (\n", "\n) s where called;"))
}

func written(file, queries string) string {
	return `\! rm -f ` + file + `
\pset tuples_only on
\pset format unaligned
\o ` + file + `
\qecho begin;
` + queries + `
\qecho commit;
\o
\pset tuples_only off
\pset format aligned`
}

func union(of []plan.Sequence, line func(plan.Sequence) string, head, tail string) string {
	var queries []string
	for len(of) > 0 {
		n := min(handMost, len(of))
		lines := make([]string, n)
		for i, s := range of[:n] {
			lines[i] = "  " + line(s)
		}
		queries = append(queries, head+strings.Join(lines, "\n  union all\n")+tail)
		of = of[n:]
	}
	return strings.Join(queries, "\n")
}

// ahead is Ahead as an expression over a sequence's relation.
func ahead(s plan.Sequence, margin int64) string {
	if margin <= 0 || s.Cycle {
		return "last_value"
	}
	// As numeric: the range of a bigint sequence does not fit into a bigint.
	left, sign, step := fmt.Sprintf("(%d::numeric - last_value)", s.Max), "+", fmt.Sprint(s.Increment)
	if s.Increment < 0 {
		left, sign, step = fmt.Sprintf("(last_value - (%d)::numeric)", s.Min), "-", strings.TrimPrefix(step, "-")
	}
	return fmt.Sprintf("case when is_called then (last_value %s least(%d, div(div(%s, %s), 100)) * %s)::bigint else last_value end", sign, margin, left, step, step)
}
