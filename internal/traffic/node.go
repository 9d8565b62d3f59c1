package traffic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"pgleap/internal/pooler"
	"pgleap/plan"
)

// node is a pooler as it was found before anybody waited.
type node struct {
	*pooler.Node
	name  string // host:port of its console
	entry pooler.Entry
	all   []pooler.Entry              // that it has
	file  *pooler.File                // nil where a hook does the change
	at    map[plan.Side]pooler.Values // where it reaches each side
	err   error                       // why it cannot be used

	staged *pooler.Staged // the new file, made before anybody waits; nil where nothing is staged
}

func (t *Traffic) open(ctx context.Context, p Pooler) *node {
	n := &node{name: p.Admin.HostPort()}
	if n.Node, n.err = pooler.Open(ctx, p.Admin); n.err != nil {
		return n
	}
	if n.entry, n.err = t.match(ctx, n); n.err != nil {
		return n
	}
	if n.err = n.MayPause(ctx); n.err == nil && p.File != "" {
		n.err = n.openFile(p.File, t.Run)
	}
	if n.err == nil {
		n.err = t.place(n)
	}
	return n
}

// match finds the entry through which the clients go. After an attempt that was killed it may be paused, or point at
// the side that takes over already.
func (t *Traffic) match(ctx context.Context, n *node) (pooler.Entry, error) {
	entries, err := n.Databases(ctx)
	if err != nil {
		return pooler.Entry{}, err
	}
	n.all = slices.Clone(entries)
	paused := map[string]bool{}
	for i := range entries {
		paused[entries[i].Name], entries[i].Paused = entries[i].Paused, false
	}
	e, err := pooler.Match(entries, t.From, t.Database)
	if err != nil && t.Database == "" {
		if moved, other := pooler.Match(entries, t.To, ""); other == nil {
			e, err = moved, nil
		}
	}
	if err != nil {
		return e, fmt.Errorf("%s: %w", n, err)
	}
	e.Paused = paused[e.Name]
	return e, nil
}

func (n *node) openFile(path string, run plan.RunID) (err error) {
	if n.file, err = pooler.OpenFile(path, string(run)); err != nil {
		return err
	}
	if _, err = n.file.Entry(n.entry.Name); err != nil {
		return err
	}
	return n.file.Writable()
}

// place says where the pooler reaches each side. What it says of the old server counts for more than our address:
// the way from there may be another.
func (t *Traffic) place(n *node) error {
	source, target, now := t.at(plan.Source), t.at(plan.Target), n.entry.Values()
	remembered := false
	if n.file != nil {
		was, ok, err := n.file.Remembered(n.entry.Name)
		if err != nil {
			return err
		}
		if remembered = ok; ok {
			source = was.Filled(n.entry.Name)
		}
	}
	switch {
	case t.Direction == Cutover && !remembered && !points(now, target):
		source = now
	case t.Direction == Rollback && !points(now, source):
		target = now
	}
	n.at = map[plan.Side]pooler.Values{plan.Source: source, plan.Target: target}
	return nil
}

// points tells whether an entry points there.
func points(has, want pooler.Values) bool { return has == want }

// pointsAt asks the pooler.
func (n *node) pointsAt(ctx context.Context, want pooler.Values) (bool, error) {
	e, err := n.Entry(ctx, n.entry.Name)
	return err == nil && points(e.Values(), want), err
}

// inFile are the values that the file is to have for a side: of the old server, where they are remembered, as they stood
// there.
func (n *node) inFile(side plan.Side) (want pooler.Values, remembered bool, err error) {
	want = n.at[side]
	if side == plan.Source {
		var was pooler.Values
		if was, remembered, err = n.file.Remembered(n.entry.Name); remembered {
			want = was
		}
	}
	return want, remembered, err
}

// try has PgBouncer prove that it will take the file.
func (n *node) try(ctx context.Context, side plan.Side) error {
	if n.file == nil {
		return nil
	}
	want, _, err := n.inFile(side)
	if err == nil {
		err = n.Try(ctx, n.file, n.entry.Name, want)
	}
	if err != nil {
		return fmt.Errorf("the switch was not begun, no write was stopped: %w", err)
	}
	return nil
}

// stage makes the new file beside the old one: writing it takes longer than putting it in its place.
func (n *node) stage(side plan.Side) error {
	if n.file == nil {
		return nil
	}
	want, _, err := n.inFile(side)
	if err != nil {
		return err
	}
	if side == plan.Target {
		n.staged, err = n.file.Stage(n.entry.Name, want)
	} else {
		n.staged, err = n.file.StageBack(n.entry.Name, want)
	}
	return err
}

