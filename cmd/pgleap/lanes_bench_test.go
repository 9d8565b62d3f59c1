package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// leastLaneGain is how many times faster the best of several lanes has to be than one.
const leastLaneGain = 1.4

// laneGroups are independent groups of tables, of which no key leads anywhere.
const laneGroups = 4

// laneLoad is what is written: the procedures of laneTables have its name.
type laneLoad struct{ name, what string }

var laneLoads = []laneLoad{
	{"tpcb", "a transaction of pgbench: three updates and an insert, of which one meets a table larger than the memory"},
	{"ten", "a transaction changes ten rows of pgbench_accounts"},
}

// lanePlace is where the source is: decoding is its work, and takes the processors of its machine.
type lanePlace struct {
	name, what string
	judged     bool // several lanes have to gain leastLaneGain there
}

// Beside the source they gain at most 2 × apply / (apply + 2 × decoding) on two processors, because each lane decodes every
// transaction: for pgbench's, 1.2 to 1.4 times.
var lanePlaces = []lanePlace{
	{"apart", "the source decodes on a machine of its own: the target has all processors of this one", true},
	{"beside", "the source decodes beside the target, on the same processors", false},
}

// laneCase is one measurement for each number of lanes.
type laneCase struct {
	load  laneLoad
	place lanePlace
}

