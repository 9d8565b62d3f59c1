package sync

import (
	"context"
	"fmt"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// KeepKeys has the target make the keys of the steps behind the rows of PostgreSQL's own first copy, at the only moment at
// which nobody misses them: a session waits behind each table's copy for the table's lock, which it has before the copy's
// worker can apply the first change. An apply that finds no key fails, and begins anew after
// wal_retrieve_retry_interval; nothing is lost, but it is told in the server's log, and all its tables wait.
//
// The sessions are the target's: they go on where this process ends, or its machine goes to sleep, and end when every key
// is there or the subscriptions are gone. What they cannot do the steps themselves do, and say why.
//
// Of each lane the target copies workers tables at a time.
func KeepKeys(ctx context.Context, open func(ctx context.Context) (*pg.Target, error), workers int, lanes []plan.Lane, steps []plan.Step) error {
	statement := keepKeysStatement(lanes, steps)
	for range min(len(steps), workers*len(lanes)) {
		t, err := open(ctx)
		if err != nil {
			return err
		}
		// The server must not look whether we are still there.
		if _, err := t.Script(ctx, "set statement_timeout = 0; set lock_timeout = 0; set client_connection_check_interval = 0"); err != nil {
			t.Close()
			return fmt.Errorf("set up a session for the keys: %w", err)
		}
		go func() {
			defer t.Close()
			_, _ = t.Script(context.WithoutCancel(ctx), statement) // see above
		}()
	}
	return nil
}

// KeysByHand is KeepKeys in one session, before the copy is waited for: of two tables that are copied at a time apply may miss
// the second one's key, fails, and tries again until the key is there.
func KeysByHand(lanes []plan.Lane, steps []plan.Step) string {
	about := fmt.Sprintf("makes %s behind the rows; interrupt it as you like, and run it again. Until then the new server's log may say that a table has neither REPLICA IDENTITY index nor PRIMARY KEY: it tries again by itself", plan.Plural(len(steps), "large key"))
	return plan.Script(plan.Typed{In: plan.TerminalNew, About: about, Text: keepKeysStatement(lanes, steps)})
}

// keepKeysStatement is one session's: of several each takes the tables that are not yet another one's.
func keepKeysStatement(lanes []plan.Lane, steps []plan.Step) string {
	var tables, makes []string
	for _, s := range steps {
		tables = append(tables, plan.QuoteLiteral(s.Table.String()))
		makes = append(makes, plan.QuoteLiteral(s.Do.SQL))
	}
	subscriptions := make([]string, len(lanes))
	for i, o := range objects(lanes) {
		subscriptions[i] = plan.QuoteLiteral(o)
	}
	return plan.DoBlock(`declare
  tables text[] := array[` + strings.Join(tables, ", ") + `];
  makes text[] := array[` + strings.Join(makes, ", ") + `];
  ours oid[];
  t oid;
  state "char";
  missing int;
begin
  loop
    missing := 0;
    ours := array(select oid from pg_catalog.pg_subscription where subname = any (array[` + strings.Join(subscriptions, ", ") + `]::name[])
      and subdbid = (select oid from pg_catalog.pg_database where datname = current_database()));
    for i in 1 .. array_length(tables, 1) loop
      select r.srrelid, r.srsubstate into t, state from pg_catalog.pg_subscription_rel r
        where r.srrelid = pg_catalog.to_regclass(tables[i]) and r.srsubid = any (ours)
        and not exists (select from pg_catalog.pg_index x where x.indrelid = r.srrelid and x.indisprimary);
      continue when not found;
      missing := missing + 1;
      continue when state = 'i' or not pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('pgleap key ' || t, 0));
      execute 'lock table ' || tables[i] || ' in access exclusive mode'; -- behind the copy, if there is one
      select r.srsubstate into state from pg_catalog.pg_subscription_rel r where r.srrelid = t and r.srsubid = any (ours);
      if state in ('f', 's', 'r') then
        execute makes[i];
      end if;
      commit;
      perform pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended('pgleap key ' || t, 0));
    end loop;
    commit;
    exit when missing = 0;
    perform pg_catalog.pg_sleep(0.1);
    commit;
  end loop;
end`)
}
