package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgleap/cutover"
	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// Thresholds are from when on a lag is worth a warning, and when it is critical.
type Thresholds struct {
	WarnBytes, CriticalBytes     int64
	WarnSeconds, CriticalSeconds float64
}

// Level says how well a run is.
type Level string

// The levels of a status.
const (
	Unknown  Level = "unknown" // the target has no journal of the run
	OK       Level = "ok"
	Warn     Level = "warning"
	Critical Level = "critical"
)

// Problem is something that is wrong, with its mend.
type Problem struct {
	Level Level  `json:"level"`
	Text  string `json:"problem"`
	Mend  string `json:"mend,omitempty"`
	Check string `json:"check,omitempty"` // its id: pgleap explain says more
}

// HeldStatus is a switch that is prepared and waits for the word (--hold).
type HeldStatus struct {
	Verb  string    `json:"verb"` // cutover or rollback
	By    string    `json:"by"`   // user@host
	Since time.Time `json:"since"`
	Given bool      `json:"given"` // the word was given, the switch is about to begin
}

// Word is the command that gives it.
func (h HeldStatus) Word() string { return "pgleap " + h.Verb + " --go" }

// String is the switch in a line.
func (h HeldStatus) String() string {
	who := fmt.Sprintf("a %s by %s, since %s", h.Verb, h.By, h.Since.Local().Format(time.DateTime))
	if h.Given {
		return who + ": the word was given"
	}
	return who + ", waits for the word: " + h.Word()
}

// StageStatus is how far a stage is.
type StageStatus struct {
	ID    plan.StageID `json:"id"`
	Title string       `json:"title"`
	State string       `json:"state"` // done, begun, pending
	Steps int          `json:"steps"`
	Done  int          `json:"steps_done"` // of those that are recorded or whose probe says done
}

// Status is everything that can be said of a run without changing anything.
type Status struct {
	Run    plan.RunID          `json:"run"`
	Known  bool                `json:"known"` // the target has a journal of this run
	Level  Level               `json:"level"`
	Stages []StageStatus       `json:"stages,omitempty"`
	States map[string]int      `json:"tables_by_state,omitempty"`
	Tables []pgsync.TableState `json:"tables,omitempty"`
	Bytes  int64               `json:"copied_bytes"`
	Total  int64               `json:"total_bytes"`
	Lag    *pgsync.Lag         `json:"lag,omitempty"`
	Growth float64             `json:"retained_bytes_per_second"` // of the WAL that our slot keeps

	// CatchUp is in how many seconds the lag is gone at the rate of this moment; none where it is small, or grows.
	CatchUp *float64 `json:"seconds_to_catch_up,omitempty"`

	Kept   *WALKept       `json:"retained_wal,omitempty"` // of the slot of ours that is nearest to a limit
	Worker *pgsync.Worker `json:"apply_worker,omitempty"`
	Lanes  []LaneStatus   `json:"lanes,omitempty"` // each by itself; what is said of the run is the worst of them
	Fenced bool           `json:"source_fenced"`

	TargetFenced bool           `json:"target_fenced"`        // a rollback has closed the target's gate
	Truth        plan.Side      `json:"truth,omitempty"`      // the server that the writes belong to, also in the middle of a switch
	Unfinished   string         `json:"unfinished,omitempty"` // cutover or rollback: it is past its point of no return and not complete
	Held         *HeldStatus    `json:"held,omitempty"`       // a switch that waits for the word
	WayBack      *WayBackStatus `json:"way_back,omitempty"`   // while the target is the truth

	Holds []string `json:"holds_clients_of,omitempty"` // poolers, host:port: a switch holds their clients, or was cut short while it did

	Witness  *cutover.Witnessed `json:"source_wal,omitempty"` // who wrote on the source behind the fence
	Aborting bool               `json:"aborting,omitempty"`   // an abort was begun and not finished
	Problems []Problem          `json:"problems"`
}

