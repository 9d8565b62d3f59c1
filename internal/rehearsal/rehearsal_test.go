package rehearsal

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgleap/internal/pg"
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
	v, err := Run(t.Context(), c)
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
		want   []string // any one of each text, parted by blanks
	}{
		{name: "fence left out", faults: "fence", want: []string{"R-SPLIT", "R-LOST"}},
		{name: "sequences left out", faults: "sequences", want: []string{"R-SEQ", "R-DUP R-ERR"}},
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
			for _, any := range test.want {
				found := false
				for _, id := range strings.Fields(any) {
					for _, r := range red {
						found = found || r == id
					}
				}
				if !found {
					t.Errorf("%s holds; red: %v", any, red)
				}
			}
		})
	}
}
