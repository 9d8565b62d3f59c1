package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

const (
	guardEvery = time.Second
	// lookPatience is how long a look at the source may take.
	lookPatience = 10 * time.Second
	// givingUp is how long it may take to take everything back before the source is freed by itself.
	givingUp = 5 * time.Minute
)

// walGuard watches the source while a sync walks: the WAL that it keeps for our slots, and how far its standbys are.
// It holds the copy back, and gives the run up rather than fill the source's disk.
//
// What helps differs. Standbys that lag: both ways of copying pause, reading is load on the server they follow. WAL
// that is kept: PostgreSQL's own copy is followed by apply meanwhile, and each table that is being copied keeps WAL of
// its own: no other begins, so that those which have catch up. A copy in streams is followed only when it is done, and
// each second that it stands still keeps more: it is told, and not slowed down.
type walGuard struct {
	Config
	throttle *pgsync.Throttle
	sizes    map[plan.Name]int64
	lanes    []plan.Lane
	cancel   context.CancelCauseFunc
	spawn    func(func(ctx context.Context))
	copying  atomic.Int32 // first copies that are under way

	mu      sync.Mutex
	trends  map[string]*trend // of each slot
	kept    WALKept
	wal     string // why, for the WAL that is kept, nothing new begins; ""
	standby string // the same for a standby
	warned  bool
	blind   bool // the source could not be looked at the last time
	holding bool // tables of the server's copy are held
	mayNot  bool // the role may not hold them
	hidden  bool // it was told that standbys cannot be seen
	toldAt  time.Time
}

// walFullError is why a run is given up.
type walFullError struct{ kept WALKept }

func (e *walFullError) Error() string { return e.kept.String() }

// upGuarded is up while the source is watched.
func (r *run) upGuarded(ctx context.Context, until plan.StageID) error {
	done, err := r.journal.Stages(ctx)
	if err != nil {
		return err
	}
	if done[plan.StageSwitch] {
		return r.up(ctx, until)
	}
	walk, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch, stop := context.WithCancel(walk)
	defer stop()
	var running sync.WaitGroup
	g := &walGuard{Config: r.Config, throttle: pgsync.NewThrottle(r.Options.MaxCopyRate), sizes: map[plan.Name]int64{}, lanes: r.lanes, cancel: cancel, trends: map[string]*trend{}}
	g.spawn = func(f func(context.Context)) { running.Go(func() { f(watch) }) }
	for _, rel := range r.sel.Published {
		g.sizes[rel.Name] = rel.Bytes
	}
	r.walGuard = g
	g.spawn(g.watch)
	err = r.up(walk, until)
	stop()
	running.Wait()
	r.walGuard = nil
	cause := context.Cause(walk)
	var full *walFullError
	switch {
	case errors.As(cause, &full):
		return r.giveUp(context.WithoutCancel(ctx), full)
	case plan.KindOf(cause) != "":
		return cause
	}
	return err
}

// giveUp takes everything back. It begins with sessions of its own: those of the walk were in the middle of something,
// and what they left running is ended with the lock.
func (r *run) giveUp(ctx context.Context, full *walFullError) error {
	r.emit(plan.Event{Kind: plan.EventNote, Message: "GIVING UP: " + full.Error() + ". Everything is taken back, so that the source can let its WAL go", Data: full.kept.data("retained-wal")})
	r.point("guard.giving-up")
	r.close()
	limited, stop := context.WithTimeout(ctx, givingUp)
	defer stop()
	failed := Abort(limited, r.Config)
	fix := "see why the target was behind (pgleap explain wal-retention); then pgleap sync with a --max-retained-wal that the source's disk has room for"
	if failed == nil {
		return plan.Fail(plan.KindBlocked, fix, "the run was given up and taken back, nothing of it is left and the source keeps no WAL for it: %w", full)
	}
	alone := r.Config
	alone.Target = pg.Address{}
	if err := Abort(ctx, alone); err != nil {
		return plan.Fail(plan.KindBlocked, "drop the slot NOW, by pgleap abort --source … or by hand: it keeps the source's WAL",
			"the run was given up, and COULD NOT be taken back: %w: %w; of the source alone: %w", full, failed, err)
	}
	return plan.Fail(plan.KindBlocked, "pgleap abort when the target can be reached again; "+fix,
		"the run was given up and the source keeps no WAL for it any more, but the target could not be cleared: %w: %w", full, failed)
}