// Next says what the operator would do now.
func (s Status) Next() string {
	state := map[plan.StageID]string{}
	for _, st := range s.Stages {
		state[st.ID] = st.State
	}
	switch {
	case s.Aborting:
		return "pgleap abort"
	case !s.Known && len(s.Problems) > 0:
		return "mend what is wrong first"
	case !s.Known:
		return "pgleap sync"
	case len(s.Holds) > 0:
		return "if no pgleap is at work: " + s.letGo()
	case s.Unfinished != "":
		return "pgleap " + s.Unfinished + " (goes on from there)"
	case s.Held != nil && !s.Held.Given:
		return s.Held.Word() + " (lets the prepared " + s.Held.Verb + " begin)"
	case s.WayBack != nil:
		return s.afterSwitch(state[plan.StageTeardown] == "done")
	case s.Level == Critical || slices.ContainsFunc(s.Problems, func(p Problem) bool { return p.Check == "drift" }):
		return "mend what is wrong first"
	case state[plan.StageFinish] == "done":
		return "pgleap cutover"
	default:
		return "pgleap sync"
	}
}

// letGo is the command that lets clients go on.
func (s Status) letGo() string { return "pgleap repair" + consoles(s.Holds) }

// holding notes a switch that holds clients at this moment, or was killed together with its watchdog.
func (r *run) holding(ctx context.Context, st *Status) error {
	last, err := r.lastHold(ctx)
	if err != nil || last != journal.Holding {
		return err
	}
	if st.Holds, err = r.heldNodes(ctx); err != nil {
		return err
	}
	st.Problems = append(st.Problems, Problem{
		Level: Critical, Text: "a switch holds the clients of PgBouncer " + strings.Join(st.Holds, ", ") + ", or was cut short while it did",
		Mend: "if no pgleap is at work: " + st.letGo() + ", and --pgbouncer-config FILE for each, or --on-reroute COMMAND, as then",
	})
	return nil
}

// ReadStatus reads it. The sessions only read.
func ReadStatus(ctx context.Context, c Config, th Thresholds) (Status, error) {
	s, err := pg.OpenSource(ctx, c.Source, pg.Options{Verb: "status", ReadOnly: true, Log: c.Log})
	if err != nil {
		return Status{}, err
	}
	defer s.Close()
	t, err := pg.OpenTarget(ctx, c.Target, pg.Options{Verb: "status", ReadOnly: true, Log: c.Log})
	if err != nil {
		return Status{}, err
	}
	defer t.Close()
	r := &run{Config: c, source: s, target: t, journal: journal.On(t, c.Run)}
	st := Status{Run: c.Run, Level: OK, Problems: []Problem{}}
	if st.Known, err = r.load(ctx); err != nil {
		return st, err
	}
	if err := r.truth(ctx, &st); err != nil {
		return st, err
	}
	if !st.Known {
		return r.stranger(ctx, st)
	}
	if st.Held, err = r.heldSwitch(ctx); err != nil {
		return st, err
	}
	if err := r.errAborting(ctx); plan.KindOf(err) == plan.KindDrift {
		st.Level, st.Aborting = Critical, true
		st.Problems = append(st.Problems, Problem{Level: Critical, Text: "an abort was begun and not finished", Mend: "pgleap abort"})
		return st, nil
	} else if err != nil {
		return st, err
	}
	if err := r.stageStates(ctx, &st); err != nil {
		return st, err
	}
	if err := r.holding(ctx, &st); err != nil {
		return st, err
	}
	switch {
	case st.Truth == plan.Target:
		if err = r.wayBack(ctx, &st); err != nil {
			return st, err
		}
		st.Witness, err = r.witness(ctx, witnessSoon)
		st.Problems = append(st.Problems, witnessProblem(st.Witness)...)
		if err == nil && st.Witness != nil {
			err = r.witnessKeeps(ctx, &st)
		}
	case done(st, plan.StagePublish) && st.Unfinished == "":
		err = r.replication(ctx, &st, th)
	}
	if err != nil {
		return st, err
	}
	for _, p := range st.Problems {
		if p.Level == Critical || st.Level == OK {
			st.Level = p.Level
		}
	}
	return st, nil
}

