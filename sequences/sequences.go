// Package sequences carries the positions of sequences over: last_value and is_called, never max(column).
package sequences

import (
	"context"
	"fmt"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// Position is where a sequence stands: with Called, the next value is Last plus the increment; without, Last.
type Position struct {
	Last   int64 `json:"last"`
	Called bool  `json:"called"`
}

// Ahead returns the position with a safety gap of margin values in the sequence's own direction. A gap never
// takes more than a hundredth of what is left of the range; a cycling sequence gets none, because its values
// come back by design, and one that nobody ever called stays as it is.
func Ahead(s plan.Sequence, p Position, margin int64) Position {
	if margin <= 0 || s.Cycle || !p.Called {
		return p
	}
	// Differences in uint64: the range of a bigint sequence does not fit into an int64.
	step, left := uint64(s.Increment), uint64(s.Max)-uint64(p.Last)
	if s.Increment < 0 {
		step, left = -uint64(s.Increment), uint64(p.Last)-uint64(s.Min)
	}
	gap := min(uint64(margin), left/step/100) * step
	if s.Increment < 0 {
		return Position{Last: int64(uint64(p.Last) - gap), Called: true}
	}
	return Position{Last: int64(uint64(p.Last) + gap), Called: true}
}

// Behind tells whether p hands out a value sooner than q would, in the sequence's direction.
func Behind(s plan.Sequence, p, q Position) bool {
	if p.Last == q.Last {
		return !p.Called && q.Called
	}
	return (p.Last < q.Last) == (s.Increment > 0)
}

// ReadStatement is the query that reads every position at once. pg_sequence_last_value opens no query per
// sequence: 1,000 take 10 to 16 ms, a union over the relations 280 to 460. It is null for a sequence that was
// not called yet; those few are asked one by one. 18 has a function that tells both. One that we may not read
// is null, too: it fails where it is asked by itself, and only if it was selected.
func ReadStatement(v pgver.Version) string {
	if v.Has(pgver.SequenceData) {
		return `select n.nspname, c.relname, d.last_value, d.is_called
from pg_class c join pg_namespace n on n.oid = c.relnamespace, pg_get_sequence_data(c.oid) d
where c.relkind = 'S' and c.relpersistence <> 't' and n.nspname <> 'pgleap'`
	}
	return `select n.nspname, c.relname, case when has_sequence_privilege(c.oid, 'select') then pg_sequence_last_value(c.oid) end, true
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'S' and c.relpersistence <> 't' and n.nspname <> 'pgleap'`
}

// Read returns the positions of the sequences, by name. A sequence that is not there, or that may not be
// read, is an error: to leave one out in silence would hand its values out twice.
func Read(ctx context.Context, q pg.Querier, v pgver.Version, of []plan.Sequence) (map[plan.Name]Position, error) {
	if len(of) == 0 {
		return map[plan.Name]Position{}, nil
	}
	schemas, names := make([]string, len(of)), make([]string, len(of))
	for i, s := range of {
		schemas[i], names[i] = s.Name.Schema, s.Name.Name
	}
	rows, err := q.Query(ctx, ReadStatement(v)+`
  and (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))`, schemas, names)
	if err != nil {
		return nil, fmt.Errorf("read the sequences: %w", err)
	}
	all := map[plan.Name]*int64{}
	called := map[plan.Name]bool{}
	for rows.Next() {
		var n plan.Name
		var last *int64
		var c *bool
		if err := rows.Scan(&n.Schema, &n.Name, &last, &c); err != nil {
			rows.Close()
			return nil, fmt.Errorf("read the sequences: %w", err)
		}
		all[n], called[n] = last, c != nil && *c
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the sequences: %w", err)
	}
	out := make(map[plan.Name]Position, len(of))
	var unclear []plan.Name
	for _, s := range of {
		last, there := all[s.Name]
		switch {
		case !there:
			return nil, fmt.Errorf("read the sequences: %s is not there", s.Name)
		case last == nil:
			unclear = append(unclear, s.Name)
		default:
			out[s.Name] = Position{Last: *last, Called: called[s.Name]}
		}
	}
	return out, readEach(ctx, q, unclear, out)
}

// readEach asks the relations themselves, all in one query.
func readEach(ctx context.Context, q pg.Querier, names []plan.Name, out map[plan.Name]Position) error {
	const most = 500 // relations in one union: planning it grows faster than linearly
	for len(names) > 0 {
		n := min(most, len(names))
		parts := make([]string, n)
		for i, name := range names[:n] {
			parts[i] = fmt.Sprintf("select %d, last_value, is_called from %s", i, name)
		}
		rows, err := q.Query(ctx, strings.Join(parts, " union all "))
		if err != nil {
			return fmt.Errorf("read the sequences: %w", err)
		}
		for rows.Next() {
			var i int
			var p Position
			if err := rows.Scan(&i, &p.Last, &p.Called); err != nil {
				rows.Close()
				return fmt.Errorf("read the sequences: %w", err)
			}
			out[names[i]] = p
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("read the sequences: %w", err)
		}
		names = names[n:]
	}
	return nil
}

// SetStatements returns the statements that put sequences to the positions: a few hundred calls of setval in
// each, in the order of of.
func SetStatements(of []plan.Sequence, positions map[plan.Name]Position) []string {
	const most = 500
	var out, calls []string
	flush := func() {
		if len(calls) > 0 {
			out = append(out, "select "+strings.Join(calls, ",\n  "))
			calls = nil
		}
	}
	for _, s := range of {
		p, ok := positions[s.Name]
		if !ok {
			continue
		}
		calls = append(calls, fmt.Sprintf("setval(%s, %d, %t)", plan.QuoteLiteral(s.Name.String()), p.Last, p.Called))
		if len(calls) == most {
			flush()
		}
	}
	flush()
	return out
}

// Moved returns the positions in now that differ from those in before.
func Moved(before, now map[plan.Name]Position) map[plan.Name]Position {
	out := map[plan.Name]Position{}
	for n, p := range now {
		if q, ok := before[n]; !ok || q != p {
			out[n] = p
		}
	}
	return out
}
