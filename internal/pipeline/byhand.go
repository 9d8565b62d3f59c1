package pipeline

import (
	"fmt"

	"pgleap/cutover"
	"pgleap/internal/pgver"
	"pgleap/plan"
	"pgleap/sequences"
)

// What a reader of the runbook types for the steps of this package. Nothing of it needs the journal.

// journalByHand makes the one table of ours that replication itself needs on the target.
func journalByHand(lanes []plan.Lane, sourceSystemID string) string {
	return plan.Script(plan.Typed{In: plan.TerminalNew, About: "the marker's table alone; the journal is only for pgleap", Text: `begin;
create schema pgleap;
comment on schema pgleap is ` + plan.QuoteLiteral(fmt.Sprintf("pgleap run=%s side=target other=%s, by hand", lanes[0].Run, sourceSystemID)) + `;
` + plan.Marked(lanes).Definition() + `;
commit;`})
}

func sequencesByHand(sel plan.Selection, o plan.Options, file string) (old, fresh plan.Typed) {
	n := len(sel.Sequences)
	return plan.Typed{In: plan.TerminalOld, About: "write where every sequence stands into the file " + file, Text: sequences.ByHand(sel.Sequences, o.SequenceMargin, file)},
		plan.Typed{In: plan.TerminalNew, About: fmt.Sprintf("set them, %d in all", n), Text: `select set_config('` + sequences.SetSetting + `', '0', false) as sequences_set;
\i ` + file + `
` + plan.DoBlock(fmt.Sprintf(`begin
  if current_setting('%s') <> '%d' then
    raise exception 'only %% of %d sequences were set: look at what terminal OLD said, and begin this step anew', current_setting('%[1]s');
  end if;
end`, sequences.SetSetting, n, n))}
}

func lateByHand(run plan.RunID, sel plan.Selection) string {
	file := run.Object() + "_sequences_3.sql"
	return plan.Script(
		plan.Typed{In: plan.TerminalOld, About: "write where every sequence stands by now into the file " + file, Text: sequences.LateByHand(sel.Sequences, file)},
		plan.Typed{In: plan.TerminalNew, About: "put those forward that are behind it; it shows them, and no others", Text: "\\pset tuples_only on\n\\i " + file + "\n\\pset tuples_only off"},
	)
}

const lateTrouble = "a sequence is shown: somebody called it on the old server after the switch. Look for its values among the new rows, the new server may have given them out too; a client is still connected to the old one"

// compareByHand has the definitions remembered first: what changes behind that is found by the switch.
func compareByHand(run plan.RunID) string {
	dump := func(address, file string) string {
		return `pg_dump --schema-only --exclude-schema=pgleap --no-publications --no-subscriptions -d "$` + address + `" | grep -v -e '^--' -e '^\\' -e '^SET ' -e '^$' > ` + file
	}
	oldFile, newFile := run.Object()+"_old.sql", run.Object()+"_new.sql"
	return plan.Script(
		cutover.RememberByHand(),
		plan.Typed{In: plan.TerminalShell, About: "dump the definitions of both and compare them", Text: dump("OLD", oldFile) + "\n" + dump("NEW", newFile) + "\n" +
			"diff " + oldFile + " " + newFile + ` && echo "the definitions are the same"`},
	)
}

const compareTrouble = "diff shows lines: each needs an explanation. Harmless is what a newer PostgreSQL prints in another way (columns of a view without the table's name, IN before a procedure's arguments, EXECUTE FUNCTION for EXECUTE PROCEDURE, the name of a range type's multirange, owner and privileges of schema public), " +
	"what was not selected for the move, and triggers that stage switch makes. An object that is missing on one side is not harmless: make it there, before the switch"

// filenodesByHand remembers them in a table that no publication carries.
func filenodesByHand(lanes []plan.Lane) string {
	return plan.Script(plan.Typed{In: plan.TerminalOld, About: "in a table of ours", Text: `begin;
drop table if exists pgleap.filenodes;
create unlogged table pgleap.filenodes (nspname, relname, file) as
` + filenodesStatement(lanes) + `;
commit;`})
}

// switchByHand adds to the switch what other packages know: where the sequences stand, and the files of tables.
func switchByHand(lanes []plan.Lane, v pgver.Version, sel plan.Selection, o plan.Options, stage plan.Stage) plan.Stage {
	run := lanes[0].Run
	for i, s := range stage.Steps {
		switch {
		case s.ID == cutover.StepSequences:
			old, fresh := sequencesByHand(sel, o, run.Object()+"_sequences_2.sql")
			fresh.Text += "\n" + cutover.ArrivedByHand(lanes, fmt.Sprintf("current_setting('%s') = '%d'", sequences.SetSetting, len(sel.Sequences)))
			stage.Steps[i].ByHand = plan.Script(old, fresh)
		case s.ID == cutover.StepUnchanged && !v.Has(pgver.PublishTruncate):
			stage.Steps[i].ByHand += plan.Script(plan.Typed{In: plan.TerminalOld, About: "was a table truncated? That did not travel", Text: plan.DoBlock(`begin
  if exists (select from pgleap.filenodes f where (f.nspname, f.relname, f.file) not in (
` + filenodesStatement(lanes) + `
  )) then
    raise exception 'a table was truncated or rewritten since the slot was made: the new server may hold rows that the old one has not. Type rollback; take everything back and begin anew';
  end if;
end`)})
		}
	}
	return stage
}