// stranger is the status of a run that the target does not know: it was never begun there, or is finalized, unless the
// source has something of it.
func (r *run) stranger(ctx context.Context, st Status) (Status, error) {
	st.Level = Unknown
	err := r.nothingOfIt(ctx)
	var f *plan.Failure
	if errors.As(err, &f) {
		st.Level = Critical
		st.Problems = append(st.Problems, Problem{Level: Critical, Text: f.Err.Error(), Mend: f.Fix})
		return st, nil
	}
	return st, err
}

// heldSwitch is the switch that waits for the word; nil is none.
func (r *run) heldSwitch(ctx context.Context) (*HeldStatus, error) {
	h, err := r.journal.Held(ctx)
	if err != nil || h == nil {
		return nil, err
	}
	return &HeldStatus{Verb: h.Verb, By: h.By, Since: h.Since, Given: h.Given}, nil
}

func done(st Status, id plan.StageID) bool {
	for _, s := range st.Stages {
		if s.ID == id {
			return s.State == "done"
		}
	}
	return false
}

func (r *run) stageStates(ctx context.Context, st *Status) error {
	stages, err := r.journal.Stages(ctx)
	if err != nil {
		return err
	}
	steps, err := r.journal.Steps(ctx)
	if err != nil {
		return err
	}
	first := true // the first unfinished stage is the one that is being walked
	for _, stage := range r.plan.Stages {
		s := StageStatus{ID: stage.ID, Title: stage.Title, State: "pending", Steps: len(stage.Steps)}
		if stages[stage.ID] || stage.ID == plan.StageRefresh && stages[plan.StageSwitch] {
			s.State, s.Done = "done", s.Steps
		} else if first && stage.ID != plan.StageRefresh { // which leaves no trace until the switch is done
			first = false
			if s.Done, err = r.countDone(ctx, stage, steps); err != nil {
				return err
			}
			if s.Done > 0 {
				s.State = "begun"
			}
		}
		st.Stages = append(st.Stages, s)
	}
	return nil
}

func (r *run) countDone(ctx context.Context, stage plan.Stage, recorded map[plan.StepID]bool) (int, error) {
	n := 0
	for _, s := range stage.Steps {
		switch {
		case s.Recorded && recorded[s.ID]:
			n++
		case pgsync.IsDurable(s): // it says nothing of a switch that was begun
		case s.Probe != "":
			if state, err := r.probe(ctx, s); err == nil && state == plan.Done {
				n++
			} else if err != nil && plan.KindOf(err) != plan.KindDrift {
				return 0, err
			}
		}
	}
	return n, nil
}

// trendOver is the time between two looks at the retained WAL.
const trendOver = 500 * time.Millisecond

// replication reads slot, worker and tables, and judges them.
func (r *run) replication(ctx context.Context, st *Status, th Thresholds) error {
	kept, err := r.keptBefore(ctx)
	if err != nil {
		return err
	}
	lanes, err := r.readLanes(ctx, st)
	if err != nil || len(lanes) == 0 {
		return err
	}
	st.Lanes = lanes
	for _, rel := range r.sel.Published {
		st.Total += rel.Bytes
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(trendOver):
	}
	for i := range lanes {
		if err := r.laneLag(ctx, st, &lanes[i], th); err != nil {
			return err
		}
	}
	st.sumUp()
	if err := r.keptNow(ctx, st, kept); err != nil {
		return err
	}
	changed, err := r.changed(ctx)
	if err != nil {
		return err
	}
	st.Problems = append(st.Problems, changed...)
	for i := range lanes {
		if !done(*st, plan.StageSubscribe) && lanes[i].tables == 0 {
			continue
		}
		if err := r.laneWorker(ctx, st, &lanes[i]); err != nil {
			return err
		}
	}
	return nil
}

// laneLag looks once more at the lane's slot, and judges it.
func (r *run) laneLag(ctx context.Context, st *Status, s *LaneStatus, th Thresholds) error {
	lag, err := pgsync.ReadLag(ctx, r.source, s.lane.Run)
	if err != nil {
		return err
	}
	s.Lag, s.Growth = &lag, float64(lag.Retained-s.before.Retained)/lag.At.Sub(s.before.At).Seconds()
	s.CatchUp = catchUp(s.before, lag)
	for _, p := range slices.Concat(lagProblems(lag, s.Growth, th), keepsUp(s.before, lag, r.offerLanes)) {
		if s.loading && p.Check != "wal-retention" { // it is followed when its rows are there
			continue
		}
		p.Text = r.named(s.lane, p.Text)
		st.Problems = append(st.Problems, p)
	}
	return nil
}

