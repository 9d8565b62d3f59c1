// Package traffic moves the clients from one server to the other: poolers, the operator's hooks, and a watchdog that
// lets the clients go on when we die.
package traffic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"pgleap/internal/hooks"
	"pgleap/internal/pg"
	"pgleap/internal/pooler"
	"pgleap/plan"
)

// Direction says which way the clients go.
type Direction string

// The directions: a rollback goes back to the old server.
const (
	Cutover  Direction = "cutover"
	Rollback Direction = "rollback"
)

// Pooler is one PgBouncer, and its configuration file if it can be written from here.
type Pooler struct {
	Admin pg.Address
	File  string // absolute; "" where a hook does the change
}

// Config says what stands between the clients and the servers.
type Config struct {
	Run       plan.RunID
	Direction Direction
	From, To  pg.Address // the side that is left, and the side that takes over
	// SourceAt and TargetAt are where the poolers reach the old and the new server. Empty values are taken from
	// what the poolers say themselves, or else from the addresses.
	SourceAt, TargetAt pooler.Values
	Poolers            []Pooler
	Database           string // the entry's name in the poolers; "" finds it
	Budget             time.Duration
	PauseTimeout       time.Duration // of PAUSE on all of them; 0 is half of the budget
	Hooks              hooks.Set
	LogFolder          string   // where a watchdog that had to act leaves its log
	Terminal           *os.File // where it also writes; never a pipe, which would not end before the watchdog does
	Emit               func(plan.Event)
	Point              func(name string)
}

// Traffic holds the clients, moves them and lets them go on. It is a cutover.Traffic.
type Traffic struct {
	Config
	nodes []*node
	look  *pg.Source // on the side that is left: what those do for whom PAUSE waits

	mu       sync.Mutex
	released bool
	armed    bool // the hook before-switch was begun
	knows    bool // this process knows whether the hook was called; one that comes later does not
	rerouted bool // the hook was called for the side that takes over, whether or not it came to an end
	dog      *watchdog
}

// Open connects to every pooler. A pooler that cannot be used is no error here: Facts and Err tell of it.
func Open(ctx context.Context, c Config) (*Traffic, error) {
	if c.PauseTimeout <= 0 {
		c.PauseTimeout = c.Budget / 2
	}
	t := &Traffic{Config: c}
	if len(c.Poolers) == 0 {
		return t, nil
	}
	var group sync.WaitGroup
	t.nodes = make([]*node, len(c.Poolers))
	for i, p := range c.Poolers {
		group.Go(func() { t.nodes[i] = t.open(ctx, p) })
	}
	group.Wait()
	return t, ctx.Err()
}

// Close ends every session. A watchdog that was not told that all is well begins to act.
func (t *Traffic) Close() {
	if t.dog != nil {
		t.dog.close()
	}
	if t.released && t.toward() == plan.Source { // what was remembered for the way back has served
		_ = t.each(func(n *node) error { return n.putBack(plan.Source) })
	}
	for _, n := range t.nodes {
		n.unstage()
		if n.Node != nil {
			n.Close()
		}
	}
	if t.look != nil {
		t.look.Close()
	}
}

// Err says which poolers cannot be used.
func (t *Traffic) Err() error {
	var errs []error
	for _, n := range t.nodes {
		errs = append(errs, n.err)
	}
	return errors.Join(errs...)
}

// Pooled tells whether clients can be held.
func (t *Traffic) Pooled() bool { return len(t.nodes) > 0 }

func (t *Traffic) emit(kind plan.EventKind, format string, args ...any) {
	if t.Emit != nil {
		t.Emit(plan.Event{Kind: kind, Stage: plan.StageSwitch, Message: t.Redact(fmt.Sprintf(format, args...))})
	}
}

func (t *Traffic) point(name string) {
	if t.Point != nil {
		t.Point(name)
	}
}

// Redact takes every password out of a text that came from elsewhere.
func (c Config) Redact(text string) string {
	text = c.To.Redact(c.From.Redact(text))
	for _, p := range c.Poolers {
		text = p.Admin.Redact(text)
	}
	return text
}

// toward is the side that the clients go to, and away the one that they leave.
func (c Config) toward() plan.Side {
	if c.Direction == Rollback {
		return plan.Source
	}
	return plan.Target
}

func (c Config) away() plan.Side {
	if c.Direction == Rollback {
		return plan.Target
	}
	return plan.Source
}

func (c Config) address(side plan.Side) pg.Address {
	if side == c.toward() {
		return c.To
	}
	return c.From
}

// at is where the poolers reach a side, as far as the operator or the address says.
func (c Config) at(side plan.Side) pooler.Values {
	given := c.SourceAt
	if side == plan.Target {
		given = c.TargetAt
	}
	a := c.address(side)
	if a.IsZero() { // an abort without the target
		return given
	}
	return pooler.Values{Host: or(given.Host, a.Host()), Port: or(given.Port, a.Port()), DBName: or(given.DBName, a.Database())}
}

func or(given, otherwise string) string {
	if given != "" {
		return given
	}
	return otherwise
}
