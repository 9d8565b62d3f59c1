package schema

import (
	"slices"
	"strings"

	"pgleap/plan"
)

// Early parts the entries that build an index over the rows of the tables in sizes from the others: such a build begins as
// soon as its table's rows are there. They include the primary keys of the tables of which keys says so, and the other
// entries by which replication finds rows where it says so of all.
func Early(entries []Entry, sizes map[plan.Name]int64, keys func(e Entry) bool) (early, others []Entry) {
	calls := false // what stands behind a function of section post-data may call it
	for _, e := range entries {
		_, copied := sizes[tableOf(e)]
		switch {
		case e.Section == Post && (e.Type == "FUNCTION" || e.Type == "PROCEDURE" || e.Type == "AGGREGATE"):
			calls = true
			others = append(others, e)
		case e.Section == Post && (e.Type == "INDEX" || e.Type == "CONSTRAINT") && copied && !calls && (!isIdentity(e) || keys(e)):
			early = append(early, e)
		default:
			others = append(others, e)
		}
	}
	return early, others
}

// Keyed tells of an entry whether it is the plain primary key of one of the tables.
func Keyed(tables []plan.Name) func(e Entry) bool {
	return func(e Entry) bool {
		if e.Chosen || !slices.Contains(tables, tableOf(e)) {
			return false
		}
		_, _, plain := asIndex(e)
		return plain && isIdentity(e) // of a table that goes by its primary key
	}
}

// EarlySteps are the steps of the first that Early returns: the keys of which late says that apply needs them at once, the
// indexes, then the constraints that use them.
func EarlySteps(early []Entry, sizes map[plan.Name]int64, late func(e Entry) bool) []plan.Step {
	ids := newNames()
	var keys, builds, constraints []plan.Step
	for _, e := range early {
		if late(e) {
			keys = append(keys, lateKey(ids, e, sizes))
			continue
		}
		index, constraint, cut := asIndex(e)
		build := single(ids, "subscribe.index.", BatchIndexes, index, sizes)
		build.Early = true
		builds = append(builds, build)
		if cut {
			step := single(ids, "subscribe.constraint.", batchConstraints, constraint, sizes)
			step.Early = true
			constraints = append(constraints, step)
		}
	}
	return slices.Concat(keys, builds, constraints)
}

// lateKey makes a primary key behind the rows, unless it is there: see sync.KeepKeys, which may have been quicker. Between
// its look and its work nobody else comes to the table.
func lateKey(ids *names, e Entry, sizes map[plan.Name]int64) plan.Step {
	step := single(ids, "subscribe.index.", BatchKeys, e, sizes)
	table := step.Table.String()
	step.Early, step.Why = true, "its values come in no order: kept up while the rows come it would take half of the copy's time"
	step.Do.SQL = plan.DoBlock(`begin
  lock table `+table+` in access exclusive mode;
  if not exists (select from pg_catalog.pg_index where indrelid = `+plan.QuoteLiteral(table)+`::pg_catalog.regclass and indisprimary) then
    `+strings.TrimSpace(e.SQL)+`
  end if;
end`) + "\n"
	return step
}
