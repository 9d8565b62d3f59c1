package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// judgement returns what is wrong, and what to say when nothing is.
type judgement func(context.Context) (wrong []string, good string, err error)

// add runs one judgement and keeps what it says. An error ends the rehearsal: not knowing is not passing.
func (w *walk) add(ctx context.Context, id string, judge judgement) error {
	start := time.Now()
	wrong, good, err := judge(ctx)
	if err != nil {
		return fmt.Errorf("judge %s: %w", id, err)
	}
	a := Assertion{ID: id, Holds: len(wrong) == 0, Detail: good, Seconds: time.Since(start).Seconds()}
	if !a.Holds {
		a.Detail = several(wrong)
	}
	w.verdict.Assertions = append(w.verdict.Assertions, a)
	return nil
}

// several shows the first few of many.
func several(lines []string) string {
	const shown = 8
	if len(lines) <= shown {
		return strings.Join(lines, "\n")
	}
	return strings.Join(lines[:shown], "\n") + fmt.Sprintf("\n… and %d more", len(lines)-shown)
}

// judge judges everything that can be known when the load has ended.
func (w *walk) judge(ctx context.Context) error {
	start := time.Now()
	w.endWindows()
	now, _ := w.final()
	found, err := readLedger(ctx, now)
	if err != nil {
		return err
	}
	follows, err := w.followed(ctx)
	if err != nil {
		return err
	}
	var counts map[string]digest
	for _, a := range []struct {
		id    string
		judge judgement
	}{
		{"R-LOST", func(context.Context) ([]string, string, error) { return w.judgeLost(found) }},
		{"R-DUP", func(context.Context) ([]string, string, error) { return w.judgeDuplicates(found) }},
		{"R-SUM", func(context.Context) ([]string, string, error) { return judgeSum(found) }},
		{"R-HASH", func(ctx context.Context) (wrong []string, good string, err error) {
			wrong, good, counts, err = w.judgeHashes(ctx, follows.does)
			return wrong, good, err
		}},
		{"R-SPLIT", w.judgeSplit},
		{"R-ERR", w.judgeErrors},
		{"R-STALL", w.judgeStall},
		{"R-READ", w.judgeReads},
		{"R-LOAD", w.judgeLoad},
		{"R-SEQ", w.judgeSequences},
		{"R-STATS", func(ctx context.Context) ([]string, string, error) { return w.judgeStatistics(ctx, counts) }},
	} {
		if err := w.add(ctx, a.id, a.judge); err != nil {
			return err
		}
	}
	if len(w.turns) > 1 {
		err := w.add(ctx, "R-BACK", func(ctx context.Context) ([]string, string, error) { return w.judgeBack(ctx, found, follows) })
		if err != nil {
			return err
		}
	}
	w.gatherTurns()
	w.phase("judgement", start, fmt.Sprintf("%d tables compared", len(counts)))
	return nil
}

// judgeLate judges what has to wait for finalize. After abort there is nothing left to compare the schema with.
func (w *walk) judgeLate(ctx context.Context) error {
	if w.last().Direction == there {
		if err := w.add(ctx, "R-SCHEMA", w.judgeSchema); err != nil {
			return err
		}
	}
	if w.config.SkipFinalize {
		return nil
	}
	return w.add(ctx, "R-CLEAN", func(ctx context.Context) ([]string, string, error) {
		left, err := w.stage.leftovers(ctx, w.before)
		return left, "nothing of ours is left on either side", err
	})
}

