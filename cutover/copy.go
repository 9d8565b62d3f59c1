package cutover

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// pair is a session on each side: what one reads the other writes.
type pair struct {
	from *pg.Source
	to   *pg.Target
}

// copies returns the steps of --copy-in-switch, those of one batch together: they go side by side. A rehearsal
// leaves them out: what they copy is committed at once.
func (w *Switch) copies() (levels [][]plan.Step) {
	if w.Rehearse {
		return nil
	}
	batch := ""
	for _, s := range w.Stage.Steps {
		if !IsCopy(s) {
			continue
		}
		if s.Batch == batchDrain && len(levels) > 0 {
			levels[0] = append(levels[0], s)
			continue
		}
		if s.Batch != batch {
			levels = append(levels, nil)
			batch = s.Batch
		}
		levels[len(levels)-1] = append(levels[len(levels)-1], s)
	}
	return levels
}

// IsCopy tells whether the step copies while writes stand still.
func IsCopy(s plan.Step) bool { return strings.HasPrefix(string(s.ID), copyPrefix) && s.Batch != "" }

// openPairs opens as many pairs as copies go side by side at most.
func (w *Switch) openPairs(ctx context.Context, s *sessions) error {
	most := 0
	for _, level := range w.copies() {
		most = max(most, len(level))
	}
	for range min(most, max(w.Jobs, 1)) {
		p := pair{}
		var err error
		if p.from, err = w.Connect.OpenSource(ctx); err != nil {
			return err
		}
		if p.to, err = w.Connect.OpenTarget(ctx); err != nil {
			p.from.Close()
			return err
		}
		s.pairs = append(s.pairs, p)
	}
	return nil
}

// preparePairs sets the sessions up, so that both sides read and write every value alike, a commit is on disk and row
// security hides nothing in silence; and empties the target's tables.
func (w *Switch) preparePairs(ctx context.Context, s *sessions) error {
	if err := w.openPairs(ctx, s); err != nil || len(s.pairs) == 0 {
		return err
	}
	for _, p := range s.pairs {
		for _, on := range []*pg.Session{p.from.Session, p.to.Session} {
			if _, err := on.Exec(ctx, "set lc_monetary = 'C'; set bytea_output = 'hex'; set xmloption = 'content'; set row_security = off; set synchronous_commit = on"); err != nil {
				return err
			}
		}
	}
	for _, statement := range w.statements(StepEmpty) {
		if _, err := s.pairs[0].to.Exec(ctx, statement); err != nil {
			return wrap("empty what is copied in the switch", err)
		}
	}
	w.point("emptied")
	return nil
}

// copyLevel copies the objects of one level side by side, the heaviest first. What it has copied is committed, and
// on disk.
func (w *Switch) copyLevel(ctx context.Context, s *sessions, level []plan.Step, r *Result) error {
	began := time.Now()
	todo := slices.Clone(level)
	slices.SortStableFunc(todo, func(a, b plan.Step) int { return int(min(max(b.Weight-a.Weight, -1), 1)) })
	queue := make(chan plan.Step, len(todo))
	for _, step := range todo {
		queue <- step
	}
	close(queue)
	var mu sync.Mutex
	group, inner := errgroup.WithContext(ctx)
	for _, p := range s.pairs {
		group.Go(func() error {
			for step := range queue {
				name := strings.TrimPrefix(string(step.ID), "switch.")
				w.point(name + ".before")
				rows, bytes, err := p.carry(inner, step)
				if err != nil {
					return wrap(step.Title, err)
				}
				w.point(name + ".done")
				mu.Lock()
				r.CopiedBytes += bytes
				if step.ID == StepLargeObjects {
					r.LargeObjects = rows
				} else {
					r.Copied++
				}
				mu.Unlock()
			}
			return nil
		})
	}
	err := group.Wait()
	r.CopyMS += float64(time.Since(began).Microseconds()) / 1000
	return err
}

// carry carries out one copy: a statement that ends with "to stdout" goes to the source, and what it gives into
// the statement after it; all others go to the target. It returns the rows of the first.
func (p pair) carry(ctx context.Context, step plan.Step) (rows, bytes int64, err error) {
	first := true
	list := plan.Statements(step.Do.SQL)
	for i := 0; i < len(list); i++ {
		if !strings.HasSuffix(list[i], " to stdout") || i+1 == len(list) {
			if _, err := p.to.Exec(ctx, list[i]); err != nil {
				return 0, 0, err
			}
			continue
		}
		n, size, err := pg.Pipe(ctx, p.from, p.to, list[i], list[i+1], nil)
		if err != nil {
			return 0, 0, err
		}
		i++
		bytes += size
		if first {
			rows, first = n, false
		}
	}
	return rows, bytes, nil
}
