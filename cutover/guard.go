package cutover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// The guard is the fence of many tables: their triggers are made beforehand, and take one advisory lock for each
// transaction that writes. To stop every writer is then to take one lock.
//
// It proves what the table locks prove. A transaction that wrote through its trigger holds the advisory lock,
// shared, until its commit record is in the WAL: who gets it exclusively stands behind all of them. One that
// writes without its trigger (switched off in the same transaction, or as a replica) still holds its table lock to
// its end, and StepSettled waits for that. Whoever comes later meets the trigger, waits there, and reads the gate
// when it is closed.

const (
	// StepSettled exists only where the guard is the fence.
	StepSettled plan.StepID = "switch.settled"
	// StepGuard makes the guard's triggers.
	StepGuard plan.StepID = "finish.guard"

	// CallGuard makes triggers and CallUnguard drops them, a table at a time.
	CallGuard   = "guard"
	CallUnguard = "unguard"
)

// guarded are the steps that stop the writers, and make sure that the fence is everywhere.
func guarded(lanes []plan.Lane, tables int, more []string) (lock, fence plan.Step) {
	locks := joined(append([]string{plan.TakeGuard}, more...))
	lock = plan.Step{
		ID: StepLock, Title: "take the guard's lock against all writers", On: plan.Source,
		Why:     "every transaction that has written holds it, shared, by the triggers of step " + string(StepGuard) + ": those finish first, the next ones wait without an error; readers go on. After a timeout the lock is given back, and it is tried again",
		Do:      plan.Action{Call: CallSwitch, SQL: locks},
		Undo:    plan.Action{Call: CallSwitch, SQL: "rollback"},
		Hazards: []plan.Hazard{plan.HazardLocks, plan.HazardStopsWrites},
		Lock:    "one advisory lock, until the gate is closed or the switch is undone",
		Notice:  "writers wait, without an error; readers go on",
		ByHand:  lockByHand(lanes, strings.Replace(locks, "select ", "perform ", 1)),
		Trouble: "the lock is not granted: " + lockTrouble,
	}
	check := plan.DoBlock(fmt.Sprintf(`begin
  if (%s) < %d then
    raise exception 'the guard does not stand on all %d tables: somebody dropped a trigger, or switched it off';
  end if;
end`, plan.Standing, tables, tables))
	fence = plan.Step{
		ID: StepFence, Title: fmt.Sprintf("make sure that the guard stands on all %d tables", tables), On: plan.Source,
		Why:     "a table without its trigger would not be fenced",
		Probe:   plan.FenceProbe,
		Do:      plan.Action{Call: CallSwitch, SQL: strings.TrimSuffix(check, ";")},
		Undo:    plan.Action{Call: CallSwitch, SQL: "rollback"},
		Hazards: []plan.Hazard{plan.HazardStopsWrites}, ByHand: fenceByHand("does the guard stand everywhere?", check),
		Notice: waiting,
	}
	return lock, fence
}

// settled is the step that finds writers whom no trigger has seen.
func settled() plan.Step {
	return plan.Step{
		ID: StepSettled, Title: "wait for writers that the guard does not see", On: plan.Source,
		Why:    "a transaction that has switched a trigger off, or writes as a replica, is given away by its lock on the table",
		Do:     plan.Action{Call: CallSwitch, SQL: plan.Unguarded},
		Notice: waiting,
		ByHand: plan.Script(plan.Typed{In: plan.TerminalOld, About: "does nobody write past the guard?", Text: plan.AwaitBlock("not exists (\n"+plan.Unguarded+")", "300 ms",
			"a transaction holds a lock by which it can write to a table of the run. Type rollback; let it end, and begin the switch anew")}),
		Trouble: "it fails: type rollback; and ask the query under this step who it is",
	}
}

// GuardStep returns the step that makes the guard's triggers on a side, while nobody has to wait for long.
func GuardStep(id plan.StepID, on plan.Side, fenced []plan.Relation) plan.Step {
	triggers := fenceTriggers(fenced)
	return plan.Step{
		ID: id, Title: fmt.Sprintf("put the guard on %s, one at a time", plan.Plural(len(fenced), "table")), On: on,
		Why: "the switch then takes one lock instead of one for each table. It costs each writing statement about 0.02 ms until finalize: one advisory lock for each transaction that writes, one look at the gate for each statement (--fence lock does without, and stops the writes for longer)",
		Probe: fmt.Sprintf("select case when count(*) filter (where tgenabled in ('O', 'A')) >= %[1]d then 'done' when count(*) > count(*) filter (where tgenabled in ('O', 'A')) then 'the guard is switched off on ' || count(*) filter (where tgenabled not in ('O', 'A')) || ' tables: enable trigger %[2]s there' else 'absent' end from pg_trigger where tgname = '%[2]s' and not tgisinternal",
			len(fenced), plan.FenceTrigger),
		Do:      plan.Action{Call: CallGuard, SQL: joined(triggers)},
		Undo:    plan.Action{Call: CallUnguard, SQL: GuardsStatement},
		Lock:    "SHARE ROW EXCLUSIVE on one table after the other, each for an instant",
		Notice:  "writers of a table wait for an instant, at most half a second, while its trigger is made; afterwards each writing statement takes about 0.02 ms longer",
		ByHand:  plan.Script(plan.Typed{In: terminalOf(on), About: "each by itself, so that nobody waits for all of them", Text: "set lock_timeout = '500ms';\n" + plan.Terminated(joined(triggers)) + "\nset lock_timeout = 0;"}),
		Trouble: "a lock timeout: that table was in use. Type its statement once more",
	}
}

func terminalOf(s plan.Side) plan.Terminal {
	if s == plan.Source {
		return plan.TerminalOld
	}
	return plan.TerminalNew
}

// GuardsStatement lists the statements that drop the fence's triggers.
const GuardsStatement = "select format('drop trigger %I on %I.%I', t.tgname, n.nspname, c.relname) from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace where t.tgname = '" + plan.FenceTrigger + "' and not t.tgisinternal"

// guarded tells by the plan whether the guard is the fence of this switch.
func (w *Switch) guarded() bool { return w.sql(StepSettled) != "" }

// errUnsettled means that somebody holds a table lock whom the guard does not see.
var errUnsettled = errors.New("somebody writes, or may, whom the guard does not see")

// settle waits until nobody is left who can have written without the guard. It is asked by the session that holds
// the guard: whoever comes later meets the trigger.
func (w *Switch) settle(ctx context.Context, s *sessions, timeout time.Duration) ([]pg.Blocker, error) {
	for began := time.Now(); ; {
		rows, err := s.fence.Query(ctx, w.sql(StepSettled))
		if err != nil {
			return nil, wrap("look for writers that the guard does not see", err)
		}
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil || len(pids) == 0 {
			return nil, wrap("look for writers that the guard does not see", err)
		}
		if time.Since(began) > timeout {
			blockers, err := pg.Sessions(ctx, s.reader, pids)
			return blockers, errors.Join(errUnsettled, err)
		}
		time.Sleep(time.Millisecond)
	}
}
