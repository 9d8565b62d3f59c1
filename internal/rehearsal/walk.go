package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// walk is one rehearsal under way, and the evidence that it gathers.
type walk struct {
	stage   *Stage
	config  Config
	verdict Verdict

	load     *load
	loadCtx  context.Context // outlives a step: the load's own
	before   before
	oracles  map[plan.Side]*oracle
	snapshot *snapshot // of a single switch without a pooler
	turns    []*turn
	floors   []floor

	// On the load's clock.
	ready time.Duration // sync was done
	ended time.Duration // the last arrival

	killed  int      // times that a command but for the switch's died by a signal and was run again
	seen    []string // secrets, where they should not be
	samples int
	journal []output
}

// run goes from check to finalize, and judges.
func (w *walk) run(ctx context.Context) error {
	w.stage.tool = &tool{command: w.config.Tool, env: w.config.ToolEnv, running: map[int]bool{}}
	if err := w.addresses(ctx); err != nil {
		return err
	}
	if err := w.check(ctx); err != nil {
		return err
	}
	var err error
	if w.before, err = w.stage.inventories(ctx); err != nil {
		return err
	}
	if w.load, err = newLoad(ctx, w.stage); err != nil {
		return fmt.Errorf("connect the clients: %w", err)
	}
	defer w.cleanUp(ctx)
	var stop func()
	w.loadCtx, stop = context.WithCancel(ctx)
	defer func() { stop(); w.load.end() }()
	w.load.begin(w.loadCtx)

	for _, step := range []func(context.Context) error{w.plan, w.sync, w.measureFloors, w.trips, w.settle, w.finish} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return w.hook(ctx, HookFinalized, func() error { return w.judgeLate(ctx) })
}

// cleanUp closes what is open, also after an error; on given servers the oracle's slot would stay for ever.
func (w *walk) cleanUp(ctx context.Context) {
	w.load.close()
	if w.snapshot != nil {
		w.snapshot.close()
	}
	_ = w.dropOracles(context.WithoutCancel(ctx)) // after the error that is told already
}

func (w *walk) dropOracles(ctx context.Context) error {
	var errs []error
	for _, server := range []Server{w.stage.Source, w.stage.Target} {
		if o := w.oracles[server.Side]; o != nil {
			errs = append(errs, o.drop(ctx, server))
			delete(w.oracles, server.Side)
		}
	}
	return errors.Join(errs...)
}

// makeOracles makes one for each server that is to be left.
func (w *walk) makeOracles(ctx context.Context) error {
	w.oracles = map[plan.Side]*oracle{}
	for _, server := range []Server{w.stage.Source, w.stage.Target}[:min(2, w.config.turns())] {
		o, err := newOracle(ctx, server)
		if err != nil {
			return err
		}
		w.oracles[server.Side] = o
	}
	return nil
}

// addresses go to the tool in its environment.
func (w *walk) addresses(context.Context) error {
	source, err := w.stage.toolAddress(w.stage.Source)
	if err != nil {
		return err
	}
	target, err := w.stage.toolAddress(w.stage.Target)
	if err != nil {
		return err
	}
	env := []string{"PGLEAP_SOURCE=" + source, "PGLEAP_TARGET=" + target}
	if w.stage.pooler != nil {
		env = append(env, "PGLEAP_PGBOUNCER="+w.stage.pooler.AdminURI())
	}
	w.stage.tool.env = append(env, w.stage.tool.env...)
	return nil
}

// hook runs the hook of a point, and then what follows it.
func (w *walk) hook(ctx context.Context, point string, then func() error) error {
	if f := w.config.Between[point]; f != nil {
		if err := f(ctx, w.stage); err != nil {
			return fmt.Errorf("hook %s: %w", point, err)
		}
	}
	return then()
}

func (w *walk) phase(name string, start time.Time, detail string) {
	p := Phase{Name: name, Detail: detail, Seconds: time.Since(start).Seconds()}
	w.verdict.Phases = append(w.verdict.Phases, p)
	w.config.Out(fmt.Sprintf("%-10s %s  %.1f s", name, detail, p.Seconds))
}

// checkDocument is what check --json prints, as far as it matters here.
type checkDocument struct {
	Findings []plan.Finding `json:"findings"`
	Checks   int            `json:"checks"`
}

