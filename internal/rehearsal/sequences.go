package rehearsal

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// position is where a sequence stands.
type position struct {
	name   string
	last   int64
	called bool
}

// sequence is how it moves.
type sequence struct {
	position
	increment int64
	cycle     bool
}

// next is the value that the next nextval gives, or would give if the sequence had no end.
func (s sequence) next() int64 {
	if s.called {
		return s.last + s.increment
	}
	return s.last
}

func positions(rows [][]string) ([]position, error) {
	var out []position
	for _, r := range rows {
		last, err := strconv.ParseInt(r[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the sequence %s: %w", r[0], err)
		}
		out = append(out, position{r[0], last, r[2] == "t"})
	}
	return out, nil
}

// sequences reads all of a database, each from its own relation: not the way the tool does.
func sequences(ctx context.Context, server Server) (map[string]sequence, error) {
	out := map[string]sequence{}
	err := server.admin(ctx, func(a *pg.Session) error {
		rows, err := a.Script(ctx, `select n.nspname, c.relname, s.seqincrement, s.seqcycle
			from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
			where n.nspname <> 'pgleap' order by 1, 2`)
		if err != nil || len(rows) == 0 {
			return err
		}
		var selects []string
		for _, r := range rows {
			name := plan.Name{Schema: r[0], Name: r[1]}.String()
			selects = append(selects, fmt.Sprintf("select %s, last_value, is_called from %s", plan.QuoteLiteral(name), name))
			increment, _ := strconv.ParseInt(r[2], 10, 64)
			out[name] = sequence{increment: increment, cycle: r[3] == "t"}
		}
		rows, err = a.Script(ctx, strings.Join(selects, " union all "))
		if err != nil {
			return err
		}
		found, err := positions(rows)
		for _, p := range found {
			s := out[p.name]
			s.position = p
			out[p.name] = s
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the sequences: %w", err)
	}
	return out, nil
}

// behind says why the target's sequence could hand out something that the source's did, or "".
func behind(source, target sequence, margin int64) string {
	at := fmt.Sprintf("%s: source %d (called %t), target %d (called %t)", source.name, source.last, source.called, target.last, target.called)
	if source.increment != target.increment || source.cycle != target.cycle {
		return at + ": not the same sequence"
	}
	if source.cycle && margin == 0 {
		if source.position != target.position {
			return at + ": a cycling sequence must stand at the same place"
		}
		return ""
	}
	if source.cycle {
		return ""
	}
	short := source.next() - target.next()
	if source.increment < 0 {
		short = -short
	}
	if short > 0 {
		return at
	}
	return ""
}
