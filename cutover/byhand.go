package cutover

import (
	"fmt"
	"strings"

	"pgleap/plan"
)

// What a reader of the runbook types for the switch. The parts are typed in the order of the steps, and held
// together by one transaction in terminal OLD, as pgleap's are: until its commit everything falls with it.

// idleTimeout ends the switch by itself when the one who types it is called away: the locks must not stay.
const idleTimeout = "5min"

// MostLag is the lag, in bytes of WAL, above which a switch is not begun: the drain would eat the budget.
const MostLag = 8 << 20

// lockByHand is the only step that readers meet before writes stop: it looks first whether the switch can succeed.
func lockByHand(lanes []plan.Lane, locks string) string {
	var ready, near []string
	for _, l := range lanes {
		name := plan.QuoteLiteral(l.Object())
		ours := "(select oid from pg_subscription where subname = " + name + " and subdbid = (select oid from pg_database where datname = current_database()))"
		ready = append(ready, "exists (select from pg_subscription_rel where srsubid = "+ours+") and not exists (select from pg_subscription_rel where srsubid = "+ours+" and srsubstate <> 'r')"+
			"\n      and exists (select from pg_stat_subscription where subid = "+ours+" and relid is null and pid is not null)")
		near = append(near, fmt.Sprintf("exists (select from pg_replication_slots where slot_name = %s and active and pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) < %d)", name, MostLag))
	}
	return plan.Script(
		plan.Typed{In: plan.TerminalNew, About: "before writes stop: is every table ready, and does somebody apply?", Text: plan.AwaitBlock(strings.Join(ready, "\n      and "), "60 s",
			"not ready: a table is still being copied, or no apply worker runs (see the log of the new server). Do not begin the switch")},
		plan.Typed{In: plan.TerminalOld, About: "before writes stop: is the new server near?", Text: plan.AwaitBlock(strings.Join(near, "\n      and "), "60 s",
			"the new server is more than 8 MB of WAL behind, or does not receive anything. Do not begin the switch")},
		plan.Typed{In: plan.TerminalOld, About: "LOCK: from here on writes wait", Text: `begin;
set local idle_in_transaction_session_timeout = '` + idleTimeout + `';
set local lock_timeout = '300ms';
select set_config('deadlock_timeout', '5ms', true) where current_setting('is_superuser') = 'on';
` + plan.DoBlock(`declare
  attempt int := 0;
begin
  loop
    attempt := attempt + 1;
    begin
-- all of them, or none and another attempt
`+plan.Terminated(locks)+`
      exit;
    exception when lock_not_available or deadlock_detected then
      if attempt >= 30 then
        raise exception 'the locks were not granted in 30 attempts: somebody holds one for long. Type rollback; and look for him';
      end if;
      perform pg_sleep(0.05);
    end;
  end loop;
  raise info 'every table is locked, at attempt %', attempt;
end`)},
	)
}

// markerByHand writes the marker over a connection of its own, because the one of terminal OLD commits last. Its
// number is a new one each time: the marker of an earlier attempt proves nothing.
func markerByHand(lanes []plan.Lane) string {
	write := strings.ReplaceAll(plan.Marked(lanes).Write("$MARKER", plan.QuoteLiteral(string(lanes[0].Run)), ""), "\n", " ") // a command of psql ends with its line
	return plan.Script(
		plan.Typed{In: plan.TerminalOld, About: "the position at which the old server stood still; write it down", Text: "select pg_current_wal_insert_lsn() as fence_lsn;"},
		plan.Typed{In: plan.TerminalNew, About: "mark the old server's last moment: a row of ours, written over a third connection", Text: `select (extract(epoch from clock_timestamp()) * 1000000)::bigint as marker \gset
select set_config('pgleap.marker', :'marker', false) as marker;
\setenv MARKER :marker
\! psql -X -q -d "$OLD" -c "` + write + `"`},
	)
}

func unchangedByHand() string {
	return plan.Script(plan.Typed{In: plan.TerminalOld, About: "are the definitions those that stage finish remembered?", Text: plan.DoBlock(`begin
  if (
` + definitionsStatement + `
  ) is distinct from (select definitions from pgleap.definitions) then
    raise exception 'a table, column or sequence was created, changed or dropped since the definitions were compared. Type rollback; and compare them again';
  end if;
end`)})
}