// unstage takes stage back.
func (n *node) unstage() {
	if n.staged != nil {
		n.staged.Discard()
		n.staged = nil
	}
}

// install puts what was staged in its place, or makes the change now. What is remembered of the old server stays so.
func (n *node) install(side plan.Side) error {
	if n.file == nil {
		return nil
	}
	if n.staged != nil {
		err := n.staged.Install()
		n.staged = nil
		return err
	}
	if side == plan.Target {
		return n.file.Point(n.entry.Name, n.at[side])
	}
	want, _, err := n.inFile(side)
	if err != nil {
		return err
	}
	return n.file.Replace(n.entry.Name, want)
}

// putBack makes the file point at the side that was to be left, and takes away what else an attempt has left there.
func (n *node) putBack(side plan.Side) error {
	if n.file == nil {
		return nil
	}
	_, remembered, err := n.inFile(plan.Source)
	switch {
	case err != nil:
	case side == plan.Target:
		err = n.file.Point(n.entry.Name, n.at[side])
	case remembered:
		err = n.file.PutBack(n.entry.Name)
	}
	return errors.Join(err, n.file.Sweep(n.entry.Name))
}

// others are the entries that point at the side that is left, too, and are not moved.
func (t *Traffic) others(n *node) (names []string) {
	for _, e := range n.all {
		at := e.Values()
		if e.Name != n.entry.Name && (at == n.at[t.away()] || e.HostPort() == t.From.HostPort() && e.Database == t.From.Database()) {
			names = append(names, e.Name)
		}
	}
	return names
}

// Facts are what the check pooler judges.
func (t *Traffic) Facts(ctx context.Context) []plan.Pooler {
	var out []plan.Pooler
	for _, n := range t.nodes {
		f := plan.Pooler{Node: n.name, Database: n.entry.Name, Budget: t.Budget}
		if n.err != nil {
			f.Trouble = t.Redact(n.err.Error())
			out = append(out, f)
			continue
		}
		f.SessionMode, f.Paused = n.entry.WaitsForClients(), n.entry.Paused
		f.PointsAt, f.Known = n.entry.Values().String(), t.From.String()
		f.Moved = points(n.entry.Values(), n.at[t.toward()])
		f.Others, f.InFile = t.others(n), n.otherwise(t.toward())
		f.GoesTo, f.Unreached = n.at[t.toward()].String(), t.unreached(ctx, n)
		config, err := n.Config(ctx)
		if err != nil {
			f.Trouble = t.Redact(err.Error())
		}
		f.Reads = n.reads(config["conffile"], t.Run)
		f.WaitTimeout = pooler.QueryWaitTimeout(config)
		out = append(out, f)
	}
	return out
}

// otherwise says where the entry points in the file, if that is not what PgBouncer says. A change of this run that it has
// not taken notice of is none.
func (n *node) otherwise(toward plan.Side) string {
	if n.file == nil {
		return ""
	}
	has, err := n.file.Says(n.entry.Name)
	if err != nil || points(has, n.entry.Values()) { // an error the check says
		return ""
	}
	if _, remembered, err := n.file.Remembered(n.entry.Name); err == nil && remembered && points(has, n.at[toward]) {
		return ""
	}
	return n.file.Path() + ": " + has.String()
}

// reads is the file that PgBouncer says it reads, where that is here, has the entry, too, and is not the one that was
// named. On another machine's PgBouncer that proves nothing, and is worth a word all the same.
func (n *node) reads(path string, run plan.RunID) string {
	if n.file == nil || path == "" {
		return ""
	}
	other, err := pooler.OpenFile(path, string(run))
	if err != nil {
		return ""
	}
	a, errA := os.Stat(other.Path())
	b, errB := os.Stat(n.file.Path())
	_, err = other.Entry(n.entry.Name)
	if errors.Join(errA, errB, err) != nil || os.SameFile(a, b) {
		return ""
	}
	return other.Path()
}

// String names the poolers in messages.
func (t *Traffic) String() string { return "PgBouncer " + strings.Join(t.Nodes(), ", ") }

// Nodes are the poolers' consoles, host:port, for the journal.
func (t *Traffic) Nodes() []string {
	var names []string
	for _, n := range t.nodes {
		names = append(names, n.name)
	}
	return names
}

// Refresh reads anew what the poolers say of their entries.
func (t *Traffic) Refresh(ctx context.Context) error {
	return t.each(func(n *node) (err error) {
		if n.entry, err = n.Entry(ctx, n.entry.Name); err != nil {
			return err
		}
		return t.place(n)
	})
}
