package cutover

import (
	"fmt"
	"strings"

	"pgleap/plan"
)

// The steps of --copy-in-switch.
const (
	StepEmpty        plan.StepID = "switch.empty"
	StepLargeObjects plan.StepID = "switch.copy.large-objects"

	copyPrefix = "switch.copy."
	// batchDrain marks copies that go side by side with the drain.
	batchDrain = "copy"
)

// Copies are the steps that copy what replication does not carry, while writes stand still. The zero Copies
// copies nothing, and sends nothing.
type Copies struct {
	steps []plan.Step
	// Locks keep everybody from changing what no trigger can fence; empty where the source's role may not.
	locks []string
}

// CopySteps returns what --copy-in-switch adds to the switch: nothing without it.
func CopySteps(source, target plan.Facts, sel plan.Selection, o plan.Options) Copies {
	if !o.CopyInSwitch {
		return Copies{}
	}
	c := Copies{locks: lockLargeObjects(source)}
	tables := sel.InSwitch(o)
	quiet := quietFor(target)
	c.steps = append(c.steps, empty(tables, quiet))
	levels := [][]plan.Relation{tables}
	if !target.Role.Superuser { // foreign keys hold: what they point to must be there
		var circle []plan.Relation
		levels, circle = plan.CopyLevels(tables, source.ForeignKeys)
		levels = append(levels, circle) // blocked by a check
	}
	n := 0
	for i, level := range levels {
		batch := batchDrain
		if i > 0 {
			batch = fmt.Sprintf("copy.%d", i+1)
		}
		for _, r := range level {
			n++
			c.steps = append(c.steps, copyTable(r, quiet, batch, n))
		}
	}
	c.steps = append(c.steps, copyLargeObjects(source, target))
	return c
}

// quiet keeps the triggers of the target from acting on copied rows: on the source they have acted on them already.
type quiet struct {
	on, off func(tables []plan.Relation) []string
}

// quietFor: a superuser says that it replicates, and no trigger fires, foreign keys neither. An owner can switch off
// the application's triggers only; it makes sure that nothing else fires, and that row security hides nothing.
func quietFor(target plan.Facts) quiet {
	if target.Role.Superuser {
		return quiet{
			on:  func([]plan.Relation) []string { return []string{"set local session_replication_role = replica"} },
			off: func([]plan.Relation) []string { return nil },
		}
	}
	return quiet{
		on: func(tables []plan.Relation) []string {
			names := make([]string, len(tables))
			for i, r := range tables {
				names[i] = plan.QuoteLiteral(r.Name.String())
			}
			return []string{strings.ReplaceAll(triggersOff, "{{tables}}", strings.Join(names, ", "))}
		},
		off: func([]plan.Relation) []string { return []string{triggersOn} },
	}
}

// Until 14 the copy of a root's trigger on a partition counts as internal, and an owner cannot switch it off.
const triggersOff = `do $pgleap$
declare
  tables oid[] := array[{{tables}}]::regclass[]::oid[];
  again text[] := '{}';
  r record;
begin
  for r in select t::regclass as name from unnest(tables) t where row_security_active(t) loop
    raise exception 'row level security of % refuses copied rows: the role needs BYPASSRLS', r.name;
  end loop;
  for r in select tgrelid::regclass as name, tgname from pg_trigger where tgrelid = any (tables) and tgenabled = 'O' and not tgisinternal loop
    execute format('alter table %s disable trigger %I', r.name, r.tgname);
    again := again || format('alter table %s enable trigger %I', r.name, r.tgname);
  end loop;
  for r in select g.tgrelid::regclass as name, g.tgname from pg_trigger g left join pg_constraint k on k.oid = g.tgconstraint
    where g.tgrelid = any (tables) and g.tgenabled in ('O', 'A') and g.tgtype & 36 <> 0 and coalesce(k.contype, 't') = 't' loop
    raise exception 'trigger % of % would act on copied rows, and only a superuser can keep it from that', r.tgname, r.name;
  end loop;
  perform set_config('pgleap.again', array_to_string(again, '; '), true);
end $pgleap$`

