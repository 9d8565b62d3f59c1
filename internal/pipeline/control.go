package pipeline

import (
	"context"
	"fmt"
	"time"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// ControlConfig says when a switch may begin, what stops it, and what is told of it afterwards.
type ControlConfig struct {
	At           time.Time     // the switch does not begin before; zero is at once
	Hold         bool          // it waits for the word: pgleap cutover --go from another terminal
	PostponeFile string        // while it exists the switch is not begun; "" is none
	PanicFile    string        // when it appears before the point of no return the switch is undone; "" is none
	Quiet        time.Duration // no open transaction may be older when the switch begins; 0 does not look, less is DefaultQuiet
	QuietTimeout time.Duration // how long a quiet moment is waited for
	Rehearse     bool          // everything up to the point of no return, and back
	Sessions     Sessions      // what becomes of those on the server that is left
	Report       string        // the folder that the report is written into; "" writes none
}

// DefaultQuiet is how old a transaction may be when writes may stand still for budget: one that is older is
// likely to last longer than the budget too.
func DefaultQuiet(budget time.Duration) time.Duration { return min(budget/2, time.Second) }

const (
	controlPoll = 50 * time.Millisecond // of what is waited for before the switch
	controlSay  = 30 * time.Second      // between two lines about the same thing
)

// ends are the two servers of a switch, as it goes: a rollback leaves the target.
type ends struct {
	leaves        plan.Side // which of them is left
	left, over    *pg.Session
	subscriptions []string     // on the side that takes over
	stage         plan.StageID // of the switch
}

func (r *run) ends() ends {
	return ends{leaves: r.direction.From(), left: r.source.Session, over: r.target.Session, subscriptions: objects(r.carrying()), stage: r.switchStage().ID}
}

// control decides when a switch begins.
type control struct {
	ControlConfig
	ends
	verb    string
	journal *journal.Journal
	budget  time.Duration
	readers bool // those in a transaction are waited for, too: a pooler's PAUSE does
	emit    func(plan.Event)
	gate    func(context.Context) error // made again after a wait
	waits   func(Wait)                  // told of each wait that is over
	waited  int                         // how many there were
}

// Wait is something that a switch waited for before it began.
type Wait struct {
	For     string  `json:"for"`
	Seconds float64 `json:"seconds"`
}

// newControl returns what waits on behalf of the run's switch; gate is made again after a wait.
func (r *run) newControl(gate func(context.Context) error) *control {
	c := &control{
		ControlConfig: r.Control, ends: r.ends(), verb: r.Verb, journal: r.journal, budget: r.Options.MaxWriteStall,
		readers: r.pooled(), emit: r.emit, gate: gate, waits: r.noteWait,
	}
	if c.Quiet < 0 {
		c.Quiet = DefaultQuiet(c.budget)
	}
	return c
}

func (r *run) await(ctx context.Context) error { return r.control.await(ctx) }

func (r *run) quiet(ctx context.Context) error { return r.control.quiet(ctx) }

// pooled tells whether something of ours holds the clients while the switch is made.
func (r *run) pooled() bool { return len(r.Traffic.Poolers) > 0 }

// await waits for the time, for the word, and for the postpone file to go. It may take hours, and what the gate's
// checks have seen may be so no longer: they are made again after every wait.
func (c *control) await(ctx context.Context) error {
	before := c.waited
	for _, wait := range []func(context.Context) error{c.untilTime, c.untilWord, c.untilNotPostponed} {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	for c.waited > before {
		before = c.waited
		if err := c.gate(ctx); err != nil {
			return err
		}
		if err := c.untilNotPostponed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// takesLong tells whether somebody has asked for a wait.
func (c *control) takesLong() bool {
	return c.Hold || !c.At.IsZero() || exists(c.PostponeFile)
}

func (c *control) untilTime(ctx context.Context) error {
	if c.At.IsZero() {
		return nil
	}
	return c.until(ctx, "the time", func(context.Context) (string, error) {
		left := time.Until(c.At)
		if left <= 0 {
			return "", nil
		}
		return fmt.Sprintf("the switch begins at %s (--at), in %s", c.At.Format("15:04:05 on 2006-01-02 MST"), plan.HumanDuration(left.Round(time.Second))), nil
	})
}

func (c *control) untilWord(ctx context.Context) error {
	if !c.Hold {
		return nil
	}
	id, err := c.journal.BeginHold(ctx, c.verb, operator())
	if err != nil {
		return err
	}
	return c.until(ctx, "the word", func(ctx context.Context) (string, error) {
		by, err := c.journal.WordBy(ctx, id)
		if by != "" {
			c.emit(plan.Event{Kind: plan.EventNote, Stage: c.stage, Message: "the word was given by " + by})
		}
		if err != nil || by != "" {
			return "", err
		}
		return fmt.Sprintf("everything is prepared (--hold); from another terminal: pgleap %s --go", c.verb), nil
	})
}

func (c *control) untilNotPostponed(ctx context.Context) error {
	return c.until(ctx, "the postpone file to go", func(context.Context) (string, error) {
		if !exists(c.PostponeFile) {
			return "", nil
		}
		return fmt.Sprintf("the switch is postponed as long as %s exists (--postpone-file)", c.PostponeFile), nil
	})
}

// quiet waits for a moment in which no transaction on the side that is left is older than c.Quiet. The time in
// which the switch is postponed does not count.
func (c *control) quiet(ctx context.Context) error {
	if err := c.tellBlind(ctx); err != nil {
		return err
	}
	for {
		if err := c.untilNotPostponed(ctx); err != nil {
			return err
		}
		if c.Quiet == 0 {
			return nil
		}
		deadline := time.Now().Add(c.QuietTimeout)
		if err := c.until(ctx, "a quiet moment", func(ctx context.Context) (string, error) { return c.notQuiet(ctx, deadline) }); err != nil {
			return err
		}
		if !exists(c.PostponeFile) {
			return nil
		}
	}
}

// tellBlind says that a quiet moment cannot be told where other roles' transactions are hidden from us.
func (c *control) tellBlind(ctx context.Context) error {
	if c.Quiet == 0 {
		return nil
	}
	all, err := pg.SeesTransactions(ctx, c.left)
	if err == nil && !all {
		c.emit(plan.Event{
			Kind: plan.EventNote, Stage: c.stage,
			Message: fmt.Sprintf("a quiet moment is looked for among the transactions of our own roles alone: to see the others on the %s, grant pg_read_all_stats to %s", c.leaves, plan.QuoteIdent(c.left.Address().User())),
		})
	}
	return err
}

// notQuiet says who is in the way of a quiet moment; "" is nobody, or that the switch was postponed meanwhile.
func (c *control) notQuiet(ctx context.Context, deadline time.Time) (string, error) {
	if exists(c.PostponeFile) {
		return "", nil
	}
	open, err := pg.OpenLonger(ctx, c.left, c.Quiet, c.readers)
	if err != nil || len(open) == 0 {
		return "", err
	}
	text := fmt.Sprintf("%d transactions are open on the %s for longer than %s (--quiet), the oldest: %s", len(open), c.leaves, plan.HumanDuration(c.Quiet), open[0])
	if len(open) == 1 {
		text = fmt.Sprintf("a transaction is open on the %s for longer than %s (--quiet): %s", c.leaves, plan.HumanDuration(c.Quiet), open[0])
	}
	if time.Now().Before(deadline) {
		return "a quiet moment is waited for: " + text, nil
	}
	return "", plan.Fail(plan.KindNotReady,
		fmt.Sprintf("let it end, or end it on the %s with: select pg_terminate_backend(%d); then run pgleap %s again. --quiet 0 does not wait for it: the switch is then undone if it lasts longer than the budget", c.leaves, open[0].PID, c.verb),
		"the switch was not begun, no write was stopped: there was no quiet moment within %s (--quiet-timeout): %s", plan.HumanDuration(c.QuietTimeout), text)
}

// until looks again and again until nothing is waited for any more, and says meanwhile what is.
func (c *control) until(ctx context.Context, what string, look func(context.Context) (string, error)) error {
	began := time.Now()
	var said time.Time
	tick := time.NewTicker(controlPoll)
	defer tick.Stop()
	for {
		text, err := look(ctx)
		if err != nil {
			return err
		}
		if text == "" {
			if !said.IsZero() {
				c.waited++
				c.waits(Wait{For: what, Seconds: time.Since(began).Seconds()})
			}
			return nil
		}
		if time.Since(said) >= controlSay {
			said = time.Now()
			c.emit(plan.Event{Kind: plan.EventWaiting, Stage: c.stage, Message: text, Data: map[string]any{"for": what}})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