// RememberByHand keeps the fingerprint that unchangedByHand compares: on the old server, in a table that no
// publication carries.
func RememberByHand() plan.Typed {
	return plan.Typed{In: plan.TerminalOld, About: "remember what the definitions are now: the switch looks whether they still are", Text: `begin;
drop table if exists pgleap.definitions;
create unlogged table pgleap.definitions as select d as definitions from (
` + definitionsStatement + `
) t(d);
commit;`}
}

func fenceByHand(about, statements string) string {
	return plan.Script(plan.Typed{In: plan.TerminalOld, About: about, Text: plan.Terminated(statements)})
}

func drainByHand(lanes []plan.Lane) string {
	return plan.Script(plan.Typed{In: plan.TerminalNew, About: "wait until that row is there: all that was written before it is there too", Text: plan.AwaitBlock(
		plan.Marked(lanes).Arrived("current_setting('pgleap.marker')::bigint"), "60 s",
		"the row did not arrive. Type rollback; in terminal OLD: writes go on there, and nothing has happened")})
}

// ArrivedByHand writes into a file that the marker is there, and what else must hold, for terminal OLD to read: it
// must not commit what the new server has not got, whoever overlooked an error there.
func ArrivedByHand(lanes []plan.Lane, holds string) string {
	for _, l := range lanes[1:] {
		holds = plan.Marked{l}.Arrived("current_setting('pgleap.marker')::bigint") + " and " + holds
	}
	return `\pset tuples_only on
\pset format unaligned
\o ` + arrivedFile(lanes[0].Run) + `
select id from pgleap.marker where id = current_setting('pgleap.marker')::bigint and ` + holds + `;
\o
\pset tuples_only off
\pset format aligned`
}

func arrivedFile(run plan.RunID) string { return run.Object() + "_arrived.txt" }

// deferredByHand leaves the transaction open, as pgleap does: it is committed behind the fence's commit.
func deferredByHand(first bool, sql string) string {
	begin := ""
	if first {
		begin = "begin;\n"
	}
	return plan.Script(plan.Typed{In: plan.TerminalNew, About: "in a transaction that stays open until the fence stands", Text: begin + plan.Terminated(sql)})
}

// Moved is what psql says at the point of no return.
const Moved = "NOW let the applications go to the new server"

// commitByHand believes only the catalogs: a psql whose connection broke connects again by itself, and answers
// COMMIT with a warning that nobody reads.
func commitByHand(run plan.RunID, tables int, deferred bool) string {
	count := "select count(*) from pg_trigger where tgname = '" + plan.FenceTrigger + "' and not tgisinternal"
	stands := fmt.Sprintf("if (%s) < %d then\n    raise exception '%%', ", count, tables)
	commit := []string{
		"\\set arrived `cat " + arrivedFile(run) + "`",
		"select set_config('pgleap.arrived', :'arrived', true) as arrived;",
		plan.DoBlock(`begin
  if (select max(id)::text from pgleap.marker) is distinct from current_setting('pgleap.arrived') then
    raise exception 'terminal NEW has not said that everything arrived and every sequence is set: look for an error there. Type rollback; and begin the switch anew';
  end if;
end`),
		plan.DoBlock("begin\n  " + stands + "'the fence is not there: this session is not the one that holds the locks. Type rollback; and begin the switch anew';\n  end if;\n  perform setval('pgleap.gate', 1, true);\nend"),
		"commit;",
		plan.DoBlock("begin\n  " + stands + "'THE FENCE DOES NOT STAND: nothing has happened, writes go on at the old server. Type rollback; in terminal NEW, and begin the switch anew';\n  end if;\nend"),
		fmt.Sprintf("select count(*) >= %d and pg_sequence_last_value('pgleap.gate') is not null as stands from pg_trigger where tgname = '%s' and not tgisinternal \\gset", tables, plan.FenceTrigger),
	}
	said := []string{`\if :stands`, `  \echo 'The fence stands: the point of no return is passed.'`}
	if !deferred {
		said = append(said, `  \echo '`+Moved+`.'`)
	}
	parts := []plan.Typed{{In: plan.TerminalOld, About: "THE POINT OF NO RETURN: go on only when it says that the fence stands", Text: strings.Join(append(append(commit, said...), `\endif`), "\n")}}
	if deferred {
		parts = append(parts, plan.Typed{In: plan.TerminalNew, About: "at once: the triggers that had to wait", Text: "commit;\n\\echo '" + Moved + ".'"})
	}
	return plan.Script(parts...)
}