// laneWorker looks at the lane's apply worker. The run's is the first that has a trouble.
func (r *run) laneWorker(ctx context.Context, st *Status, s *LaneStatus) error {
	w, err := pgsync.ReadWorker(ctx, r.target, s.lane.Run)
	if err != nil {
		return err
	}
	s.Worker = &w
	text := w.Trouble()
	if st.Worker == nil || text != "" && st.Worker.Trouble() == "" {
		st.Worker = &w
	}
	if text == "" {
		return nil
	}
	p, err := r.diagnose(ctx, s.lane, w, text, st)
	if err != nil {
		return err
	}
	p.Check, p.Text = "apply-alive", r.named(s.lane, p.Text)
	st.Problems = append(st.Problems, p)
	return nil
}

// lagProblems judges the lag and the WAL that the slot keeps.
func lagProblems(l pgsync.Lag, growth float64, th Thresholds) []Problem {
	var out []Problem
	text := fmt.Sprintf("the target is %s and %.1f s behind", plan.HumanBytes(l.Bytes), l.Seconds)
	switch {
	case l.Bytes >= th.CriticalBytes || l.Seconds >= th.CriticalSeconds:
		out = append(out, Problem{Check: "lag", Level: Critical, Text: text, Mend: "the target cannot keep up, or is still copying: see the apply worker; a cutover waits until it is near"})
	case l.Bytes >= th.WarnBytes || l.Seconds >= th.WarnSeconds:
		out = append(out, Problem{Check: "lag", Level: Warn, Text: text, Mend: ""})
	}
	switch {
	case l.Status == "lost":
		out = append(out, Problem{Check: "wal-retention", Level: Critical, Text: "the source has thrown away WAL that the target still needs (wal_status lost): the run cannot go on", Mend: "raise max_slot_wal_keep_size on the source; pgleap abort, then pgleap sync"})
	case l.Status == "unreserved":
		out = append(out, Problem{Check: "wal-retention", Level: Critical, Text: "the source is about to throw away WAL that the target still needs (wal_status unreserved)", Mend: "raise max_slot_wal_keep_size on the source and reload it"})
	case l.Safe != nil && growth > 0 && float64(*l.Safe)/growth < 3600:
		out = append(out, Problem{Check: "wal-retention", Level: Warn, Text: fmt.Sprintf("the WAL limit of the source is reached in %s at this rate", plan.HumanDuration(time.Duration(float64(*l.Safe)/growth*float64(time.Second)))), Mend: "raise max_slot_wal_keep_size on the source and reload it"})
	}
	return out
}

// changed tells what has come up on the source since the plan: the next cutover would refuse it.
func (r *run) changed(ctx context.Context) ([]Problem, error) {
	source, err := catalog.Read(ctx, r.source, plan.Source, r.Run)
	if err != nil {
		return nil, err
	}
	now := r.plan
	now.Source = source
	var out []Problem
	for _, d := range r.plan.Drift(now) {
		out = append(out, Problem{Warn, "the source has changed since the run was begun: " + d, "undo the change, or begin anew: pgleap abort, then pgleap sync", "drift"})
	}
	for _, f := range plan.Check(source, r.plan.Target, r.plan.Options) {
		if f.Severity == plan.Blocker && slices.Contains(cheapChecks, f.Check) {
			out = append(out, Problem{Warn, strings.ReplaceAll(f.Problem, "\n", "; "), strings.TrimSpace(f.Fix + "  " + f.SQL), f.Check})
		}
	}
	return out, nil
}

// catchUp is in how many seconds the target has come up to the source, if both go on as between two looks; nil where it is
// near, or falls back.
func catchUp(before, now pgsync.Lag) *float64 {
	if before.Flushed == nil || now.Flushed == nil || now.Bytes < cutover.MostLag {
		return nil
	}
	seconds := now.At.Sub(before.At).Seconds()
	gained := (float64(*now.Flushed-*before.Flushed) - float64(now.Now-before.Now)) / seconds
	if gained <= 0 {
		return nil
	}
	left := float64(now.Bytes) / gained
	return &left
}