// check must not block. For a role without superuser the fixes that it prints are carried out first, and no others:
// two rounds, because a privilege may hide the next finding.
func (w *walk) check(ctx context.Context) error {
	start := time.Now()
	for round := 0; ; round++ {
		r, err := w.stage.Tool(ctx, w.with("check", "--json")...)
		if err != nil {
			return err
		}
		var d checkDocument
		if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil {
			return fmt.Errorf("read what check printed: %w\n%s", err, lastPart(r.Stdout+r.Stderr, 2000))
		}
		count := map[plan.Severity]int{}
		for _, f := range d.Findings {
			count[f.Severity]++
		}
		if !plan.Blocked(d.Findings) && r.Exit == 0 {
			w.phase("check", start, fmt.Sprintf("%d checks: %d warn, %d block", d.Checks, count[plan.Warning], count[plan.Blocker]))
			break
		}
		done := false
		if w.config.Role != RoleSuperuser && round < 2 {
			if done, err = w.grant(ctx, d.Findings); err != nil {
				return err
			}
		}
		if !done {
			return r.Err()
		}
	}
	return nil
}

// grant carries out the statements of the findings about privileges, on the side they name.
func (w *walk) grant(ctx context.Context, findings []plan.Finding) (done bool, err error) {
	for _, server := range []Server{w.stage.Source, w.stage.Target} {
		err := w.stage.mends(ctx, server, func(a *pg.Session) error {
			for _, f := range findings {
				if f.Check != "privileges" || f.On != server.Side || f.SQL == "" {
					continue
				}
				if _, err := a.Script(ctx, f.SQL); err != nil {
					return fmt.Errorf("carry out check's fix %q: %w", f.SQL, err)
				}
				done = true
			}
			return nil
		})
		if err != nil {
			return false, fmt.Errorf("%s: %w", server.Side, err)
		}
	}
	return done, nil
}

// sync runs to ready, under load. The oracle comes after it: sync must find its slots free.
func (w *walk) sync(ctx context.Context) error {
	start := time.Now()
	session, err := w.stage.Source.Open(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	secrets := w.stage.watchSecrets(ctx, 5*time.Millisecond)
	watch := &stopwatch{source: session}
	args := w.with("sync", "--json")
	if w.config.Fence != "" {
		args = append(args, "--fence", w.config.Fence)
	}
	_, killed, err := w.stage.must(ctx, watch.event(ctx), args...)
	w.killed += killed
	if err := w.endSecrets(secrets, err); err != nil {
		return err
	}
	if watch.err != nil {
		return watch.err
	}
	if killed == 0 { // a run in two parts has no time of its own
		w.compare(watch)
	}
	w.phase("sync", start, fmt.Sprintf("%d transactions acknowledged meanwhile", w.load.count()))
	if err := w.makeOracles(ctx); err != nil {
		return err
	}
	if err := w.load.standby(ctx); err != nil {
		return fmt.Errorf("connect the clients to the target: %w", err)
	}
	w.ready = w.load.record.now()
	if err := w.load.run(ctx, w.config.Duration/2); err != nil {
		return err
	}
	return w.hook(ctx, HookSynced, func() error { return nil })
}

func (w *walk) endSecrets(s *sampler, err error) error {
	found, samples, trouble := s.end()
	w.seen = append(w.seen, found...)
	w.samples += samples
	if err != nil {
		return err
	}
	return trouble
}

// settle lets the load go on, ends it, and judges what finalize would take away.
func (w *walk) settle(ctx context.Context) error {
	if err := w.hook(ctx, HookReleased, func() error { return w.load.run(ctx, w.config.Duration/2) }); err != nil {
		return err
	}
	w.ended = w.load.record.now()
	w.load.end()
	if err := w.load.trouble(); err != nil {
		return err
	}
	if err := w.judge(ctx); err != nil {
		return err
	}
	if w.snapshot != nil {
		w.snapshot.close()
	}
	if err := w.dropOracles(ctx); err != nil {
		return err
	}
	var err error
	w.journal, err = w.stage.journal(ctx)
	return err
}

// finish takes away what the run left: everything is over on the new server, or on the old one.
func (w *walk) finish(ctx context.Context) error {
	if w.config.SkipFinalize {
		return nil
	}
	start, verb, args := time.Now(), "finalize", []string{"--json", "--confirm", w.stage.Database}
	if w.last().Direction == back {
		verb, args = "abort", []string{"--json"}
	}
	_, killed, err := w.stage.must(ctx, nil, append([]string{verb}, args...)...)
	w.killed += killed
	if err != nil {
		return err
	}
	w.phase(verb, start, "")
	return nil
}

func (l *load) count() int {
	l.record.mu.Lock()
	defer l.record.mu.Unlock()
	return len(l.record.acked)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
