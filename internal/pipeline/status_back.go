package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/cutover"
	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// WayBackStatus is what leads back, from a release on until finalize or a rollback.
type WayBackStatus struct {
	Planned  bool           `json:"planned"`           // the run has one
	Possible bool           `json:"rollback_possible"` // pgleap rollback would be carried out now
	Why      []string       `json:"why_not,omitempty"`
	Lag      *pgsync.Lag    `json:"lag,omitempty"`                       // of the old server behind the new one
	Growth   float64        `json:"retained_bytes_per_second,omitempty"` // of the WAL that the new server keeps for it
	Worker   *pgsync.Worker `json:"apply_worker,omitempty"`              // on the old server
}

// gates tells on which side the fence stands.
type gates struct{ source, target bool }

func (r *run) gates(ctx context.Context) (g gates, err error) {
	for _, side := range []struct {
		q      pg.Querier
		closed *bool
	}{{r.source, &g.source}, {r.target, &g.target}} {
		if err := side.q.QueryRow(ctx, "select "+plan.FenceStands).Scan(side.closed); err != nil {
			return g, fmt.Errorf("look for the fence: %w", err)
		}
	}
	return g, nil
}

// The records that end the switches of a trip: of the cutover, of the rollback, and of all that follows it.
var tripRecords = []string{"released", "returned", "rolled-back"}

// lastOfTrip is the newest of those records, "" where there is none.
func (r *run) lastOfTrip(ctx context.Context) (kind string, err error) {
	err = r.target.QueryRow(ctx, `select kind from pgleap.event where kind = any ($1) order by id desc limit 1`, tripRecords).Scan(&kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the journal: %w", err)
	}
	return kind, nil
}

// truth says which server the writes belong to, and, in the middle of a switch, the one command that finishes it. It
// reads the gates, and where both are closed the journal.
func (r *run) truth(ctx context.Context, st *Status) error {
	g, err := r.gates(ctx)
	if err != nil {
		return err
	}
	st.Fenced, st.TargetFenced = g.source, g.target
	if !st.Known {
		return nil
	}
	st.Truth = plan.Source
	last, err := r.lastOfTrip(ctx)
	if err != nil {
		return err
	}
	stages, err := r.journal.Stages(ctx)
	if err != nil {
		return err
	}
	switch {
	case g.target && last != "rolled-back": // at a first cutover the target has no fence
		st.middle(g, "rollback")
	case g.source:
		st.Truth = plan.Target
		if g.target || last != "released" || !stages[plan.StageTeardown] {
			st.middle(g, "cutover")
		}
	}
	return nil
}

// middle notes a switch that was killed behind its point of no return.
func (s *Status) middle(g gates, verb string) {
	writes := "clients may write there"
	if g.source && g.target {
		writes = "nobody can write anywhere until it is finished"
	}
	s.Unfinished = verb
	s.Problems = append(s.Problems, Problem{
		Level: Critical, Text: fmt.Sprintf("a %s is past its point of no return and not finished: the %s is the truth, %s", verb, s.Truth, writes), Mend: "pgleap " + verb,
	})
}

// afterSwitch is what the operator would do while the target is the truth.
func (s Status) afterSwitch(finished bool) string {
	switch {
	case !finished:
		return "pgleap cutover (goes on behind the fence)"
	case s.Witness != nil && len(s.Witness.Violations) > 0:
		return "keep every client off the old server, and carry over by hand what was written there behind the fence, before anything else"
	case s.WayBack.Possible:
		return "pgleap finalize, when nobody needs the old server any more; until then pgleap rollback goes back"
	case s.Level == Critical:
		return "mend what is wrong, or give the way back up with pgleap finalize"
	}
	return "pgleap finalize, when nobody needs the old server any more"
}

// backHints are what the plan knows that the old server does not take: findings of check reverse-values.
func (r *run) backHints() string {
	var hints []string
	for _, f := range r.plan.Findings {
		if f.Check == "reverse-values" {
			text, _, _ := strings.Cut(f.Problem, "\n")
			hints = append(hints, text)
		}
	}
	if len(hints) == 0 {
		return ""
	}
	return ". What it may be: " + strings.Join(hints, "; ")
}

// wayBack judges whether pgleap rollback is possible now: the target has been released, and is the truth.
func (r *run) wayBack(ctx context.Context, st *Status) error {
	w := &WayBackStatus{Planned: r.plan.HasWayBack()}
	st.WayBack = w
	if !done(*st, plan.StageTeardown) {
		w.Why = []string{"the cutover is not finished"}
		return nil
	}
	if !w.Planned {
		why := "the run was begun without a way back"
		if r.plan.Options.NoWayBack {
			why += " (--no-way-back)"
		}
		w.Why = []string{why}
		return nil
	}
	found, err := r.backProblems(ctx, w)
	if err != nil {
		return err
	}
	for _, p := range found {
		p.Check = "reverse-ready"
		st.Problems = append(st.Problems, p)
		if p.Level == Critical {
			w.Why = append(w.Why, p.Text)
		}
	}
	w.Possible = len(w.Why) == 0
	return nil
}

