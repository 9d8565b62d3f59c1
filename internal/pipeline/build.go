package pipeline

import (
	"slices"

	"pgleap/cutover"
	"pgleap/internal/journal"
	"pgleap/plan"
	"pgleap/schema"
	"pgleap/sequences"
	pgsync "pgleap/sync"
)

// Build makes the plan of an upgrade from what was read. It is pure.
//
//	schema     definitions on the target, without secondary indexes, foreign keys and triggers
//	publish    publication and slot                                   the source starts keeping changes
//	subscribe  rows are copied, each table's indexes built and statistics made as soon as they are there, then followed
//	finish     foreign keys, triggers, views; sequences set beforehand; catalogs compared
//	refresh    materialized views once more (--refresh-matviews)       at each cutover
//	switch     fence, drain, sequences                                writes stop; budget; undone on failure
//	release    the target takes the writes                            the point of no return is behind us
//	teardown   subscription, slot, publication dropped; the fence stays
//	finalize   fence and journal dropped; by its own verb
func Build(run plan.RunID, tool string, source, target plan.Facts, o plan.Options, sel plan.Selection, entries []schema.Entry) plan.Plan {
	repairs := plan.IdentityRepairs(source, sel, o)
	entries = schema.Choose(entries, chosenIndexes(repairs))
	roles := plan.RoleStatementsFor(source, target, o)
	late := schema.Keyed(o.LateKeys)
	early, others := schema.Early(entries, sizes(sel), func(e schema.Entry) bool { return o.Copy == plan.CopyStream || late(e) })
	p := plan.Plan{
		Format: plan.Format, Tool: tool, Run: run, Source: source, Target: target, Options: o,
		Findings: plan.Check(source, target, o), Lanes: o.SpreadOf(sel, source, target).Lanes,
	}
	lanes := p.LaneList(sel)
	stages := []plan.Stage{
		definitions(lanes, source, roles, others, repairs, o),
		withFilenodes(lanes, source.Version, pgsync.Publish(lanes, source, target, sel, o)),
		subscribe(lanes, target, sel, early, others, repairs, o),
		withLargeObjects(finish(lanes, source, target, sel, o, roles, others), o),
	}
	wayBack := !o.NoWayBack && len(plan.WayBack(source, target, o)) == 0
	cut := cutover.Stage(lanes, sel, sequences.SwitchStatement, o, schema.DeferredSteps(entries), cutover.CopySteps(source, target, sel, o))
	var back []plan.Stage
	if wayBack {
		last := &stages[len(stages)-1]
		last.Steps = append(last.Steps, pgsync.BackSteps(run, source, target, sel)...)
		locked := o
		locked.Fence = plan.FenceLock                        // the guard's triggers are not on the target: they would cost production there for weeks
		leads := []plan.Lane{plan.Whole(run, sel.Published)} // back one lane is enough: its markers are the first lane's
		back = backStages(lanes, source, cutover.Stage(leads, sel, sequences.SwitchStatement, locked, nil, cutover.Copies{}))
		cut = cutover.WithWayBack([]plan.Lane{plan.Whole(run.Back(), nil)}, plan.Forward, cut, target.Version)
	}
	cut.Steps = append(pgsync.DurableSteps(lanes), cut.Steps...)
	if views := populated(sel.MatViews); o.RefreshMatViews && len(views) > 0 {
		stages = append(stages, refresh(views))
	}
	p.Stages, p.Back = append(stages,
		switchByHand(lanes, source.Version, sel, o, cut),
		withCopied(release(lanes, sel, wayBack), source, sel, o),
		pgsync.Teardown(lanes, wayBack),
		finalize(lanes, repairs, wayBack),
	), back
	return p.Estimated(sel)
}

// What production, which is the source's clients until the release, notices of a step.
const (
	noticeNobody = "nothing: nobody uses the target yet"
	noticeReads  = "nothing: the catalogs are read"
)

const (
	stepJournal plan.StepID = "schema.journal"
	stepCompare plan.StepID = "finish.compare"
)

