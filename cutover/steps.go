// Package cutover makes the switch: fence, drain, sequences, release. It can lose its life at any
// instruction: until the fence's commit everything is held by the locks of one session and falls with it;
// the commit is the point of no return and the last act before the release.
package cutover

import (
	"fmt"
	"slices"
	"strings"

	"pgleap/plan"
)

// The steps of the switch. Their statements are taken from the plan: what was printed is what is sent.
const (
	StepLock      plan.StepID = "switch.lock"
	StepMarker    plan.StepID = "switch.marker"
	StepDrain     plan.StepID = "switch.drain"
	StepFence     plan.StepID = "switch.fence"
	StepSequences plan.StepID = "switch.sequences"
	StepUnchanged plan.StepID = "switch.unchanged"
	StepCommit    plan.StepID = "switch.commit"
	StepOpen      plan.StepID = "switch.open"

	StepBackSlot    plan.StepID = "switch.back.slot"
	StepBackAdvance plan.StepID = "switch.back.advance"

	// CallSwitch marks steps that the switch carries out as one, side by side where that is safe.
	CallSwitch = "switch"
	// deferredPrefix begins the ids of triggers that must not fire before the release.
	deferredPrefix = "switch.deferred."
)

// Stage returns the stage that stops the writers on the source and proves that nothing of theirs is missing.
// read is the statement that reads the sequences; deferred are definitions that may only exist on the target
// once replication has ended; copies is what is copied while writes stand still.
func Stage(lanes []plan.Lane, sel plan.Selection, read string, o plan.Options, deferred []plan.Step, copies Copies) plan.Stage {
	fenced, run, markers := sel.Fenced(), lanes[0].Run, plan.Marked(lanes)
	lock, fence := locked(lanes, fenced, copies.locks), triggered(fenced)
	if o.Guarded(sel) {
		lock, fence = guarded(lanes, len(fenced), copies.locks)
	}
	title := fmt.Sprintf("fence %s, drain, set the sequences", plan.Plural(len(fenced), "table"))
	if len(copies.steps) > 0 {
		title = fmt.Sprintf("fence %s, copy %d and the large objects, drain, set the sequences", plan.Plural(len(fenced), "table"), len(sel.InSwitch(o)))
	}
	stage := plan.Stage{
		ID: plan.StageSwitch, Title: title, Budget: o.MaxWriteStall, UndoOnFailure: true,
		Steps: []plan.Step{
			lock,
			{
				ID: StepMarker, Title: "write a marker, and take the fence LSN", On: plan.Source,
				Why:     "no write that was let through is still open: the marker's commit stands behind all of them",
				Do:      plan.Action{Call: CallSwitch, SQL: markers.Write("$1", "$2", " returning pg_current_wal_insert_lsn()")},
				Notice:  waiting,
				ByHand:  markerByHand(lanes),
				Trouble: "psql cannot connect for the row: the variable OLD is not set in the shell that started terminal NEW. Type rollback; in terminal OLD, mend it, begin the switch anew",
			},
			{
				ID: StepUnchanged, Title: "make sure that no definition has changed since the catalogs were compared", On: plan.Source,
				Why: "a table that was created in between would not be fenced",
				Do:  plan.Action{Call: CallSwitch, SQL: definitionsStatement}, ByHand: unchangedByHand(),
				Notice:  waiting,
				Trouble: "something was changed: type rollback; in terminal OLD, make the same change on the new server, and go back to step finish.compare",
			},
			fence,
			{
				ID: StepDrain, Title: "wait until the marker is on the target", On: plan.Target,
				Why:     "a subscription applies transactions in the order of their commits: with the marker, every commit before it is there, and durable",
				Do:      plan.Action{Call: CallSwitch, SQL: "select " + markers.Arrived("$1")},
				Notice:  waiting,
				ByHand:  drainByHand(lanes),
				Trouble: "the row does not arrive: type rollback; in terminal OLD at once, then look at the log of the new server, and whether a session there holds a lock that apply waits for",
			},
			{
				ID: StepSequences, Title: "carry " + plan.Plural(len(sel.Sequences), "sequence") + " over", On: plan.Source,
				Why:    "read in one query on the source, set in one on the target; only those that moved since they were set beforehand",
				Do:     plan.Action{Call: CallSwitch, SQL: read},
				Notice: waiting + "; nextval goes on",
			},
		},
	}
	if o.Guarded(sel) {
		stage.Steps = slices.Insert(stage.Steps, 1, settled())
	}
	stage.Steps = slices.Concat(copies.before(), stage.Steps, copies.inside())
	for i, d := range deferred {
		d.ID = plan.StepID(fmt.Sprintf("%s%d", deferredPrefix, i+1))
		d.Why = "ENABLE ALWAYS or ENABLE REPLICA: it would have fired a second time for replicated rows; committed behind the fence"
		d.ByHand = deferredByHand(i == 0, d.Do.SQL)
		d.Do.Call = CallSwitch
		d.Notice = waiting
		stage.Steps = append(stage.Steps, d)
	}
	stage.Steps = append(stage.Steps, plan.Step{
		ID: StepCommit, Title: "close the gate and commit the fence: the point of no return", On: plan.Source,
		Why:     "everything above is held by one session and falls with it; after this commit the target is the truth",
		Do:      plan.Action{Call: CallSwitch, SQL: joined([]string{plan.CloseGate, "commit"})},
		Hazards: []plan.Hazard{plan.HazardFinal},
		ByHand:  commitByHand(run, len(fenced), len(deferred) > 0),
		Trouble: "psql says that the connection was lost: open a new one and ask it whether the fence stands: the question is under step switch.fence. It stands: the new server is the truth, go on. It does not: nothing has happened, begin the switch anew",
		Lock:    "the locks are given back",
		Notice:  "writers that waited, and all later ones, are refused with SQLSTATE 25006; on the new server they succeed",
	}, plan.Step{
		ID: StepOpen, Title: "open the target's own gate, where an earlier way back has closed it", On: plan.Target,
		Why:    "after a rollback the target was the side that is left, and is fenced",
		Do:     plan.Action{Call: CallSwitch, SQL: plan.OpenGate},
		ByHand: plan.NothingByHand("By hand there was no rollback: the new server has no fence"),
		Notice: "nothing",
	})
	return stage
}