// backProblems are critical where a rollback is not possible.
func (r *run) backProblems(ctx context.Context, w *WayBackStatus) ([]Problem, error) {
	follower, followed := &pg.Target{Session: r.source.Session}, &pg.Source{Session: r.target.Session}
	lane := r.Run.Back()
	before, err := pgsync.ReadLag(ctx, followed, lane)
	if errors.Is(err, pgsync.ErrNoSlot) {
		return []Problem{{Level: Critical, Text: "the replication slot " + lane.Object() + " is gone from the target: what clients write cannot come to the old server any more", Mend: giveUp}}, nil
	}
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(trendOver):
	}
	lag, err := pgsync.ReadLag(ctx, followed, lane)
	if err != nil {
		return nil, err
	}
	w.Lag, w.Growth = &lag, float64(lag.Retained-before.Retained)/lag.At.Sub(before.At).Seconds()
	out := keptForBack(lag, w.Growth)
	worker, err := pgsync.ReadWorker(ctx, follower, lane)
	if err != nil {
		return nil, err
	}
	w.Worker = &worker
	if p, found := r.backWorker(worker, lag); found {
		out = append(out, p)
	}
	refused, err := r.backRefused(ctx)
	return append(out, refused...), err
}

// backRefused asks what the gate of a rollback asks, besides what follows by itself.
func (r *run) backRefused(ctx context.Context) ([]Problem, error) {
	var out []Problem
	for _, gate := range []struct {
		look func(context.Context) error
		mend string // "" is the failure's own
	}{
		{r.compare, "make the same change on the old server, or take it back on the new one"},
		{r.fitsBack, ""},
	} {
		err := gate.look(ctx)
		var f *plan.Failure
		if err != nil && !errors.As(err, &f) {
			return nil, err
		}
		if err != nil {
			out = append(out, Problem{Level: Critical, Text: f.Err.Error(), Mend: cmp.Or(gate.mend, f.Fix)})
		}
	}
	return out, nil
}

// giveUp is what is left where the way back is lost.
const giveUp = "the way back is lost: pgleap finalize gives the old server up"

// backWorker looks at the apply worker on the old server.
func (r *run) backWorker(w pgsync.Worker, lag pgsync.Lag) (Problem, bool) {
	p := Problem{Level: Critical, Mend: "look into the old server's log for the last ERROR of the logical replication worker; after the mend it goes on by itself"}
	name := plan.QuoteIdent(r.Run.Back().Object())
	switch trouble := w.Trouble(); {
	case !w.Exists:
		p.Text, p.Mend = "subscription "+name+" is gone from the old server: it does not follow any more", giveUp
	case !w.Enabled:
		p.Text, p.Mend = "subscription "+name+" on the old server is disabled: it does not follow", "alter subscription "+name+" enable; (on the source)"
	case trouble != "":
		p.Text = "the old server has stopped following: its apply worker fails, again and again" + r.backHints()
	case !lag.Active:
		p.Text = "the old server does not read from the new one: its slot is not in use"
	default:
		return Problem{}, false
	}
	return p, true
}

// keptForBack judges the WAL that the target keeps for the old server: production is on that disk now.
func keptForBack(l pgsync.Lag, growth float64) []Problem {
	switch {
	case l.Status == "lost":
		return []Problem{{Level: Critical, Text: "the target has thrown away WAL that the old server still needed (wal_status lost)", Mend: giveUp}}
	case l.Status == "unreserved":
		return []Problem{{Level: Warn, Text: "the target is about to throw away WAL that the old server still needs (wal_status unreserved): the way back is lost then", Mend: "raise max_slot_wal_keep_size on the target and reload it"}}
	case l.Safe != nil && growth > 0 && float64(*l.Safe)/growth < 3600:
		return []Problem{{
			Level: Warn, Text: fmt.Sprintf("the target keeps %s of WAL for the way back, and its limit is reached in %s at this rate: the way back is lost then", plan.HumanBytes(l.Retained), plan.HumanDuration(time.Duration(float64(*l.Safe)/growth*float64(time.Second)))),
			Mend: "see why the old server falls behind; raise max_slot_wal_keep_size on the target and reload it",
		}}
	case l.Bytes > cutover.MostLag:
		return []Problem{{Level: Warn, Text: fmt.Sprintf("the old server is %s behind: a rollback waits until it is near", plan.HumanBytes(l.Bytes)), Mend: "wait; see what slows the old server down"}}
	}
	return nil
}
