package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pgleap/cutover"
	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
	"pgleap/sequences"
	pgsync "pgleap/sync"
)

// The Calls of this package: steps that SQL alone cannot express.
const (
	callInitial   = "read-initial"
	callClear     = "clear-target"
	callSequences = "set-sequences"
	callCompare   = "compare-catalogs"

	callLateSequences = "late-sequences"
	callLateBack      = "late-sequences-back"

	callChangeRoles  = "change-roles"
	callRestoreRoles = "restore-roles"
)

// call carries out the named part.
func (r *run) call(ctx context.Context, name string, s plan.Step) error {
	switch name {
	case pgsync.CallSlot:
		return pgsync.CreateSlot(ctx, r.source, s, r.Options.SlotTimeout, r.emit)
	case pgsync.CallStream:
		defer r.walGuard.copies()()
		return r.streams(s).Do(ctx, r.source)
	case pgsync.CallUnslot:
		publisher, lane := r.publisher(s)
		return pgsync.DropSlot(ctx, publisher, lane, statementOf(s))
	case pgsync.CallFollow:
		return r.follow(ctx, s)
	case plan.CallUnfence:
		return r.unfence(ctx, s)
	case pgsync.CallSetIdentity:
		return r.alterBriefly(ctx, r.source.Session, s.ID, s.Do.SQL)
	case pgsync.CallPutBack:
		return r.putBack(ctx, s)
	case cutover.CallGuard:
		return r.guard(ctx, s)
	case cutover.CallUnguard:
		return r.unguard(ctx, s)
	case pgsync.CallCopy:
		defer r.walGuard.copies()()
		return pgsync.FollowCopy(ctx, r.source, r.target, r.lanes, s, r.copying, r.loading.there)
	case pgsync.CallCatchUp:
		return pgsync.CatchUp(ctx, r.source, r.lanes, s, r.emit)
	case callInitial:
		initial, err := schema.ReadInitial(ctx, r.target)
		if err != nil {
			return err
		}
		return r.journal.Record(ctx, journal.Before, plan.StageSchema, s.ID, initial)
	case callClear:
		return r.clear(ctx)
	case callSequences:
		return r.carrier().Prepare(ctx)
	case callCompare:
		return r.compare(ctx)
	case callFilenodes:
		return r.rememberFilenodes(ctx, s)
	case callChangeRoles:
		return r.changeRoles(ctx, s)
	case callRestoreRoles:
		return r.restoreRoles(ctx, s)
	case callLateSequences:
		return r.late(ctx, journal.Released)
	case callLateBack:
		t := r.turned()
		return t.late(ctx, journal.Returned)
	case callLateLargeObjects:
		return r.lateLargeObjects(ctx, s)
	}
	return fmt.Errorf("the plan names a part that this pgleap does not have: %q", name)
}

// streams are those of the lane that the step belongs to.
func (r *run) streams(s plan.Step) *pgsync.Streams {
	lane := r.laneOf(s)
	return &pgsync.Streams{
		Connect:     loader{r},
		Run:         lane.Run,
		Tables:      lane.Tables,
		Jobs:        r.Options.CopyJobs,
		Processors:  r.plan.Source.Cluster.Processors,
		PartBytes:   r.Options.CopySplit,
		SlotTimeout: r.Options.SlotTimeout,
		Step:        s,
		Emit:        r.copying,
		Point:       r.point,
		Loaded:      r.loading.there,
		Throttle:    r.walGuard.throttled(),
		Watched: func(ctx context.Context, from *pg.Source, to *pg.Target, f func() error) error {
			_, err := r.watchedOn(ctx, s.ID, from, to, f)
			return err
		},
	}
}

// statementOf returns the statement of a step that is done or undone by the same Call.
func statementOf(s plan.Step) string {
	if s.Do.Call == pgsync.CallUnslot {
		return s.Do.SQL
	}
	return s.Undo.SQL
}

func (r *run) carrier() *sequences.Carrier {
	return &sequences.Carrier{Source: r.source, Target: r.target, Of: r.sel.Sequences, Margin: r.Options.SequenceMargin}
}

