package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgleap/internal/pg"
)

// copiesRows is how many short rows TestCopies has; `make test-copies` takes ten million.
func copiesRows() int {
	if n, err := strconv.Atoi(os.Getenv("COPIES_ROWS")); err == nil {
		return n
	}
	return 300_000
}

// copied is what a copy has to carry besides everyKind: many rows, wide ones, and tables that change under it.
func copied(major int) string {
	sql := everyKindFor(major) + fmt.Sprintf(`;
create table many (id bigint primary key, v int);
insert into many select g, g %% 1000 from generate_series(1, %d) g;
create index on many (v);
create table toasted (id int primary key, doc text, n int);
alter table toasted alter doc set storage external;
insert into toasted select g, repeat(md5(g::text), 1500), g from generate_series(1, 2000) g;
create table emptied (id int primary key, v text);
insert into emptied select g, 'before' from generate_series(1, 20000) g;
create table random (id uuid primary key, v int);
insert into random select md5(g::text)::uuid, g from generate_series(1, 50000) g;
create index on random (v);
analyze`, copiesRows())
	return sql
}

// TestCopies: both ways of copying, while rows move across the borders of parts, keys change and tables are emptied; both
// end with what the source holds.
func TestCopies(t *testing.T) {
	if copiesRows() > 1_000_000 { // by make test-copies, alone
		longest = 20 * time.Minute
	}
	for _, pair := range [][2]int{{10, 18}, {13, 18}, {14, 15}, {17, 18}} {
		t.Run(fmt.Sprintf("%d_%d", pair[0], pair[1]), func(t *testing.T) {
			t.Parallel()
			u := startServers(t, pair[0], pair[1]).upgrade(t, copied(pair[0]))
			u.source.run("set extra_float_digits = 3")
			for _, way := range []string{"stream", "server"} {
				stop := u.changes(pair[0] >= 11)
				u.run(exitOK, "sync", "--copy", way, "--copy-split", "4")
				stop()
				u.equal()
				u.run(exitOK, "abort")
			}
		})
	}
}

// changes writes until the returned function is called. TRUNCATE does not travel from a 10: there a table that was emptied
// is refused at the switch.
func (u *upgrade) changes(truncate bool) (stop func()) {
	u.t.Helper()
	rows := copiesRows()
	at := func(n, of int) int { return 1 + (n*7919)%of }
	return u.writing(func(n int) string { // from the first part to behind the last, and back
		return fmt.Sprintf("update many set id = id + %d where id = %d; update many set id = -id, v = v + 1 where id = %d; update many set id = id - %[1]d where id = %[1]d + %d", rows, at(n, rows), at(n+1, rows), at(n-1, rows))
	}, func(n int) string {
		return fmt.Sprintf("update toasted set n = n + 1 where id = %d; update toasted set doc = 'short' where id = %d; update random set id = md5('%d ' || clock_timestamp())::uuid where v = %d; delete from random where v = %d", at(n, 2000), at(3*n, 2000), n, at(n, 50000), at(5*n, 50000))
	}, func(n int) string {
		if truncate && n%5 == 0 {
			return "begin; truncate emptied; insert into emptied select g, 'after' from generate_series(1, 100) g; commit"
		}
		return fmt.Sprintf("update emptied set v = v || 'x' where id = %d; insert into empty values (%d) on conflict do nothing; update parted set at = at + 1 where id = %d and at < '2020-12-01'", at(n, 100), n, at(n, 5000))
	})
}

// writing runs what each of the functions returns for 1, 2, 3 …, each on a session of its own, until the returned one is called.
func (u *upgrade) writing(statements ...func(n int) string) (stop func()) {
	u.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, sql := range statements {
		c := connect(u.t, u.sourceURI)
		running.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				if _, err := c.session.Script(context.Background(), sql(n)); err != nil {
					u.t.Errorf("%s: %s", sql(n), pg.Message(err))
					return
				}
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// TestLargeRows: rows of 200 MB in four streams take no memory of ours.
func TestLargeRows(t *testing.T) {
	s := startServers(t, 15, 17)
	u := s.upgrade(t, largeRows(4))
	run := u.start(nil, "sync", "--copy", "stream", "--copy-jobs", "4")
	peak := 0
	await(t, "the copy to end", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", run.cmd.Process.Pid))
		if err == nil {
			peak = max(peak, peakMemory(string(status)))
		}
		select {
		case <-run.ended:
			return true
		default:
			return false
		}
	})
	run.wait().exits(exitOK)
	u.target.is("4|200000000", "select count(*), min(length(doc)) from (select * from large_1 union all select * from large_2 union all select * from large_3 union all select * from large_4) all_rows")
	t.Logf("4 streams of rows of 200 MB: %d MB of memory at most", peak>>10)
	if peak > 300<<10 || peak == 0 {
		t.Errorf("four rows of 200 MB took %d kB", peak)
	}
}

func largeRows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "create table large_%d (id int primary key, doc text); alter table large_%[1]d alter doc set storage external; insert into large_%[1]d values (1, repeat('0123456789', 20000000));\n", i+1)
	}
	return b.String()
}

// peakMemory reads the line VmHWM, in kB.
func peakMemory(status string) int {
	_, rest, _ := strings.Cut(status, "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(fields[0])
	return n
}
