package rehearsal

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

// small is a scenario that takes no time.
var small = fstest.MapFS{
	"small/00-roles.sql": {Data: []byte(`do $$ begin
		if not exists (select from pg_roles where rolname = 'small_reader') then create role small_reader; end if; end $$`)},
	"small/10-tables.sql": {Data: []byte(`create table public."Odd Name" (id serial primary key, v double precision, t text);
		grant select on public."Odd Name" to small_reader;
		insert into public."Odd Name" (v, t) select 0.1 * i, 'row ' || i from generate_series(1, 500) i;
		create sequence down increment by -1; select nextval('down'); select nextval('down');
		create sequence ring maxvalue 5 cycle; select nextval('ring') from generate_series(1, 7);
		create table pt (k int not null, v text) partition by range (k);
		create table pt_1 partition of pt (primary key (k)) for values from (0) to (1000);
		insert into pt select i, 'p' from generate_series(1, 300) i; analyze`)},
}

func smallConfig(faults string) Config {
	return Config{
		From: 13, To: 17, Scenario: "small", ScenarioDir: small, Rate: 120, Clients: 8, Readers: 1,
		Duration: 3 * time.Second, Seed: 42, Budget: Budget{WriteStall: 3 * time.Second},
		Tool: []string{os.Args[0]}, ToolEnv: []string{standinVariable + "=" + faults},
	}
}

// rehearse runs it and returns the ids of the assertions that do not hold.
func rehearse(t *testing.T, c Config) (Verdict, []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // a stand-in that waits for ever is a failure, too
	defer cancel()
	v, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := v.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	var red []string
	for _, a := range v.Assertions {
		if !a.Holds {
			red = append(red, a.ID)
		}
	}
	return v, red
}

func TestRunPasses(t *testing.T) {
	t.Parallel()
	c := smallConfig("")
	c.Report = t.TempDir()
	// It is killed once on the way, and run again.
	once := t.TempDir() + "/once"
	if err := os.WriteFile(once, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.ToolEnv, c.Retry = append(c.ToolEnv, dieVariable+"="+once), 1
	v, red := rehearse(t, c)
	if len(red) > 0 || !v.Passed() {
		t.Fatalf("red: %v", red)
	}
	if v.Ledger.OnSource == 0 || v.Ledger.OnTarget == 0 || v.Switch.Attempts == 0 || v.Switch.Killed != 1 {
		t.Errorf("not a rehearsal: %+v, %+v", v.Ledger, v.Switch)
	}
	for _, name := range []string{"verdict.json", "verdict.txt", "junit.xml", "ledger.ndjson", "source.log", "target.log"} {
		if info, err := os.Stat(c.Report + "/" + name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCancelled: whenever it ends, nothing stays behind.
func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var seen []Server
	c := smallConfig("")
	c.Duration = time.Second
	c.Between = map[string]func(context.Context, *Stage) error{HookSynced: func(_ context.Context, s *Stage) error {
		seen = []Server{s.Source, s.Target}
		cancel()
		return nil
	}}
	if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("not cancelled: %v", err)
	}
	if len(seen) != 2 {
		t.Fatal("the hook was not called")
	}
	for _, server := range seen {
		if _, err := server.Open(t.Context()); err == nil {
			t.Errorf("the %s still runs", server.Side)
		}
	}
}

// TestGivenServers rehearses on servers that were given, with the switch by hand and a margin.
func TestGivenServers(t *testing.T) {
	t.Parallel()
	c := smallConfig("")
	for major, uri := range map[int]*string{11: &c.Source, 18: &c.Target} {
		s := pgserver.StartT(t, pgserver.Options{Major: major})
		if _, err := openT(t, s).Exec(t.Context(), "create database small"); err != nil {
			t.Fatal(err)
		}
		*uri = s.URI("small")
	}
	c.By, c.SkipFinalize, c.Margin = ByStatements, true, 100
	v, red := rehearse(t, c)
	// The switch by hand knows no margin: a value taken ahead of a refused write is handed out again.
	red = slices.DeleteFunc(red, func(id string) bool { return id == "R-SEQ" || id == "R-DUP" })
	if len(red) > 0 {
		t.Errorf("red: %v", red)
	}
	if v.From[:2] != "11" || v.To[:2] != "18" || v.Switch.FenceLSN == "" || v.Switch.Parts["stall_ms"] == 0 {
		t.Errorf("%+v", v.Switch)
	}
}

// TestOracleFails does each sabotage, and expects the verdict to tell.
func TestOracleFails(t *testing.T) {
	t.Parallel()
	onTarget := func(sql string) map[string]func(context.Context, *Stage) error {
		return map[string]func(context.Context, *Stage) error{HookSynced: func(ctx context.Context, s *Stage) error {
			return s.Target.admin(ctx, func(a *pg.Session) error { _, err := a.Script(ctx, sql); return err })
		}}
	}
	for _, test := range []struct {
		name   string
		faults string
		hooks  map[string]func(context.Context, *Stage) error
		want   []string // must not hold
	}{
		// Whether a row is lost too depends on how long the subscription goes on to carry late writes over.
		{name: "fence left out", faults: "fence", want: []string{"R-SPLIT"}},
		{name: "sequences left out", faults: "sequences", want: []string{"R-SEQ", "R-DUP"}},
		{
			name: "row deleted on the target", want: []string{"R-HASH", "R-LOST"},
			hooks: onTarget("delete from ledger.entry where id = (select min(id) from ledger.entry)"),
		},
		{
			name: "row changed on the target", want: []string{"R-HASH", "R-LOST"},
			hooks: onTarget("update ledger.entry set payload = 'changed' where id = (select min(id) from ledger.entry)"),
		},
		{
			name: "row added on the target", want: []string{"R-HASH", "R-LOST"},
			hooks: onTarget("insert into ledger.entry (id, client, n, payload, ticket) values (-1, 999, 1, 'added', -1)"),
		},
		{name: "slot left over", faults: "slot", want: []string{"R-CLEAN"}},
		{name: "password printed", faults: "password", want: []string{"R-SECRET"}},
		{
			name: "statistics, an index and money missing", want: []string{"R-STATS", "R-SCHEMA", "R-SUM", "R-HASH"},
			hooks: onTarget(`delete from pg_statistic where starelid = 'public."Odd Name"'::regclass; drop index ledger.entry_client_n;
				insert into ledger.account (id, balance) values (-1, 5)`),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := smallConfig(test.faults)
			c.Between = test.hooks
			v, red := rehearse(t, c)
			if v.Passed() {
				t.Error("passed")
			}
			for _, id := range test.want {
				if !slices.Contains(red, id) {
					t.Errorf("%s holds; red: %v", id, red)
				}
			}
		})
	}
}
