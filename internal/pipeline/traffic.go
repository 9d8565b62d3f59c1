package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"pgleap/cutover"
	"pgleap/internal/hooks"
	"pgleap/internal/journal"
	"pgleap/internal/pooler"
	"pgleap/internal/traffic"
	"pgleap/plan"
	"pgleap/schema"
)

// TrafficConfig says what stands between the clients and the servers.
type TrafficConfig struct {
	Poolers      []traffic.Pooler
	Database     string        // the entry's name in the poolers; "" finds it
	TargetAt     pooler.Values // where the poolers reach the target, as far as that differs from our address
	PauseTimeout time.Duration // 0: half of the budget
	// Without: the switch is made without the poolers of an earlier one, and that is meant.
	Without   bool
	Hooks     hooks.Set
	LogFolder string   // of a watchdog that had to act; "" is that of temporary files
	Terminal  *os.File // where it also writes, if there is one
}

// noBack is a switch without a way back.
type noBack struct{}

func (noBack) Prepare(context.Context) error { return nil }
func (noBack) Advance(context.Context) error { return nil }
func (noBack) Undo(context.Context) error    { return nil }

// pooledPIDs are the server processes, on the side that is left, of the poolers' connections; nil: there is no pooler.
func (r *run) pooledPIDs(ctx context.Context) ([]int32, error) {
	if !r.pooled() || r.moving == nil {
		return nil, nil
	}
	return r.moving.Processes(ctx)
}