func definitions(lanes []plan.Lane, source plan.Facts, roles plan.RoleStatements, others []schema.Entry, repairs []plan.IdentityRepair, o plan.Options) plan.Stage {
	steps := []plan.Step{{
		ID: stepJournal, Title: "create the journal", On: plan.Target,
		Why:   "it survives the operator's machine: the same command from anywhere goes on",
		Probe: "select case when to_regclass('pgleap.marker') is null then 'absent' else 'done' end",
		Do:    plan.Action{SQL: journal.Definition(lanes, source.SystemID, source.Address+"/"+source.Database)},
		Undo:  plan.Action{SQL: "drop schema if exists pgleap cascade"}, ByHand: journalByHand(lanes, source.SystemID), Notice: noticeNobody,
	}}
	steps = append(steps, roleSteps(roles)...)
	steps = append(steps, plan.Step{
		ID: "schema.initial", Title: "write down what the target holds before anything is made", On: plan.Target,
		Why:      "abort puts it back",
		Recorded: true, Do: plan.Action{Call: callInitial},
		Undo: plan.Action{Call: callClear}, ByHand: plan.NothingByHand("pgleap writes down what abort must leave there. By hand the way back is the database itself: it is empty now, and can be dropped and made again"), Notice: noticeNobody,
	})
	rows := slices.Concat(schema.DefinitionSteps(others), pgsync.TargetIdentitySteps(repairs))
	if o.Copy == plan.CopyStream {
		rows = schema.RowSteps(others)
	}
	return plan.Stage{
		ID: plan.StageSchema, Title: "definitions on the target, without what is quicker to make after the copy", Session: schema.SessionSettings(),
		Steps: slices.Concat(steps, rows),
	}
}

// subscribe is the stage of the first copy, in the way that was chosen, and of what is done with a table as soon as its
// rows are there.
func subscribe(lanes []plan.Lane, target plan.Facts, sel plan.Selection, early, others []schema.Entry, repairs []plan.IdentityRepair, o plan.Options) plan.Stage {
	loaded := slices.Concat(schema.EarlySteps(early, sizes(sel), schema.Keyed(o.LateKeys)), analyzeSteps(sel))
	var stage plan.Stage
	if o.Copy == plan.CopyStream {
		of := laneOf(lanes)
		stage = pgsync.Streamed(lanes, target, func(l plan.Lane) []plan.Step {
			// A lane whose copy begins anew loses what stands on its tables: nothing may have been made of it before.
			rest := schema.RestSteps(others, func(table plan.Name) bool { return of(table) == l.N })
			return slices.Concat(stepsOf(lanes, l, loaded), rest, stepsOf(lanes, l, pgsync.TargetIdentitySteps(repairs)))
		})
	} else {
		stage = pgsync.Subscribe(lanes, target, func(l plan.Lane) []plan.Step { return stepsOf(lanes, l, loaded) })
		for i, s := range stage.Steps {
			if keys := keysOf(stepsOf(lanes, plan.Lane{N: max(1, s.Lane)}, loaded)); s.Do.Call == pgsync.CallCopy && len(keys) > 0 {
				stage.Steps[i].ByHand = pgsync.KeysByHand(lanes, keys) + s.ByHand
			}
		}
	}
	if o.CopyWhy != "" {
		i := slices.IndexFunc(stage.Steps, func(s plan.Step) bool { return s.Do.Call == pgsync.CallStream || s.Do.Call == pgsync.CallCopy })
		stage.Steps[i].Why += ". Chosen because " + o.CopyWhy + "; --copy chooses otherwise"
	}
	stage.Session, stage.Speed = schema.SessionSettings(), loadSettings(target, o)
	return stage
}

// keysOf are those of the steps that make a key behind the rows.
func keysOf(steps []plan.Step) []plan.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s plan.Step) bool { return s.Batch != schema.BatchKeys })
}

// analyzeSteps are those of tables that are analyzed as soon as their indexes are there. Who has children waits for them.
func analyzeSteps(sel plan.Selection) (steps []plan.Step) {
	parents := parentsOf(sel)
	for _, r := range sel.Published {
		if !parents[r.Name] {
			step := analyze("subscribe.analyze.", r)
			step.Early = true
			steps = append(steps, step)
		}
	}
	return steps
}

func parentsOf(sel plan.Selection) map[plan.Name]bool {
	m := map[plan.Name]bool{}
	for _, r := range sel.Published {
		for _, p := range r.Parents {
			m[p] = true
		}
	}
	return m
}

func analyze(prefix string, r plan.Relation) plan.Step {
	return plan.Step{
		ID: plan.StepID(prefix + r.Name.Schema + "." + r.Name.Name), Title: "analyze " + r.Name.String(), On: plan.Target,
		Recorded: true, Do: plan.Action{SQL: "analyze " + r.Name.String()}, Batch: batchAnalyze, Weight: r.Bytes,
		Hazards: []plan.Hazard{plan.HazardLoad}, Table: &r.Name,
		Lock: "SHARE UPDATE EXCLUSIVE on " + r.Name.String() + ": apply goes on", Notice: noticeNobody,
	}
}

const batchAnalyze = "analyze"

// laneOf tells the number of a table's lane; the first has also what is in none, such as partitioned roots.
func laneOf(lanes []plan.Lane) func(table plan.Name) int {
	of := map[plan.Name]int{}
	for _, l := range lanes {
		for _, r := range l.Tables {
			of[r.Name] = l.N
		}
	}
	return func(table plan.Name) int { return max(1, of[table]) }
}