const triggersOn = `do $pgleap$
begin
  if current_setting('pgleap.again') <> '' then
    execute current_setting('pgleap.again');
  end if;
end $pgleap$`

// empty comes before anybody waits: an attempt that was undone may have left its copies.
func empty(tables []plan.Relation, q quiet) plan.Step {
	var statements []string
	if len(tables) > 0 {
		names := make([]string, len(tables))
		for i, r := range tables {
			names[i] = "only " + r.Name.String()
		}
		statements = append(statements, "begin")
		statements = append(statements, q.on(tables)...)
		statements = append(statements, "truncate "+strings.Join(names, ", "))
		statements = append(statements, q.off(tables)...)
		statements = append(statements, "commit")
	}
	sql := joined(append(statements, UnlinkStatement))
	return plan.Step{
		ID: StepEmpty, Title: fmt.Sprintf("empty the %d tables and the large objects that are copied in the switch", len(tables)), On: plan.Target,
		Why: "before the locks are asked for: an attempt that was undone may have left its copies here",
		Do:  plan.Action{Call: CallSwitch, SQL: sql}, ByHand: plan.Script(plan.Typed{In: plan.TerminalNew, Text: sql + ";"}),
		Lock: "ACCESS EXCLUSIVE on these tables, on the target, which nobody uses yet",
	}
}

func copyTable(r plan.Relation, q quiet, batch string, n int) plan.Step {
	table, one := r.Name.String(), []plan.Relation{r}
	// Without a list of columns: what was added on both sides since comes too, and generated columns never do. That
	// both sides have their columns in one order was compared before.
	read, write := "copy "+table+" to stdout", "copy "+table+" from stdin"
	before, after := append([]string{"begin"}, q.on(one)...), append(q.off(one), "commit")
	statements := append(append(append([]string{}, before...), read, write), after...)
	estimate := plan.CopyEstimate(r)
	file := fmt.Sprintf("pgleap-copy-%d.txt", n)
	why := "replication does not carry it: it is unlogged"
	if r.Persistence == "p" {
		why = "it cannot be published: it has no usable replica identity"
	}
	if batch != batchDrain {
		why += ". After the drain: its foreign keys hold on the target"
	}
	return plan.Step{
		ID: plan.StepID(plan.OneLine(copyPrefix + r.Name.Schema + "." + r.Name.Name)), Title: "copy " + plan.OneLine(table) + " from the source to the target", On: plan.Target, Why: why,
		Do: plan.Action{Call: CallSwitch, SQL: joined(statements)}, Batch: batch, Weight: r.Bytes + r.IndexBytes,
		Hazards:  []plan.Hazard{plan.HazardLoad},
		Lock:     "none that anybody meets: readers of the source go on",
		Notice:   "writers wait until it is done",
		Estimate: &estimate,
		ByHand: plan.Script(
			plan.Typed{In: plan.TerminalOld, About: "write its rows into the file " + file, Text: "\\copy " + oneLineName(r.Name) + " to '" + file + "'"},
			plan.Typed{In: plan.TerminalNew, About: "read them", Text: joined(before) + ";\n\\copy " + oneLineName(r.Name) + " from '" + file + "'\n" + joined(after) + ";"},
		),
	}
}

// oneLineName is the table's name where it must not break the line: a command of psql ends with it. A newline in a
// name cannot be written there.
func oneLineName(n plan.Name) string { return strings.ReplaceAll(n.String(), "\n", `\n`) }

// before are the steps that are made before anybody waits.
func (c Copies) before() []plan.Step { return c.steps[:min(1, len(c.steps))] }

// inside are the copies themselves.
func (c Copies) inside() []plan.Step { return c.steps[min(1, len(c.steps)):] }