// poolersSaw is what the clients of the poolers have seen since an earlier look.
func (r *run) poolersSaw(ctx context.Context, since map[string]pooler.Stats) []PoolerReport {
	var out []PoolerReport
	now := r.moving.Saw(ctx)
	for _, node := range r.moving.Nodes() {
		before, ok := since[node]
		after, answers := now[node]
		if !ok || !answers {
			continue
		}
		s := after.Since(before)
		out = append(out, PoolerReport{Name: "PgBouncer " + node, Figures: map[string]float64{
			"transactions": float64(s.Transactions), "queries": float64(s.Queries), "waited_ms_of_all_clients": milliseconds(s.Waited),
			"clients_active": float64(s.Active), "clients_waiting": float64(s.Waiting),
		}})
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// openTraffic connects to everything that stands between the clients and the servers, for a switch in the run's
// direction.
func (r *run) openTraffic(ctx context.Context) (*traffic.Traffic, error) {
	o, way := r.Traffic, traffic.Cutover
	if r.direction == plan.Backward {
		way = traffic.Rollback
	}
	return traffic.Open(ctx, traffic.Config{
		Run: r.Run, Direction: way, From: r.Source, To: r.Target, TargetAt: o.TargetAt, Poolers: o.Poolers, Database: o.Database,
		Budget: r.Options.MaxWriteStall, PauseTimeout: o.PauseTimeout, Hooks: o.Hooks, LogFolder: o.LogFolder, Terminal: o.Terminal, Emit: r.emit, Point: r.Point,
	})
}

// judgePoolers refuses a switch whose clients could not be held, or not be moved; what an earlier attempt of this run
// left paused goes on first.
func (r *run) judgePoolers(ctx context.Context, t *traffic.Traffic) error {
	if err := r.letGoOn(ctx, t); err != nil {
		return err
	}
	before, err := r.heldNodes(ctx)
	if err != nil {
		return err
	}
	return r.refuse(plan.CheckPoolers(t.Facts(ctx), before), r.direction.Words("mend it, then run pgleap cutover again"), "the switch was not begun, writes were never stopped")
}

// errStuck is what it means that clients do not get through. The switch stands all the same.
func (r *run) errStuck(err error) error {
	if err == nil {
		return nil
	}
	fix := "pgleap repair with the same --pgbouncer and --pgbouncer-config (or --on-reroute), and with --target-from-pgbouncer HOST:PORT as PgBouncer itself reaches the target, points the clients there anew"
	if r.direction == plan.Backward {
		fix = "mend what its log says; where it points to the wrong place, put that right in its file, and RELOAD"
	}
	return plan.Fail(plan.KindPastReturn, fix, r.direction.Words("the switch is made, the target takes the writes and the source stays fenced, but clients do not get through: %w"), err)
}

// letGoOn ends the hold of an attempt that was killed together with its watchdog. The source is the truth.
func (r *run) letGoOn(ctx context.Context, t *traffic.Traffic) error {
	held, err := r.held(ctx, t)
	if err != nil || !held {
		return err
	}
	if err := t.Err(); err != nil {
		return nil // the check says it, with the mend
	}
	waits := slices.ContainsFunc(t.Facts(ctx), func(p plan.Pooler) bool { return p.Paused || p.Moved })
	if err := t.Back(ctx); err != nil {
		return plan.Fail(plan.KindNotReady, "mend it, then run the same command again", "an earlier attempt was cut short while it held the clients, and they cannot be let go on: %w", err)
	}
	if waits {
		r.emit(plan.Event{Kind: plan.EventNote, Stage: r.switchStage().ID, Message: r.direction.Words("an earlier attempt was cut short while it held the clients: they go on at the source again")})
	}
	if err := t.Refresh(ctx); err != nil {
		return err
	}
	return r.journal.Record(ctx, journal.Undone, plan.StageSwitch, "", map[string]string{"cause": "the attempt was cut short; the clients were let go on"})
}

// errWithoutPoolers refuses a switch without the poolers that an earlier one of this run was made through: their clients
// would be left behind at the fence.
func (r *run) errWithoutPoolers(ctx context.Context, d plan.Direction) error {
	if r.pooled() || r.Traffic.Without {
		return nil
	}
	last, err := r.lastHold(ctx)
	made := journal.Released
	if d == plan.Backward {
		made = journal.Returned
	}
	if err != nil || last == journal.Holding || last == journal.Repaired || last == made { // held says it; or the clients are there already
		return err
	}
	nodes, err := r.heldNodes(ctx)
	if err != nil || len(nodes) == 0 {
		return err
	}
	return plan.Fail(plan.KindUsage, "give them again:"+consoles(nodes)+", and --pgbouncer-config FILE for each, or --on-reroute COMMAND, as then; or --without-pooler, if no client goes through them any more",
		"an earlier switch of run %s was made through PgBouncer %s, and this one names none: their clients would be left at the fence. Nothing was changed", r.Run, strings.Join(nodes, ", "))
}

// consoles are the flags that name poolers.
func consoles(nodes []string) (flags string) {
	for _, n := range nodes {
		flags += " --pgbouncer postgres://ADMIN@" + n + "/pgbouncer"
	}
	return flags
}

// pointThem begins the sentence that says which clients somebody has still to point at the server that has taken over.
func (r *run) pointThem() string {
	if !r.pooled() {
		return "point the clients at "
	}
	var nodes []string
	for _, p := range r.Traffic.Poolers {
		nodes = append(nodes, p.Admin.HostPort())
	}
	return "the clients of PgBouncer " + strings.Join(nodes, ", ") + " are moved; point all others at "
}

// samePoolers says what the next switch needs.
func (r *run) samePoolers() string {
	if !r.pooled() {
		return ""
	}
	return ", with the same --pgbouncer,"
}

// lastHold is the newest record of those that begin or end a hold of clients.
func (r *run) lastHold(ctx context.Context) (kind string, err error) {
	kind, _, err = r.journal.Last(ctx, journal.Holding, journal.Undone, journal.Released, journal.Returned, journal.Repaired)
	return kind, err
}

// heldNodes are the poolers, host:port, of the last switch that was made or tried through any.
func (r *run) heldNodes(ctx context.Context) (nodes []string, err error) {
	kind, data, err := r.journal.Last(ctx, journal.Holding)
	if err != nil || kind == "" {
		return nil, err
	}
	if err := json.Unmarshal(data, &nodes); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return nodes, nil
}

// held tells whether an attempt was cut short while it held clients. They have to be named for what follows: nobody else
// lets them go on.
func (r *run) held(ctx context.Context, t *traffic.Traffic) (bool, error) {
	kind, err := r.lastHold(ctx)
	if err != nil || kind != journal.Holding {
		return false, err
	}
	nodes, err := r.heldNodes(ctx)
	if err != nil {
		return false, err
	}
	if !t.Pooled() && !r.Traffic.Without {
		return true, plan.Fail(plan.KindUsage, "give the same --pgbouncer (and --pgbouncer-config, or --on-reroute) as then",
			"an earlier attempt of run %s was cut short while it held the clients of PgBouncer %s: they may still wait", r.Run, strings.Join(nodes, ", "))
	}
	return true, nil
}

// errHeld refuses what would pass over clients that an attempt which was cut short holds.
func (r *run) errHeld(ctx context.Context) error {
	kind, data, err := r.journal.Last(ctx, journal.Holding, journal.Undone, journal.Released, journal.Returned)
	if err != nil || kind != journal.Holding {
		return err
	}
	var nodes []string
	if err := json.Unmarshal(data, &nodes); err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	return plan.Fail(plan.KindNotReady, "pgleap repair, with the same --pgbouncer, lets them go on; or finish the switch with pgleap rollback",
		"an earlier attempt of run %s was cut short while it held the clients of PgBouncer %s: they may still wait", r.Run, strings.Join(nodes, ", "))
}

// freeClients is letGoOn for an abort, which may have no journal left to ask.
func (r *run) freeClients(ctx context.Context, known bool) error {
	if !known && len(r.Traffic.Poolers) == 0 {
		return nil
	}
	t, err := r.openTraffic(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Err(); err != nil {
		return err
	}
	if known {
		return r.letGoOn(ctx, t)
	}
	return t.Back(ctx)
}

// arm makes everything ready that must not wait until the clients do.
func (r *run) arm(ctx context.Context, t *traffic.Traffic, rest traffic.Rest) error {
	if t.Pooled() {
		if err := r.journal.Record(ctx, journal.Holding, plan.StageSwitch, "", t.Nodes()); err != nil {
			return err
		}
	}
	return t.Arm(ctx, rest)
}

// rest is what a rescue behind the fence's commit has to do on the target before the clients may go there.
func rest(stage plan.Stage, deferred []plan.Step) traffic.Rest {
	return traffic.Rest{Steps: deferred, Stage: stage.ID, Session: schema.SessionSettings()}
}

// deferred are the stage's deferred steps that the journal does not have yet.
func (r *run) deferred(ctx context.Context, stage plan.Stage) ([]plan.Step, error) {
	recorded, err := r.journal.Steps(ctx)
	if err != nil {
		return nil, err
	}
	var list []plan.Step
	for _, s := range stage.Steps {
		if s.Recorded && !recorded[s.ID] {
			list = append(list, s)
		}
	}
	return list, nil
}

// tellHooks reports how a switch ended to who wants to know.
func tellHooks(ctx context.Context, t *traffic.Traffic, after hooks.Hook, result cutover.Result, err error) {
	ctx = context.WithoutCancel(ctx)
	switch kind := plan.KindOf(err); {
	case err == nil:
		t.Tell(ctx, after, hooks.Call{"PGLEAP_FENCE_LSN": result.FenceLSN, "PGLEAP_STALL_MS": fmt.Sprintf("%.1f", result.StallMS)})
	case t.Armed() && kind != plan.KindPastReturn:
		t.Tell(ctx, hooks.OnAbort, t.Undone(t.Redact(plan.OneLine(err.Error()))))
	}
}

// tellStatus has the hook on-status called for every event that is worth it, beside the walk. The returned function
// waits until it has been told everything.
func (c *Config) tellStatus(ctx context.Context, direction traffic.Direction) (finish func()) {
	set := c.Traffic.Hooks
	if !set.Has(hooks.OnStatus) {
		return func() {}
	}
	t := traffic.Config{Run: c.Run, Direction: direction, From: c.Source, To: c.Target, Poolers: c.Traffic.Poolers}
	if direction == traffic.Rollback {
		t.From, t.To = c.Target, c.Source
	}
	emit := c.Emit
	told := set.Status(ctx, t.Redact, func(err error) {
		c.Log.Warn("a hook failed", "error", err.Error())
	})
	call := t.Call()
	c.Emit = func(e plan.Event) {
		if emit != nil {
			emit(e)
		}
		switch e.Kind {
		case plan.EventStage, plan.EventWaiting, plan.EventDone, plan.EventReleased, plan.EventUndone:
			told.Tell(call.With(hooks.Call{"PGLEAP_STATUS": string(e.Kind), "PGLEAP_STAGE": string(e.Stage), "PGLEAP_MESSAGE": plan.OneLine(e.Message)}))
		}
	}
	return func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(set.Timeout, hooks.DefaultTimeout))
		defer cancel()
		told.Close(limited)
	}
}