// keepsUp compares what the source wrote between two looks with what the target confirmed.
func keepsUp(before, now pgsync.Lag, offer func() string) []Problem {
	if before.Flushed == nil || now.Flushed == nil || now.Bytes < cutover.MostLag {
		return nil
	}
	seconds := now.At.Sub(before.At).Seconds()
	written, applied := float64(now.Now-before.Now)/seconds, float64(*now.Flushed-*before.Flushed)/seconds
	if applied >= written {
		return nil
	}
	return []Problem{{
		Level: Warn, Check: "apply-keeps-up",
		Text: fmt.Sprintf("the source writes %s/s and the target applies %s/s: the lag grows", plan.HumanBytes(int64(written)), plan.HumanBytes(int64(applied))),
		Mend: "look again in a minute; if it stays so, see what slows apply on the target: its disk, locks, tables with replica identity full" + offer(),
	}}
}

// diagnose looks for the cause of a worker that does not run, or fails again and again, in the catalogs:
// PostgreSQL writes it only into its log.
func (r *run) diagnose(ctx context.Context, l plan.Lane, w pgsync.Worker, text string, st *Status) (Problem, error) {
	if !w.Exists {
		return Problem{Level: Critical, Text: text, Mend: "pgleap abort, then pgleap sync"}, nil
	}
	if !w.Enabled {
		return Problem{Level: Critical, Text: text, Mend: w.Enable()}, nil
	}
	if p, found, err := r.differing(ctx, st); err != nil || found {
		return p, err
	}
	var used, most int
	if err := r.target.QueryRow(ctx, `select count(*), current_setting('max_logical_replication_workers')::int from pg_stat_activity where backend_type like 'logical replication%worker' or backend_type = 'logical replication parallel worker'`).Scan(&used, &most); err != nil {
		return Problem{}, fmt.Errorf("count the workers of the target: %w", err)
	}
	if used >= most {
		return Problem{Level: Critical, Text: fmt.Sprintf("%s. All %d logical replication workers of the target are taken", text, most), Mend: "raise max_logical_replication_workers (and max_worker_processes) on the target and restart it"}, nil
	}
	if r.target.Version().Has(pgver.ConflictCounters) {
		var exists int64
		if err := r.target.QueryRow(ctx, `select confl_insert_exists + confl_multiple_unique_conflicts from pg_stat_subscription_stats where subid = (select oid from pg_subscription where subname = $1 and subdbid = (select oid from pg_database where datname = current_database()))`, l.Object()).Scan(&exists); err == nil && exists > 0 {
			return Problem{Level: Critical, Text: fmt.Sprintf("%s. %d rows came that are on the target already: somebody else writes to it", text, exists), Mend: "find the writer, remove the rows it made (the target's log names key and table); the apply goes on by itself"}, nil
		}
	}
	return Problem{Level: Critical, Text: text, Mend: "look into the target's log for the last ERROR of the logical replication worker; after the mend it goes on by itself"}, nil
}

// differing looks for a table or column of the plan that the target lacks: apply stops at its first row.
func (r *run) differing(ctx context.Context, st *Status) (Problem, bool, error) {
	missing, err := missingColumns(ctx, r.source, r.target)
	if err != nil || len(missing) == 0 {
		return Problem{}, false, err
	}
	m := missing[0]
	if m.column == "" {
		return Problem{Level: Critical, Text: fmt.Sprintf("apply has stopped: table %s is not on the target", m.table), Mend: "create it there as it is on the source; the apply goes on by itself"}, true, nil
	}
	return Problem{
		Level: Critical, Text: fmt.Sprintf("apply has stopped: column %s of %s is not on the target (%d differ)", plan.QuoteIdent(m.column), m.table, len(missing)),
		Mend: fmt.Sprintf("alter table %s add column %s %s (on the target); the apply goes on by itself", m.table, plan.QuoteIdent(m.column), m.kind),
	}, true, nil
}

type column struct {
	table        plan.Name
	column, kind string
}
