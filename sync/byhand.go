package sync

import (
	"fmt"
	"strings"
	"time"

	"pgleap/plan"
)

// What a reader of the runbook types where pgleap sends more than a statement.

// slotByHand bounds the wait for open transactions, as --slot-timeout does. What waits here is no application.
func slotByHand(run plan.RunID, timeout time.Duration) string {
	return plan.Script(plan.Typed{In: plan.TerminalOld, About: "waits for every open write transaction of the whole cluster", Text: fmt.Sprintf(`begin;
set local statement_timeout = '%dms';
select pg_create_logical_replication_slot(%s, 'pgoutput');
commit;`, timeout.Milliseconds(), plan.QuoteLiteral(run.Object()))})
}

const slotTrouble = "it ends with \"canceling statement due to statement timeout\": a transaction is open for long; no slot is left. Type rollback; and look who it is: " +
	"select pid, datname, usename, application_name, xact_start, state from pg_stat_activity where backend_xid is not null order by xact_start. Let it end, then run the block again"

// unslotByHand waits for the walsender's end: it goes a moment after the subscription, and a slot in use stays.
func unslotByHand(run plan.RunID, on plan.Side) string {
	return plan.Script(plan.Typed{In: plan.TerminalOf(on), About: "waits until nobody uses the slot", Text: plan.AwaitBlock(
		"not exists (select from pg_replication_slots where slot_name = "+plan.QuoteLiteral(run.Object())+" and active)", "60 s",
		"the slot is still in use: end its walsender with select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = "+plan.QuoteLiteral(run.Object())) +
		"\n" + plan.Terminated(DropSlotStatement(run))})
}

// HideStatement keeps the transaction's next statements, which hold a password, out of the server's log and of
// pg_stat_activity and pg_stat_statements, where we may. Only a superuser may. Terse, because the context of a
// message repeats a statement that stands within another.
const HideStatement = `select set_config(s.name, s.value, true) from (values
  ('log_statement', 'none'), ('log_min_error_statement', 'panic'), ('log_min_duration_statement', '-1'),
  ('log_duration', 'off'), ('log_error_verbosity', 'terse'), ('track_activities', 'off'), ('log_min_duration_sample', '-1'), ('log_transaction_sample_rate', '0'),
  ('pg_stat_statements.track', 'none'), ('pgaudit.log', 'none'), ('auto_explain.log_min_duration', '-1')) s(name, value)
where exists (select from pg_settings p where p.name = s.name) and (select rolsuper from pg_roles where rolname = current_user)`

// subscriptionByHand takes the connection string from the environment: it holds a password, which must stand in
// no document, no history and no log.
func subscriptionByHand(statement string) string {
	return plan.Script(plan.Typed{In: plan.TerminalNew, About: "takes the old server's connection string from the variable SOURCE_CONNINFO, and keeps it out of the log", Text: `\getenv source_conninfo SOURCE_CONNINFO
begin;
` + plan.Terminated(HideStatement) + `
` + plan.Terminated(strings.Replace(statement, "'"+Conninfo+"'", ":'source_conninfo'", 1)) + `
commit;`})
}

const subscriptionTrouble = "a syntax error at \":\": SOURCE_CONNINFO was not set, and exported, in the shell that started terminal NEW. \"could not connect to the publisher\": the NEW SERVER does not reach the old one with it, whatever your own machine can: " +
	"look at the host as the new server sees it, at pg_hba.conf of the old one, at the password. Type rollback; mend it, run the block again"

// copyByHand waits without a deadline: a first copy takes as long as it takes. Between two looks it holds no
// snapshot.
func copyByHand(run plan.RunID) string {
	return plan.Script(plan.Typed{In: plan.TerminalNew, About: "says every minute how far it is; interrupt it as you like, and run it again", Text: plan.DoBlock(`declare
  ready bigint;
  total bigint;
  said timestamptz := clock_timestamp();
begin
  loop
    select count(*) filter (where srsubstate = 'r'), count(*) into ready, total from pg_subscription_rel
    where srsubid = (select oid from pg_subscription where subname = ` + plan.QuoteLiteral(run.Object()) + ` and subdbid = (select oid from pg_database where datname = current_database()));
    exit when total > 0 and ready = total;
    if clock_timestamp() > said + interval '1 min' then
      raise info '% of % tables are ready', ready, total;
      said := clock_timestamp();
    end if;
    commit; -- holds no snapshot while it waits
    perform pg_sleep(0.5);
  end loop;
  raise info 'all % tables are ready', total;
end`)})
}

const copyTrouble = "the number of tables that are ready stands still: the log of the new server says why (a row that a constraint refuses, a lost connection, a full disk). " +
	"The copy of a table begins anew by itself when the cause is gone. Which tables are not ready: select srrelid::regclass, srsubstate from pg_subscription_rel where srsubstate <> 'r'"