// BenchmarkLanes measures how fast what the source has kept is applied: 13 → 17, four groups of tables as pgbench has them
// at scale 15, with no foreign key. Subscriptions are disabled, LANES_SECONDS (60) are written, the subscriptions go on, and
// the time counts until every lane has brought a marker that was written last. Both servers flush to disk; their shared
// buffers hold a quarter of the tables; autovacuum is off, because it is not apply, and whether it comes is chance.
//
// Every lane's walsender decodes all WAL. In an upgrade from machine to machine that is the business of the source's
// processors. This machine plays both: "apart", what the source sends gathers in a dam of the benchmark's until all is
// decoded, and the time counts from its opening, so that the target alone has the processors, as on its own machine.
// "beside", both have them at once, and what several lanes gain hangs on what a transaction costs to apply beside what it
// costs to decode. Both are printed, with the processor time that walsenders and apply workers took, and it fails where
// apart several lanes gain less than 1.4 times.
//
// LANES (1,2) are the numbers of lanes, LANES_LOADS (tpcb,ten) the loads, LANES_PLACES (apart,beside) the places,
// LANES_ACCOUNTS (1500000) is how many rows a group has. LANES_COMMIT=on has the workers wait for the disk at each commit,
// as they do from right before the switch on.
//
//	go test -run '^$' -bench 'Lanes$' -benchtime 1x -timeout 60m ./cmd/pgleap
func BenchmarkLanes(b *testing.B) {
	settings := map[string]string{"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "autovacuum": "off"}
	l := &laneBench{
		b: b, source: pgserver.StartT(b, pgserver.Options{Major: 13, Settings: settings}), target: pgserver.StartT(b, pgserver.Options{Major: 17, Settings: settings}),
		seconds: fromEnvironment(b, "LANES_SECONDS", 60), accounts: fromEnvironment(b, "LANES_ACCOUNTS", 1_500_000),
		commit: cmp.Or(os.Getenv("LANES_COMMIT"), "off"),
	}
	for _, load := range copyChosen(b, "LANES_LOADS", laneLoads, func(load laneLoad) string { return load.name }) {
		for _, place := range copyChosen(b, "LANES_PLACES", lanePlaces, func(place lanePlace) string { return place.name }) {
			l.cases = append(l.cases, laneCase{load, place})
		}
	}
	var lanes []int
	for _, text := range strings.Split(cmp.Or(os.Getenv("LANES"), "1,2"), ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > laneGroups {
			b.Fatalf("LANES=%q: give numbers up to %d", os.Getenv("LANES"), laneGroups)
		}
		lanes = append(lanes, n)
	}
	for range b.N {
		of := map[laneCase][]laneResult{}
		for _, n := range lanes {
			for c, r := range l.measure(n) {
				of[c] = append(of[c], r)
			}
		}
		for _, c := range l.cases {
			l.judge(c, of[c])
		}
	}
	b.ReportMetric(0, "ns/op")
}

// judge prints what was measured, and how many times faster than one lane the best of several is.
func (l *laneBench) judge(c laneCase, results []laneResult) {
	one, best := 0.0, 0.0
	fmt.Printf("\n%s: %s\n%s: %s (synchronous_commit = %s)\n%-6s %12s %9s %9s %9s   %s\n", c.load.name, c.load.what, c.place.name, c.place.what, l.commit, "lanes", "transactions", "WAL", "seconds", "tps", "processor seconds")
	for _, r := range results {
		fmt.Println(r)
		if r.lanes == 1 {
			one = r.rate()
		} else {
			best = max(best, r.rate())
		}
	}
	if one == 0 || best == 0 {
		return
	}
	fmt.Printf("best of several lanes against one: %.2f times\n", best/one)
	name := c.load.name + "-" + c.place.name
	l.b.ReportMetric(best/one, "times-one-lane-"+name)
	if c.place.judged && best/one < leastLaneGain {
		l.b.Errorf("%s: several lanes apply %.2f times as fast as one, less than %.1f", name, best/one, leastLaneGain)
	}
}

type laneBench struct {
	b                 *testing.B
	source, target    *pgserver.Server
	seconds, accounts int
	commit            string // synchronous_commit of the subscriptions
	cases             []laneCase
	count             int
}

// laneResult is what one number of lanes did.
type laneResult struct {
	lanes        int
	transactions int64
	wal          int64
	took         time.Duration
	cpu          string
}

func (r laneResult) rate() float64 { return float64(r.transactions) / r.took.Seconds() }

func (r laneResult) String() string {
	return fmt.Sprintf("%-6d %12d %9s %9.1f %9.0f   %s", r.lanes, r.transactions, plan.HumanBytes(r.wal), r.took.Seconds(), r.rate(), r.cpu)
}

// measure has every case's load written and applied on so many lanes.
func (l *laneBench) measure(lanes int) map[laneCase]laneResult {
	b := l.b
	l.count++
	name := fmt.Sprintf("lanes%d_%d", lanes, l.count)
	for _, s := range []*pgserver.Server{l.source, l.target} {
		benchRun(b, s.URI("postgres"), "create database "+name)
	}
	benchRun(b, l.source.URI(name), laneTables(l.accounts))
	benchRun(b, l.source.URI(name), "vacuum analyze")
	if out, err := benchTool(l.source.URI(name), l.target.URI(name), "sync", "--lanes", strconv.Itoa(lanes), "--no-way-back").CombinedOutput(); err != nil {
		b.Fatalf("sync: %v\n%s", err, out)
	}
	source, target := benchSession(b, l.source.URI(name)), benchSession(b, l.target.URI(name))
	defer source.Close()
	defer target.Close()
	results := map[laneCase]laneResult{}
	for _, c := range l.cases {
		results[c] = l.release(source, target, name, lanes, c)
	}
	if out, err := benchTool(l.source.URI(name), l.target.URI(name), "abort").CombinedOutput(); err != nil {
		b.Fatalf("abort: %v\n%s", err, out)
	}
	return results
}

// release holds the subscriptions while the load is written, and measures from their release to the last change's arrival.
func (l *laneBench) release(source, target *pg.Session, database string, lanes int, c laneCase) laneResult {
	b := l.b
	const ours = "subdbid = (select oid from pg_database where datname = current_database())"
	subscriptions := strings.Fields(benchText(b, target, "select string_agg(subname, ' ' order by subname) from pg_subscription where "+ours))
	if len(subscriptions) != lanes {
		b.Fatalf("%d lanes, want %d", len(subscriptions), lanes)
	}
	each := func(what string) {
		for _, s := range subscriptions {
			benchText(b, target, "alter subscription "+s+" "+what)
		}
	}
	each("disable")
	l.until(func() bool {
		return benchText(b, source, "select count(*) from pg_stat_replication where application_name like 'pgleap_"+database+"%'") == "0"
	})
	each("set (synchronous_commit = " + l.commit + ")")
	port := l.source.Port
	var waiting *dam
	if c.place.name == "apart" {
		waiting = startDam(b, l.source.Port)
		defer waiting.Close()
		port = waiting.port()
	}
	for _, s := range subscriptions {
		benchText(b, target, "do $$ begin execute format('alter subscription "+s+" connection %L', (select regexp_replace(subconninfo, $q$port='[0-9]+'$q$, $q$port='"+strconv.Itoa(port)+"'$q$) from pg_subscription where subname = '"+s+"')); end $$")
	}
	flush := func() {
		for _, s := range []*pg.Session{source, target} {
			benchText(b, s, "checkpoint")
		}
	}
	flush() // so that in every case as many pages stand in the WAL whole
	r := laneResult{lanes: lanes}
	from := benchText(b, source, "select pg_current_wal_lsn()")
	r.transactions = l.write(database, c.load.name)
	r.wal, _ = strconv.ParseInt(benchText(b, source, "select pg_wal_lsn_diff(pg_current_wal_lsn(), '"+from+"')::int8"), 10, 64)
	flush() // what the writes have left for the disk is not apply
	markers := plan.Marked{}
	for n := 1; n <= lanes; n++ {
		markers = append(markers, plan.Lane{N: n})
	}
	l.count++
	mark := strconv.Itoa(l.count)
	benchText(b, source, markers.Write(mark, "'bench'", ""))
	end := benchText(b, source, "select pg_current_wal_insert_lsn()")
	began := time.Now()
	each("enable")
	if waiting != nil {
		l.until(func() bool {
			return benchText(b, source, "select count(*) from pg_stat_replication where application_name like 'pgleap_"+database+"%' and sent_lsn >= '"+end+"'") == strconv.Itoa(lanes)
		})
		began = time.Now()
		waiting.Open()
	}
	l.until(func() bool { return benchText(b, target, "select "+markers.Arrived(mark)) == "t" })
	r.took = time.Since(began)
	r.cpu = fmt.Sprintf("walsenders %s, apply %s", processorSeconds(benchText(b, source, "select string_agg(pid::text, ' ') from pg_stat_replication where application_name like 'pgleap_"+database+"%'")),
		processorSeconds(benchText(b, target, "select string_agg(pid::text, ' ') from pg_stat_subscription where relid is null and pid is not null and subname like 'pgleap_"+database+"%'")))
	return r
}

// laneTables are pgbench's, several times over, with a key for the history; a transaction is a call.
func laneTables(accounts int) string {
	var t strings.Builder
	for g := 1; g <= laneGroups; g++ {
		fmt.Fprintf(&t, `create table branches_%[1]d (bid int primary key, bbalance int not null, filler char(88));
create table tellers_%[1]d (tid int primary key, bid int, tbalance int not null, filler char(84));
create table accounts_%[1]d (aid int primary key, bid int, abalance int not null, filler char(84));
create table history_%[1]d (id bigserial primary key, tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
insert into branches_%[1]d select g, 0, '' from generate_series(1, 10) g;
insert into tellers_%[1]d select g, 1 + g / 10, 0, '' from generate_series(1, 100) g;
insert into accounts_%[1]d select g, 1 + g %% 10, 0, '' from generate_series(1, %[2]d) g;
create procedure tpcb_%[1]d(a int, t int, b int, d int) language plpgsql as $$ begin
update public.accounts_%[1]d set abalance = abalance + d where aid = a;
update public.tellers_%[1]d set tbalance = tbalance + d where tid = t;
update public.branches_%[1]d set bbalance = bbalance + d where bid = b;
insert into public.history_%[1]d (tid, bid, aid, delta, mtime) values (t, b, a, d, now());
end $$;
create procedure ten_%[1]d(a int, t int, b int, d int) language sql as $$
update public.accounts_%[1]d set abalance = abalance + d where aid = any (array(select 1 + (random() * (%[2]d - 1))::int from generate_series(1, 10)))
$$;
`, g, accounts)
	}
	return t.String()
}

// write has eight clients write to every group in turn, as long as asked, and returns how many transactions that were.
func (l *laneBench) write(database, load string) int64 {
	ctx, cancel := context.WithTimeout(l.b.Context(), time.Duration(l.seconds)*time.Second)
	defer cancel()
	var count atomic.Int64
	var clients sync.WaitGroup
	for client := range 2 * laneGroups {
		s := benchSession(l.b, l.source.URI(database))
		clients.Go(func() {
			defer s.Close()
			if _, err := s.Script(context.WithoutCancel(ctx), "set synchronous_commit = off"); err != nil { // it is only to be there soon
				l.b.Error(err)
			}
			for turn := client; ctx.Err() == nil; turn++ {
				sql := fmt.Sprintf("call %s_%d(%d, %d, %d, %d)", load, 1+turn%laneGroups, 1+rand.IntN(l.accounts), 1+rand.IntN(100), 1+rand.IntN(10), rand.IntN(1000)-500)
				if _, err := s.Script(context.WithoutCancel(ctx), sql); err != nil {
					l.b.Error(err)
					return
				}
				count.Add(1)
			}
		})
	}
	clients.Wait()
	return count.Load()
}

func (l *laneBench) until(holds func() bool) {
	l.b.Helper()
	for deadline := time.Now().Add(20 * time.Minute); !holds(); {
		if time.Now().After(deadline) {
			l.b.Fatal("waited in vain")
		}
		time.Sleep(25 * time.Millisecond)
	}
}

func benchSession(b *testing.B, uri string) *pg.Session {
	b.Helper()
	a, err := pg.ParseAddress(uri)
	if err != nil {
		b.Fatal(err)
	}
	s, err := pg.OpenClient(b.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func benchText(b *testing.B, s *pg.Session, sql string) string {
	b.Helper()
	rows, err := s.Script(context.WithoutCancel(b.Context()), sql)
	if err != nil {
		b.Fatalf("%s: %s", sql, pg.Message(err))
	}
	if len(rows) == 0 {
		return ""
	}
	return rows[0][0]
}

// processorSeconds is the processor time that each of the processes of this machine took, "?" where nobody tells.
func processorSeconds(pids string) string {
	var each []string
	for _, pid := range strings.Fields(pids) {
		text, err := os.ReadFile("/proc/" + pid + "/stat")
		_, rest, ok := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if err != nil || !ok || len(fields) < 13 {
			return "?"
		}
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		each = append(each, fmt.Sprintf("%.1f", (user+system)/100))
	}
	return strings.Join(each, " + ")
}