// late tells what came to the side that was left behind the switch, whose record is of that kind.
func (r *run) late(ctx context.Context, record string) error {
	if err := r.lateDefinitions(ctx); err != nil {
		return err
	}
	return r.lateSequences(ctx, record)
}

// lateSequences tells of sequences that were called on the old server after the switch had read them, and
// puts the target's beyond them.
func (r *run) lateSequences(ctx context.Context, record string) error {
	var switched struct {
		Sequences []sequences.Report `json:"sequences"`
	}
	if _, err := r.journal.Data(ctx, record, "", &switched); err != nil {
		return err
	}
	late, err := r.carrier().Late(ctx, switched.Sequences)
	if err != nil {
		return err
	}
	for _, l := range late {
		r.emit(plan.Event{
			Kind: plan.EventNote, Stage: r.releaseStage(), Data: map[string]any{"sequence": l.Name, "values": l.Values, "moved": l.Moved},
			Message: fmt.Sprintf(r.direction.Words("%s: look for its values among the new rows, the new server may have given them out too; a client is still connected to the old one (--sequence-margin leaves a gap for this)"), l.Say(r.direction)),
		})
	}
	return nil
}

// lateDefinitions tells of a table that came into being in a transaction that was open during the switch.
func (r *run) lateDefinitions(ctx context.Context) error {
	if r.definitions == "" { // another process made the switch
		return nil
	}
	step := r.switchStep(cutover.StepUnchanged)
	now, err := cutover.Definitions(ctx, r.source, step.Do.SQL)
	if err == nil && now != r.definitions {
		r.emit(plan.Event{Kind: plan.EventNote, Stage: r.releaseStage(), Message: r.direction.Words("a table, column or sequence was created, changed or dropped on the old server in a transaction that was open during the switch: it is not fenced, and what is in it is not on the new server")})
	}
	return err
}

// clear takes everything that was loaded off the target again.
func (r *run) clear(ctx context.Context) error {
	var initial schema.Initial
	found, err := r.journal.Data(ctx, journal.Before, "schema.initial", &initial)
	if err != nil || !found { // nothing was loaded before that record
		return err
	}
	return schema.Clear(ctx, r.target, initial)
}

// compare refuses to go on while the definitions of the two sides differ.
func (r *run) compare(ctx context.Context) error {
	source, err := catalog.Objects(ctx, r.source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	target, err := catalog.Objects(ctx, r.target)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	// An extension that came with the target's template or its service harms nobody.
	var initial schema.Initial
	if _, err := r.journal.Data(ctx, journal.Before, "schema.initial", &initial); err != nil {
		return err
	}
	differences := slices.DeleteFunc(schema.Compare(source, target, r.sel, r.notYet()...), func(d schema.Difference) bool {
		return d.Source == "" && d.Kind == "extension" && slices.ContainsFunc(initial.Extensions, func(name string) bool { return plan.QuoteIdent(name) == d.Name })
	})
	if len(differences) == 0 {
		return nil
	}
	return plan.Fail(plan.KindDrift, "make the same change on the other side (a new table also needs a new run: pgleap abort, then pgleap sync), then run the same command again",
		"the definitions of the two sides differ in %s:%s", plan.Plural(len(differences), "object"), listed(differences, differs))
}

// listed shows the first of many, each on a line of its own.
func listed[T any](items []T, line func(T) string) string {
	const most = 20
	var b strings.Builder
	for i, item := range items {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(items)-i)
			break
		}
		b.WriteString("\n  " + line(item))
	}
	return b.String()
}

// notYet names what is on the target only after the switch.
func (r *run) notYet() []string {
	stage, _ := r.plan.Stage(plan.StageFinish)
	step, _ := stage.Step(stepCompare)
	return step.Except
}

// differs says in a line what one side has and the other has not.
func differs(d schema.Difference) string {
	switch {
	case d.Target == "":
		return plan.OneLine(d.String() + " is not on the target; the source has: " + d.Source)
	case d.Source == "":
		return plan.OneLine(d.String() + " is not on the source; the target has: " + d.Target)
	}
	return plan.OneLine(d.String() + " differs; source: " + d.Source + "; target: " + d.Target)
}