func (g *walGuard) watch(ctx context.Context) {
	var source *pg.Source
	defer func() {
		if source != nil {
			source.Close()
		}
	}()
	for {
		limited, stop := context.WithTimeout(ctx, lookPatience)
		err := error(nil)
		if source == nil {
			source, err = pg.OpenSource(limited, g.Source, pg.Options{Verb: g.Verb, ReadOnly: true, Log: g.Log})
		}
		if err == nil {
			err = g.look(limited, source)
		}
		stop()
		if ctx.Err() != nil {
			return
		}
		g.sees(err)
		if err != nil && source != nil {
			source.Close()
			source = nil
		}
		g.keepTables(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(g.pause()):
		}
	}
}

// pause is the time until the next look: shorter where the limit is near.
func (g *walGuard) pause() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept.Left == nil {
		return guardEvery
	}
	return time.Duration(min(max(*g.kept.Left/4, 0.1), guardEvery.Seconds()) * float64(time.Second))
}

// sees tells when nobody can look at the source, and when somebody can again.
func (g *walGuard) sees(err error) {
	if blind := err != nil; blind != g.blind {
		g.blind = blind
		text := "the source can be looked at again: its retained WAL is watched"
		if blind {
			text = "the source cannot be looked at, nobody watches the WAL that it keeps: " + err.Error()
		}
		g.emit(plan.Event{Kind: plan.EventNote, Message: text})
	}
}

func (g *walGuard) look(ctx context.Context, source *pg.Source) error {
	slots, err := pgsync.ReadRetained(ctx, source, g.Run)
	if err != nil {
		return err
	}
	standbys, hidden, err := pgsync.ReadStandbys(ctx, source, g.Run)
	if err != nil {
		return err
	}
	if hidden > 0 && g.Options.MaxStandbyLag >= 0 && g.copying.Load() > 0 && !g.hidden {
		g.hidden = true
		g.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("the copy does not pause for standbys of the source that fall behind: role %s may not see how far %s of it is. Mend: grant pg_monitor to %s",
			plan.OneLine(g.Source.User()), plan.Plural(hidden, "walsender"), plan.QuoteIdent(g.Source.User())), Data: map[string]any{"reason": "standby-lag", "hidden": hidden}})
	}
	g.judge(time.Now(), slots)
	g.follows(standbys)
	g.throttle.Pause(g.whyStandby() != "")
	g.tellHeld()
	return nil
}

// judge compares the WAL that is kept with its limits.
func (g *walGuard) judge(now time.Time, slots []pgsync.Retained) {
	kept := nearest(slots, g.Options.MaxRetainedWAL)
	g.mu.Lock()
	for _, s := range slots {
		if g.trends[s.Slot] == nil {
			g.trends[s.Slot] = &trend{}
		}
		g.trends[s.Slot].read(now, s.Bytes)
	}
	if len(slots) > 0 {
		kept.grows(g.trends[kept.Slot].perSecond())
	}
	g.kept = kept
	was := g.wal
	switch {
	case kept.Share >= holdShare || was != "" && kept.Share >= easedShare:
		g.wal = kept.String()
	default:
		g.wal = ""
	}
	eased := was != "" && g.wal == "" && g.holdsForWAL()
	warn := kept.Share >= warnShare && !g.warned
	g.warned = kept.Share >= warnShare || g.warned && kept.Share >= 0.8*warnShare
	g.mu.Unlock()
	if warn {
		g.emit(plan.Event{Kind: plan.EventNote, Message: kept.String() + g.comes(kept), Data: kept.data("retained-wal")})
	}
	if eased {
		g.emit(plan.Event{Kind: plan.EventNote, Message: "nothing is held back any more: " + kept.String(), Data: kept.data("retained-wal")})
	}
	for _, s := range slots {
		if g.Run.LaneOf(s.Slot) > 0 && s.Status == "lost" {
			g.cancel(plan.Fail(plan.KindNotReady, "raise max_slot_wal_keep_size on the source; pgleap abort, then pgleap sync", "the source has thrown away WAL of slot %s that the target still needs (wal_status lost): the run cannot go on", s.Slot))
		}
	}
	if ours := g.Options.MaxRetainedWAL; ours > 0 && len(slots) > 0 && slots[0].Bytes >= ours {
		full := nearest([]pgsync.Retained{{Slot: slots[0].Slot, Bytes: slots[0].Bytes}}, ours)
		g.cancel(&walFullError{full})
	}
}