// judgeHashes compares each table at the release: the source stands still since the fence, the target is read
// from the snapshot that was taken before the first client came. Without one both are read now: if the server that was
// left follows, every table must be the same, else all but the ledger's, which clients have gone on to write.
func (w *walk) judgeHashes(ctx context.Context, follows bool) (wrong []string, good string, target map[string]digest, err error) {
	source, err := digestsNow(ctx, w.stage.Source)
	if err != nil {
		return nil, "", nil, err
	}
	when := "at the fence"
	switch {
	case w.snapshot != nil && !follows:
		target, err = digests(ctx, w.snapshot.session)
	default:
		when = "in the end"
		target, err = digestsNow(ctx, w.stage.Target)
	}
	if err != nil {
		return nil, "", nil, err
	}
	if w.snapshot == nil && !follows {
		when = "in the end, without the ledger's, which the clients went on to write"
		for _, tables := range []map[string]digest{source, target} {
			maps.DeleteFunc(tables, func(name string, _ digest) bool { return strings.HasPrefix(name, "ledger.") })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(source)) {
		s, t := source[name], target[name]
		switch {
		case s.err != "":
			wrong = append(wrong, fmt.Sprintf("%s cannot be read on the source: %s", name, s.err))
		case t.err != "":
			wrong = append(wrong, fmt.Sprintf("%s cannot be read on the target: %s", name, t.err))
		case t == digest{}:
			wrong = append(wrong, name+" is not on the target")
		case s.count != t.count:
			wrong = append(wrong, fmt.Sprintf("%s: %s rows on the source, %s on the target", name, s.count, t.count))
		case s.sum != t.sum:
			wrong = append(wrong, fmt.Sprintf("%s: %s rows on both sides, but not the same", name, s.count))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(target)) {
		if _, ok := source[name]; !ok {
			wrong = append(wrong, name+" is on the target only")
		}
	}
	return wrong, fmt.Sprintf("%d tables have the same count and hash %s", len(source), when), target, nil
}

func digestsNow(ctx context.Context, server Server) (map[string]digest, error) {
	session, err := openPinned(ctx, server)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if _, err := session.Script(ctx, "begin isolation level repeatable read read only"); err != nil {
		return nil, fmt.Errorf("take a snapshot of the %s: %w", server.Side, err)
	}
	return digests(ctx, session)
}

// judgeSplit asks the own WAL of each server that was left, from its fence until the clients were about to come back.
func (w *walk) judgeSplit(ctx context.Context) (wrong []string, good string, err error) {
	for _, t := range w.turns {
		if t.FenceLSN == "" {
			wrong = append(wrong, fmt.Sprintf("%s did not say at which position it stopped the %s", t.Direction, t.from.Side))
			continue
		}
		sample, n, err := w.oracles[t.from.Side].between(ctx, t.from, t.FenceLSN, t.until)
		if err != nil {
			return nil, "", err
		}
		if n > 0 {
			wrong = append(append(wrong, fmt.Sprintf("%d row changes on the %s after %s", n, sideName(t.from), t.FenceLSN)), sample...)
		}
	}
	good = fmt.Sprintf("0 row changes on the old server after %s", w.turns[0].FenceLSN)
	if len(w.turns) > 1 {
		good = fmt.Sprintf("0 row changes but replication's on the server that was left, after each of %d fences", len(w.turns))
	}
	return wrong, good, nil
}

// sideName is how people call the server.
func sideName(s Server) string {
	if s.Side == plan.Source {
		return "old server"
	}
	return "new server"
}

// judgeSequences compares where each sequence stood: those that clients move at the release, the others now. Without
// a snapshot of the release what was handed out tells: after a switch nothing at or before what the other server gave.
func (w *walk) judgeSequences(ctx context.Context) (wrong []string, good string, err error) {
	now, left := w.final()
	source, err := sequences(ctx, left)
	if err != nil {
		return nil, "", err
	}
	target, err := sequences(ctx, now)
	if err != nil {
		return nil, "", err
	}
	if w.snapshot == nil {
		wrong = w.handedBack()
	} else {
		for _, p := range w.snapshot.ledger {
			t := target[p.name]
			t.position = p
			target[p.name] = t
		}
	}
	for _, name := range slices.Sorted(maps.Keys(source)) {
		t, ok := target[name]
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s is not on the %s", name, now.Side))
		} else if b := behind(source[name], t, w.config.Margin); b != "" {
			wrong = append(wrong, b)
		}
	}
	return wrong, fmt.Sprintf("%d sequences go on behind everything handed out", len(source)), nil
}

// statisticsRows is from how many rows on a table must have statistics.
const statisticsRows = 100

// judgeStatistics reads the snapshot, in which autovacuum cannot have helped since; without one the target, whose
// autovacuum is off where the server is ours.
func (w *walk) judgeStatistics(ctx context.Context, counts map[string]digest) (wrong []string, good string, err error) {
	if w.snapshot != nil {
		return statistics(ctx, w.snapshot.session, len(counts))
	}
	err = w.stage.Target.admin(ctx, func(a *pg.Session) error {
		wrong, good, err = statistics(ctx, a, len(counts))
		return err
	})
	return wrong, good, err
}

func statistics(ctx context.Context, session *pg.Session, tables int) (wrong []string, good string, err error) {
	// Statistics of a root are inherited ones. A table without columns has none.
	rows, err := session.Script(ctx, `select quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'm') and c.relispopulated and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
		and exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
		and not exists (select from pg_statistic s where s.starelid = c.oid and s.stainherit = (c.relkind = 'p')) order by 1`)
	if err != nil {
		return nil, "", err
	}
	for _, r := range rows {
		n, err := session.Script(ctx, fmt.Sprintf("select count(*) >= %d, count(*) from (select from %s limit %d) t", statisticsRows, r[0], statisticsRows))
		if err != nil {
			return nil, "", err
		}
		if n[0][0] == "t" {
			wrong = append(wrong, fmt.Sprintf("%s has rows but no statistics", r[0]))
		}
	}
	return wrong, fmt.Sprintf("every table with %d rows or more has statistics (%d tables)", statisticsRows, tables), nil
}

// judgeSecrets looks through everything that was printed or kept.
func (w *walk) judgeSecrets(ctx context.Context) error {
	return w.add(ctx, "R-SECRET", func(context.Context) ([]string, string, error) {
		texts := append(w.stage.tool.printed(), w.journal...)
		logs, err := w.stage.logs()
		if err != nil {
			return nil, "", err
		}
		texts = append(texts, logs...)
		var b strings.Builder
		if err := w.verdict.WriteJSON(&b); err != nil {
			return nil, "", err
		}
		texts = append(texts, output{"the verdict", b.String()})
		if w.config.Report != "" {
			written, err := files(w.config.Report)
			if err != nil {
				return nil, "", err
			}
			texts = append(texts, written...)
		}
		wrong := slices.Clone(w.seen)
		for _, t := range texts {
			wrong = append(wrong, find(w.stage.secrets(), t.Name, t.Text)...)
		}
		slices.Sort(wrong)
		good := fmt.Sprintf("no password in %d texts, %d looks at activity and processes", len(texts), w.samples)
		if len(logs) == 0 {
			good += " (the logs of given servers cannot be read)"
		}
		return slices.Compact(wrong), good, nil
	})
}
