package sequences

import (
	"context"
	"fmt"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Carrier carries the positions of a set of sequences from the source to the target. What can be set
// beforehand is set by Prepare; Set then touches only those that have moved since.
type Carrier struct {
	Source *pg.Source
	More   []*pg.Source // read beside Source, where Readers says that it pays; Prepare warms them
	Target *pg.Target
	Of     []plan.Sequence
	Margin int64 // values, in the sequence's own direction

	source, target map[plan.Name]Position
	shares         []*share // what Prepare has divided among the sessions
}

// Report is one sequence as it was carried.
type Report struct {
	Name         string `json:"name"`
	SourceLast   int64  `json:"source_last"`
	SourceCalled bool   `json:"source_called"`
	TargetLast   int64  `json:"target_last"`
	TargetCalled bool   `json:"target_called"`
	Margin       uint64 `json:"margin"` // values that the target is ahead: fewer than were asked for near the end of the range
}

// Prepare reads and sets everything once: the statements are warm then, and the target is nearly right.
func (c *Carrier) Prepare(ctx context.Context) error {
	var err error
	if c.target, err = Read(ctx, c.Target, c.Target.Version(), c.Of); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if c.shares, err = shares(ctx, append([]*pg.Source{c.Source}, c.More...), c.Of); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := c.Read(ctx); err != nil {
		return err
	}
	return c.Set(ctx, false)
}

// Read reads the source's positions.
func (c *Carrier) Read(ctx context.Context) (err error) {
	if c.shares != nil {
		c.source, err = readShares(ctx, c.shares)
	} else {
		c.source, err = Read(ctx, c.Source, c.Source.Version(), c.Of)
	}
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	return nil
}

// Set puts the target's sequences where the source's are, and the margin ahead. In a repair clients may be
// on the target already: then nothing is set backwards. A cycling sequence has no backwards; it was set before
// the fence stood, and is left alone.
func (c *Carrier) Set(ctx context.Context, repair bool) error {
	if c.target == nil {
		var err error
		if c.target, err = Read(ctx, c.Target, c.Target.Version(), c.Of); err != nil {
			return fmt.Errorf("target: %w", err)
		}
	}
	want := map[plan.Name]Position{}
	for _, s := range c.Of {
		p := Ahead(s, c.source[s.Name], c.Margin)
		if repair && (s.Cycle || !Behind(s, c.target[s.Name], p)) {
			p = c.target[s.Name]
		}
		want[s.Name] = p
	}
	if _, err := c.Target.ExecEach(ctx, SetStatements(c.Of, Moved(c.target, want))); err != nil {
		return fmt.Errorf("set the sequences on the target: %w", err)
	}
	c.target = want
	return nil
}

// Positions reports every sequence, in the plan's order.
func (c *Carrier) Positions() any {
	out := make([]Report, 0, len(c.Of))
	for _, s := range c.Of {
		a, b := c.source[s.Name], c.target[s.Name]
		ahead, _ := values(s, a, b)
		out = append(out, Report{Name: s.Name.String(), SourceLast: a.Last, SourceCalled: a.Called, TargetLast: b.Last, TargetCalled: b.Called, Margin: ahead})
	}
	return out
}

// LateCall is a sequence that was called on the source after the switch had read it.
type LateCall struct {
	Name   string
	Values uint64 // how many were fetched
	Moved  bool   // it was set, or may have begun again: how many were fetched cannot be told
}

// Say says what happened to the sequence, behind a switch of that direction.
func (l LateCall) Say(d plan.Direction) string {
	if l.Moved {
		return fmt.Sprintf(d.Words("sequence %s was called or set on the old server after the switch, how often cannot be told"), l.Name)
	}
	return fmt.Sprintf(d.Words("%d values of sequence %s were fetched on the old server after the switch"), l.Values, l.Name)
}

// Late finds the sequences that moved on the source since they were carried, as switched reports them, and puts
// those of the target that are behind beyond them.
func (c *Carrier) Late(ctx context.Context, switched []Report) ([]LateCall, error) {
	if err := c.Read(ctx); err != nil {
		return nil, err
	}
	before := map[string]Position{}
	for _, r := range switched {
		before[r.Name] = Position{Last: r.SourceLast, Called: r.SourceCalled}
	}
	var late []LateCall
	for _, s := range c.Of {
		was, known := before[s.Name.String()]
		if now := c.source[s.Name]; known && now != was {
			n, counted := values(s, was, now)
			late = append(late, LateCall{Name: s.Name.String(), Values: n, Moved: !counted})
		}
	}
	if len(late) == 0 {
		return nil, nil
	}
	return late, c.Set(ctx, true)
}

// values counts what was fetched between two positions. Not ok: calls of nextval alone do not lead from the one
// to the other, or the sequence cycles and may have been round any number of times.
func values(s plan.Sequence, was, now Position) (n uint64, ok bool) {
	if s.Cycle || was.Called && !now.Called || !now.Called && now.Last != was.Last || Behind(s, now, was) {
		return 0, false
	}
	// Differences in uint64: the range of a bigint sequence does not fit into an int64.
	distance, step := uint64(now.Last)-uint64(was.Last), uint64(s.Increment)
	if s.Increment < 0 {
		distance, step = -distance, -step
	}
	if distance%step != 0 {
		return 0, false
	}
	n = distance / step
	if !was.Called && now.Called {
		n++
	}
	return n, true
}