// comes says what happens at the limit.
func (g *walGuard) comes(kept WALKept) string {
	if kept.Of == limitOurs {
		return ". At the limit the run is given up and taken back"
	}
	return ". Beyond it the source throws away what the target still needs, and the run is lost: raise max_slot_wal_keep_size and reload"
}

// holdsForWAL tells whether something is held back, now, so that less WAL is kept.
func (g *walGuard) holdsForWAL() bool {
	return g.copying.Load() > 0 && g.Options.Copy != plan.CopyStream && !g.mayNot
}

// follows judges the standbys: beyond the limit the copy pauses until they are under half of it.
func (g *walGuard) follows(standbys []pgsync.Standby) {
	limit := g.Options.MaxStandbyLag
	if limit == 0 {
		limit = standbyLag
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.standby
	g.standby = ""
	if limit < 0 || len(standbys) == 0 {
		limit, standbys = 0, []pgsync.Standby{{}}
	}
	far := standbys[0]
	if far.Behind > limit || was != "" && far.Behind > limit/2 {
		g.standby = fmt.Sprintf("standby %s is %s behind the source: it goes on below %s (--max-standby-lag %s)", plan.OneLine(far.Name), plan.HumanBytes(far.Behind), plan.HumanBytes(limit/2), plan.HumanBytes(limit))
	} else if was != "" && g.copying.Load() > 0 {
		g.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("the copy goes on: the standbys are %s behind at most", plan.HumanBytes(far.Behind)), Data: map[string]any{"reason": "standby-lag", "standby_bytes": far.Behind}})
	}
}

func (g *walGuard) whyStandby() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.standby
}

// why no table of the server's copy may begin; "" where one may.
func (g *walGuard) why() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.standby != "":
		return g.standby
	case g.wal != "":
		return g.wal
	}
	return ""
}

// tellHeld says what is held back, and why.
func (g *walGuard) tellHeld() {
	if g.copying.Load() == 0 {
		return
	}
	g.mu.Lock()
	standby, wal, kept, mayNot := g.standby, g.wal, g.kept, g.mayNot
	g.mu.Unlock()
	stream := g.Options.Copy == plan.CopyStream
	switch {
	case mayNot && !stream: // it was told that nothing can be held back
	case standby != "" && stream:
		g.emit(plan.Event{Kind: plan.EventWaiting, Message: "the copy is paused: " + standby, Data: map[string]any{"reason": "standby-lag"}})
	case standby != "":
		g.emit(plan.Event{Kind: plan.EventWaiting, Message: "no other table begins: " + standby, Data: map[string]any{"reason": "standby-lag"}})
	case wal != "" && stream:
		g.emit(plan.Event{Kind: plan.EventWaiting, Message: wal + ". The copy is not slowed down: until it is done all WAL is kept, and the sooner the less", Data: kept.data("retained-wal")})
	case wal != "":
		g.emit(plan.Event{Kind: plan.EventWaiting, Message: "no other table begins, so that those which have catch up: " + wal, Data: kept.data("retained-wal")})
	}
}

// copies notes that a first copy is under way, until the returned function is called.
func (g *walGuard) copies() func() {
	if g == nil {
		return func() {}
	}
	g.copying.Add(1)
	return func() { g.copying.Add(-1) }
}

// throttled is what streams go through.
func (g *walGuard) throttled() *pgsync.Throttle {
	if g == nil {
		return nil
	}
	return g.throttle
}
