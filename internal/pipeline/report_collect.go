package pipeline

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"pgleap/cutover"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// reporter collects what the report tells, while the switch is made.
type reporter struct {
	mu      sync.Mutex
	report  Report
	held    time.Time // when the clients were
	pooled  bool      // something of ours holds the clients
	done    bool      // the switch is over: what follows is no moment of it
	notes   map[string]bool
	refused *int64 // writes that the fence of the side that is left had refused before; nil: not known

	emit  func(plan.Event) // as they were before
	tells func(string)
}

// openReport begins the report of a switch between these ends. From here on what is told is written down,
// and a note that was told already is not told again.
func (r *run) openReport(ctx context.Context, e ends) {
	p := &reporter{pooled: r.pooled(), notes: map[string]bool{}, report: Report{
		Tool: r.Tool, Run: r.Run, Verb: r.Verb, Rehearsal: r.Control.Rehearse, By: operator(), Began: time.Now(), Budget: r.Options.MaxWriteStall.Seconds(),
	}}
	p.report.Left, p.report.TakesOver = r.reportServer(e.leaves, e.left), r.reportServer(other(e.leaves), e.over)
	if n, err := refusals(ctx, e.left); err == nil {
		p.refused = &n
	}
	for _, f := range r.plan.Findings {
		if f.Severity == plan.Warning {
			p.report.Warnings = append(p.report.Warnings, f)
		}
	}
	r.reporter, p.emit, p.tells = p, r.Emit, r.Point
	r.Emit = func(e plan.Event) {
		if p.event(e, r.redact) && p.emit != nil {
			p.emit(e)
		}
	}
	r.Point = func(name string) {
		p.point(name)
		if p.tells != nil {
			p.tells(name)
		}
	}
}

func (r *run) reportServer(side plan.Side, s *pg.Session) ReportServer {
	a, f := s.Address(), r.plan.Source
	if side == plan.Target {
		f = r.plan.Target
	}
	return ReportServer{Side: side, Address: a.String(), User: a.User(), Version: s.Version().String(), SystemID: f.SystemID}
}

func other(side plan.Side) plan.Side {
	if side == plan.Source {
		return plan.Target
	}
	return plan.Source
}

// event notes what is told, and says whether it is new.
func (p *reporter) event(e plan.Event, redact func(string) string) bool {
	if e.Kind != plan.EventNote {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.notes[e.Message] {
		return false
	}
	p.notes[e.Message] = true
	p.report.Notes = append(p.report.Notes, redact(e.Message))
	return true
}

func (p *reporter) point(name string) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, string(plan.StageBackSwitch)+"."), string(plan.StageSwitch)+".")
	what, ok := momentWords[name]
	if other, differs := unpooledWords[name]; differs && !p.pooled {
		what = other
	}
	if !ok {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if name == "held" {
		p.held = now
	}
	if !p.done && what != "" {
		p.report.Timeline = append(p.report.Timeline, Moment{At: now, What: what})
	}
}

func (r *run) noteWait(w Wait) {
	if p := r.reporter; p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.report.Waits = append(p.report.Waits, w)
	}
}