// stepsOf are those of the steps that work on the lane's tables.
func stepsOf(lanes []plan.Lane, lane plan.Lane, steps []plan.Step) (out []plan.Step) {
	of := laneOf(lanes)
	for _, s := range steps {
		var table plan.Name
		if s.Table != nil {
			table = *s.Table
		}
		if of(table) == lane.N {
			out = append(out, s)
		}
	}
	return out
}

func sizes(sel plan.Selection) map[plan.Name]int64 {
	m := map[plan.Name]int64{}
	for _, r := range sel.Published {
		m[r.Name] = r.Bytes
	}
	return m
}

// chosenIndexes are the indexes that have to be there before the first row: apply finds its rows by them.
func chosenIndexes(repairs []plan.IdentityRepair) []plan.Name {
	var out []plan.Name
	for _, r := range repairs {
		if r.Index != "" {
			out = append(out, plan.Name{Schema: r.Table.Schema, Name: r.Index})
		}
	}
	return out
}

func finish(lanes []plan.Lane, source, target plan.Facts, sel plan.Selection, o plan.Options, roles plan.RoleStatements, entries []schema.Entry) plan.Stage {
	run := lanes[0].Run
	steps := schema.FinishSteps(entries, sizes(sel), sel.MatViews)
	parents := parentsOf(sel)
	withChildren := slices.DeleteFunc(slices.Clone(sel.Published), func(r plan.Relation) bool { return !parents[r.Name] })
	for _, r := range slices.Concat(withChildren, sel.Roots, populated(sel.MatViews)) {
		steps = append(steps, analyze("finish.analyze.", r))
	}
	steps = append(steps,
		plan.Step{
			ID: "finish.sequences", Title: "set " + plan.Plural(len(sel.Sequences), "sequence") + " beforehand", On: plan.Target,
			Why: "at the switch only those are set that have moved since", Recorded: true,
			Do: plan.Action{Call: callSequences}, ByHand: plan.Script(sequencesByHand(sel, o, run.Object()+"_sequences_1.sql")), Notice: "nothing: the source's sequences are read",
		},
		plan.Step{
			ID: stepCompare, Title: "compare the catalogs of both sides, object by object", On: plan.Target,
			Why: "a copy can be complete while the definitions are not", Recorded: true, Except: append(schema.DeferredTriggers(entries), schema.KeptPublic(source, target)...),
			Do: plan.Action{Call: callCompare}, ByHand: compareByHand(run), Trouble: compareTrouble,
			Lock: "ACCESS SHARE on every table of either side, for an instant", Notice: noticeReads,
		},
	)
	steps = append(steps, settingSteps(roles)...)
	if o.Guarded(sel) {
		steps = append(steps, cutover.GuardStep(cutover.StepGuard, plan.Source, sel.Fenced()))
	}
	return plan.Stage{ID: plan.StageFinish, Title: "constraints, triggers, views, sequences", Session: schema.SessionSettings(), Speed: loadSettings(target, o), Steps: steps}
}

func release(lanes []plan.Lane, sel plan.Selection, wayBack bool) plan.Stage {
	run, stage := lanes[0].Run, cutover.Release(lanes)
	if wayBack {
		stage.Steps = append(stage.Steps, pgsync.FollowStep("release.back", run.Back(), plan.Source))
	}
	stage.Steps = append(stage.Steps, plan.Step{
		ID: "release.sequences", Title: "look whether a sequence was called on the old server after the switch", On: plan.Target,
		Why:      "the fence refuses writes, not nextval: who fetches values ahead of the writes would get one twice; --sequence-margin leaves a gap for them",
		Recorded: true, Do: plan.Action{Call: callLateSequences}, ByHand: lateByHand(run, sel), Trouble: lateTrouble, Notice: noticeReads,
	})
	return stage
}

// finalize puts the replica identities back before schema pgleap goes, which knows how they were.
func finalize(lanes []plan.Lane, repairs []plan.IdentityRepair, wayBack bool) plan.Stage {
	stage := cutover.Finalize()
	stage.Steps = slices.Concat(withoutWitness(lanes[0].Run, wayBack), pgsync.LastSteps(lanes, wayBack), pgsync.PutBackSteps(plan.Source, repairs), pgsync.PutBackSteps(plan.Target, repairs), stage.Steps)
	return stage
}

func populated(views []plan.Relation) []plan.Relation {
	var out []plan.Relation
	for _, v := range views {
		if v.Populated {
			out = append(out, v)
		}
	}
	return out
}
