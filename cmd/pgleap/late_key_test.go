package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// keyedRows make a table that is large enough for its key to wait for its rows, and one that is not.
const keyedRows = `create table keyed (id uuid primary key, v int not null, pad text not null);
insert into keyed select md5(g::text)::uuid, g, repeat('x', 90) from generate_series(1, 700000) g;
create index on keyed (v);
create table small (id uuid primary key, v int not null);
insert into small select md5(g::text)::uuid, g from generate_series(1, 1000) g;
analyze`

const keyedKey = "select exists (select from pg_index where indrelid = to_regclass('public.keyed') and indisprimary)"

// TestLateKey: PostgreSQL's own copy has a large table's random key behind the rows; apply never misses it, not even where
// pgleap is gone by then.
func TestLateKey(t *testing.T) {
	for _, pair := range [][2]int{{13, 14}, {15, 17}, {17, 18}} {
		t.Run(fmt.Sprintf("%d_%d", pair[0], pair[1]), func(t *testing.T) {
			s := startServers(t, pair[0], pair[1])
			t.Run("undisturbed", func(t *testing.T) {
				u := s.upgrade(t, keyedRows)
				stop := u.changeKeyed()
				o := u.run(exitOK, "sync", "--json")
				stop()
				if !strings.Contains(o.stdout, `"subscribe.index.public.keyed_pkey"`) || strings.Contains(o.stdout, `"subscribe.index.public.small_pkey"`) {
					t.Errorf("the key of keyed, and no other, is to be made behind its rows:\n%s", o)
				}
				u.equalWithKey()
				u.run(exitOK, "abort")
				u.target.is("0", "select count(*) from pg_class where relnamespace = 'public'::regnamespace")
			})
			t.Run("killed", func(t *testing.T) {
				u := s.upgrade(t, keyedRows)
				stop := u.changeKeyed()
				run := u.start(nil, "sync")
				u.awaitKeeper()
				if err := run.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				run.wait()
				u.target.is("f", keyedKey)
				await(t, "the key, without pgleap", func() bool { return u.target.run(keyedKey) == "t" })
				stop()
				u.run(exitOK, "sync")
				u.equalWithKey()
			})
			t.Run("aborted", func(t *testing.T) {
				u := s.upgrade(t, keyedRows)
				run := u.start(nil, "sync")
				u.awaitKeeper()
				if err := run.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				run.wait()
				u.run(exitOK, "abort")
				u.target.is("0", "select count(*) from pg_class where relnamespace = 'public'::regnamespace")
				await(t, "the sessions to end", func() bool {
					return u.target.run("select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()") == "0"
				})
			})
			log, err := s.target.Log()
			if err != nil || strings.Contains(log, "nor PRIMARY KEY") {
				t.Errorf("apply has missed the key: %v\n%s", err, log)
			}
		})
	}
}

// awaitKeeper waits until a session waits behind the copy.
func (u *upgrade) awaitKeeper() {
	u.t.Helper()
	await(u.t, "a session to wait behind the copy", func() bool {
		return u.target.run("select exists (select from pg_locks where relation = to_regclass('public.keyed') and not granted and mode = 'AccessExclusiveLock')") == "t"
	})
}

// changeKeyed changes and deletes rows until the returned function is called.
func (u *upgrade) changeKeyed() (stop func()) {
	return u.writing(func(n int) string {
		return fmt.Sprintf("update keyed set v = v + 1 where id = md5('%d')::uuid; delete from keyed where id = md5('%d')::uuid; update small set v = v + 1 where id = md5('%d')::uuid", n, 700_000-n, 1+n%1000)
	})
}

func (u *upgrade) equalWithKey() {
	u.t.Helper()
	u.target.is("t", keyedKey)
	sum := func(c *client) string {
		return c.run("select count(*) || ' ' || sum(v) || ' ' || (select sum(v) from small) from keyed")
	}
	await(u.t, "the rows to be there", func() bool { return sum(u.source) == sum(u.target) })
}

// TestRunbookLateKey: whoever types the plan does not wait in vain for a table whose key comes behind its rows.
func TestRunbookLateKey(t *testing.T) {
	t.Parallel()
	late := false
	c := byHand(t, 15, 17, "keyed", func(blocks []block) []block {
		late = late || slices.ContainsFunc(blocks, func(b block) bool { return strings.Contains(b.text, "'pgleap key '") })
		return blocks
	})
	c.ScenarioDir = fstest.MapFS{"keyed/10-schema.sql": {Data: []byte(keyedRows)}}
	mustPass(t, rehearseByHand(t, c))
	if !late {
		t.Error("no key was made behind the rows")
	}
}