// reportSwitch notes what the switch has measured, and, when the other side has taken over, what that had applied and
// which clients were left behind.
func (r *run) reportSwitch(ctx context.Context, e ends, result cutover.Result, err error) {
	p := r.reporter
	p.mu.Lock()
	p.done = true
	begun := !p.held.IsZero() || result.HoldMS > 0 || result.Repaired // also those whom a PAUSE made wait in vain
	if begun {
		p.report.Switch = &result
	}
	p.mu.Unlock()
	if err != nil || !begun || r.Control.Rehearse {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	p.report.Applied = readApplied(ctx, e)
	clients, failed := r.tellSessions(ctx, e.left)
	p.report.Clients = &clients
	if failed != nil {
		r.emit(plan.Event{Kind: plan.EventNote, Stage: e.stage, Message: "the sessions on the " + string(e.leaves) + ": " + pg.Message(failed)})
	}
	if clients.Terminated > 0 {
		r.emit(plan.Event{Kind: plan.EventNote, Stage: e.stage, Message: fmt.Sprintf("%d client sessions on the %s were ended (--sessions terminate)", clients.Terminated, e.leaves)})
	}
}

// tellTimeout bounds what is only read for the report.
const tellTimeout = 10 * time.Second

// readApplied asks the side that takes over how far it is. What it may not tell is left out.
func readApplied(ctx context.Context, e ends) *Applied {
	a := &Applied{}
	_ = e.over.QueryRow(ctx, `select coalesce(min(latest_end_lsn)::text, '') from pg_stat_subscription where subname = any ($1) and relid is null`, e.subscriptions).Scan(&a.LatestEndLSN)
	_ = e.over.QueryRow(ctx, `select coalesce(min(pg_replication_origin_progress('pg_' || s.oid, true))::text, '') from pg_subscription s join pg_replication_origin o on o.roname = 'pg_' || s.oid
		where s.subname = any ($1) and s.subdbid = (select oid from pg_database where datname = current_database())`, e.subscriptions).Scan(&a.OriginLSN)
	return a
}

// closeReport writes the report, where the switch got as far as making somebody wait, or passed its point of no
// return in an earlier process. Whatever fails here is told, and fails nothing.
func (r *run) closeReport(ctx context.Context, e ends, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	p := r.reporter
	r.Emit, r.Point = p.emit, p.tells // what is told of the report is no part of it
	report, ok := p.close(r.outcome(err))
	if !ok {
		if r.Control.Rehearse || err != nil && plan.KindOf(err) != plan.KindPastReturn {
			return
		}
		if report, ok = r.earlierReport(ctx, report); !ok {
			return
		}
	}
	if err != nil {
		report.Error = r.redact(err.Error())
	}
	if n, failed := refusals(ctx, e.left); failed == nil && report.Clients != nil && p.refused != nil {
		n -= *p.refused + proofs(report.Switch)
		report.Clients.Refused = &n
	}
	if stage, _ := r.plan.Stage(e.stage); report.Outcome == Rehearsed {
		report.LeftOut = copySteps(stage)
	}
	report.WayBack = r.howBack(report.Outcome)
	if failed := report.typeSequences(); failed != nil {
		r.Log.Warn("the report lacks the sequences", "error", failed)
	}
	if failed := r.journal.Record(ctx, journal.Report, "", "", report); failed != nil {
		r.emit(plan.Event{Kind: plan.EventNote, Message: "the report is not in the journal: " + pg.Message(failed)})
	}
	r.writeReport(report)
}

func (r *run) outcome(err error) Outcome {
	switch {
	case err == nil && r.Control.Rehearse:
		return Rehearsed
	case err == nil:
		return Switched
	case plan.KindOf(err) == plan.KindPastReturn:
		return Stopped
	case plan.KindOf(err) == plan.KindNotSwitched || plan.KindOf(err) == plan.KindInterrupted:
		return Undone
	}
	return Unclear
}

// close ends the collection; false is that nobody had to wait, so that there is nothing to report.
func (p *reporter) close(o Outcome) (Report, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Outcome, p.report.Ended = o, time.Now()
	for i, m := range p.report.Timeline {
		if !p.held.IsZero() {
			p.report.Timeline[i].MS = float64(m.At.Sub(p.held).Microseconds()) / 1000
		}
	}
	return p.report, p.report.Switch != nil
}

// earlierReport is the report of a switch that an earlier process made: the journal knows its result.
func (r *run) earlierReport(ctx context.Context, report Report) (Report, bool) {
	var result cutover.Result
	kind := journal.Released
	if r.Verb == "rollback" {
		kind = journal.Returned
	}
	known, err := r.journal.Data(ctx, kind, "", &result)
	report.Earlier, report.Switch = true, &result
	return report, known && err == nil
}

// proofs is how many of the refusals were our own.
func proofs(s *cutover.Result) (n int64) {
	if s == nil {
		return 0
	}
	for _, f := range s.Refusals {
		if f.Refused {
			n++
		}
	}
	return n
}

// howBack says how to go back until when.
func (r *run) howBack(o Outcome) string {
	switch o {
	case Undone, Rehearsed:
		return "nothing to go back from: clients write on where they were"
	case Unclear:
		return "not known before the error is mended"
	}
	if !r.plan.HasWayBack() {
		return "there is none, what was written since the release is on the new server alone: " + plan.OneLine(r.noWayBack().Error())
	}
	if r.Verb == "rollback" {
		return "pgleap cutover, until pgleap finalize or pgleap abort: what was written meanwhile comes along"
	}
	return "pgleap rollback, until pgleap finalize: what was written since comes along. pgleap status says at any time whether it is possible"
}