// locked is the lock of every table, and triggered its fence.
func locked(lanes []plan.Lane, fenced []plan.Relation, more []string) plan.Step {
	var locks []string
	for _, r := range fenced {
		locks = append(locks, "lock table only "+r.Name.String()+" in share row exclusive mode")
	}
	locks = append(locks, more...)
	return plan.Step{
		ID: StepLock, Title: "lock every table against writers", On: plan.Source,
		Why:     "writers that are inside finish first, the next ones wait without an error; readers go on. At a deadlock or a timeout the lock is given back, the table moves to the front, and it is tried again",
		Do:      plan.Action{Call: CallSwitch, SQL: joined(locks)},
		Undo:    plan.Action{Call: CallSwitch, SQL: "rollback"},
		Hazards: []plan.Hazard{plan.HazardLocks, plan.HazardStopsWrites},
		Lock:    "SHARE ROW EXCLUSIVE on every table, until the fence is committed or the switch is undone",
		Notice:  "writers wait, without an error; readers go on",
		ByHand:  lockByHand(lanes, joined(locks)),
		Trouble: "the locks are not granted: " + lockTrouble,
	}
}

const lockTrouble = "a transaction of the application holds one for long. Type rollback; and look on the old server who it is: " +
	"select pid, usename, application_name, xact_start, state, query from pg_stat_activity where xact_start < now() - interval '1 s' order by xact_start. Let it end, or end it with select pg_terminate_backend(PID)"

func triggered(fenced []plan.Relation) plan.Step {
	triggers := joined(fenceTriggers(fenced))
	return plan.Step{
		ID: StepFence, Title: "create the fence in the transaction that holds the locks", On: plan.Source,
		Why:     "outlives us and the server's restart once it is committed; refuses every writer except replication with SQLSTATE 25006",
		Probe:   plan.FenceProbe,
		Do:      plan.Action{Call: CallSwitch, SQL: triggers},
		Undo:    plan.Action{Call: CallSwitch, SQL: "rollback"},
		Hazards: []plan.Hazard{plan.HazardStopsWrites}, ByHand: fenceByHand("create the fence; nobody sees it before the commit", triggers),
		Lock:   "SHARE ROW EXCLUSIVE on every table, which is held already",
		Notice: waiting,
	}
}

func fenceTriggers(fenced []plan.Relation) []string {
	var triggers []string
	for _, r := range fenced {
		triggers = append(triggers, plan.FenceTriggerOn(r.Name))
	}
	return triggers
}

// waiting is what production notices while the switch is under way.
const waiting = "writers still wait"

// definitionsStatement is a fingerprint of what the switch relies on. Temporary tables come and go.
const definitionsStatement = `with own as (select c.oid, c.relname, c.relnamespace, c.relkind, c.relpersistence from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'S', 'f', 'm', 'v') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap'))
select (select count(*) || ' ' || coalesce(sum(hashtext(oid::text || relname || relnamespace::text || relkind::text || relpersistence::text)::bigint), 0) from own)
  || ' ' || (select count(*) || ' ' || coalesce(sum(hashtext(a.attrelid::text || ' ' || a.attname || a.atttypid::text || ' ' || a.atttypmod::text || a.attnotnull::text || a.attisdropped::text)::bigint), 0)
    from pg_attribute a join own on own.oid = a.attrelid where a.attnum > 0 and own.relkind in ('r', 'p'))`

func joined(statements []string) string { return strings.Join(statements, ";\n") }

// Release returns the stage that opens the target.
func Release(lanes []plan.Lane) plan.Stage {
	stage := plan.Stage{ID: plan.StageRelease, Title: "the target takes the writes", Irreversible: true}
	for _, l := range lanes {
		stage.Steps = append(stage.Steps, l.Steps(plan.Step{
			ID: "release.disable", Title: "disable the subscription: nothing comes from the source any more", On: plan.Target,
			Recorded: true,
			Do:       plan.Action{SQL: "alter subscription " + plan.QuoteIdent(l.Object()) + " disable"},
			Notice:   "nothing: the clients move to the new server meanwhile",
		})...)
	}
	return stage
}
