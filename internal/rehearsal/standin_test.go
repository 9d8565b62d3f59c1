package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// standinVariable makes the test binary a stand-in for pgleap: the plainest upgrade by SQL, with the same
// events. Its value lists what to do wrong.
const standinVariable = "REHEARSAL_STANDIN"

func TestMain(m *testing.M) {
	if faults, ok := os.LookupEnv(standinVariable); ok {
		if err := standin(context.Background(), strings.Split(faults, ","), os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var standinName = cmp.Or(os.Getenv("STANDIN_NAME"), "pgleap_small")

func standin(ctx context.Context, faults []string, verb string) error {
	source, err := pg.ParseAddress(os.Getenv("PGLEAP_SOURCE"))
	if err != nil {
		return err
	}
	target, err := pg.ParseAddress(os.Getenv("PGLEAP_TARGET"))
	if err != nil {
		return err
	}
	has := func(fault string) bool { return slices.Contains(faults, fault) }
	switch verb {
	case "check":
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"findings": []plan.Finding{}, "checks": 1})
	case "plan":
		return json.NewEncoder(os.Stdout).Encode(plan.Plan{Format: plan.Format})
	case "sync":
		if has("password") {
			fmt.Fprintln(os.Stderr, "connecting with", os.Getenv("PGLEAP_SOURCE"))
		}
		return standinSync(ctx, source, target)
	case "cutover":
		if err := standinDie(); err != nil {
			return err
		}
		if has("back") {
			return standinTurn(ctx, source, target, there, has)
		}
		return standinCutover(ctx, source, target, has)
	case "rollback":
		return standinTurn(ctx, target, source, back, has)
	case "abort":
		return standinAbort(ctx, source, target)
	case "finalize":
		return standinFinalize(ctx, source, target, has)
	}
	return fmt.Errorf("no such verb: %s", verb)
}

// script runs statements on an address.
func script(ctx context.Context, a pg.Address, sql ...string) ([][]string, error) {
	s, err := pg.OpenClient(ctx, a, pg.Options{Verb: "standin", Settings: quiet})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var rows [][]string
	for _, q := range sql {
		if rows, err = s.Script(ctx, q); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, q)
		}
	}
	return rows, nil
}

func standinSync(ctx context.Context, source, target pg.Address) error {
	dump := exec.CommandContext(ctx, filepath.Join(pgserver.ClientFolders()[0], "pg_dump"), "--schema-only")
	dump.Env, dump.Stderr = source.Env(), os.Stderr
	text, err := dump.Output()
	if err != nil {
		return fmt.Errorf("pg_dump: %w", err)
	}
	lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return strings.HasPrefix(l, `\`) })
	if _, err := script(ctx, target, strings.Join(lines, "\n")); err != nil {
		return err
	}
	tables, err := script(ctx, source, `select string_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname), ', ')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname !~ '^pg_|^information_schema'`)
	if err != nil {
		return err
	}
	if _, err := script(ctx, source, "create publication "+standinName+" for table "+tables[0][0]); err != nil {
		return err
	}
	conninfo := source.Conninfo("standin", nil).Reveal()
	if _, err := script(ctx, target, "create subscription "+standinName+" connection "+plan.QuoteLiteral(conninfo)+" publication "+standinName); err != nil {
		return err
	}
	for {
		rows, err := script(ctx, target, "select 1 from pg_subscription_rel where srsubstate <> 'r'")
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_, err = script(ctx, target, "analyze")
	return err
}

func standinCutover(ctx context.Context, source, target pg.Address, has func(string) bool) error {
	b := ByHand{
		Source: source, Target: target, Publication: standinName, Subscription: standinName,
		WithoutFence: has("fence"), WithoutSequences: has("sequences"), WithoutDrain: has("drain"),
	}
	defer b.Close()
	if err := b.Prepare(ctx); err != nil {
		return err
	}
	fence, parts, err := b.Switch(ctx)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(Released(fence, parts)); err != nil {
		return err
	}
	if has("fence") { // give those who stayed behind the time to write
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := script(ctx, target, "alter subscription "+standinName+" disable", "drop subscription "+standinName); err != nil {
		return err
	}
	_, err = script(ctx, source, "drop publication "+standinName)
	return err
}

// dieVariable names a file. While it is there, cutover removes it and is killed.
const dieVariable = "REHEARSAL_STANDIN_DIES"

func standinDie() error {
	path := os.Getenv(dieVariable)
	if path == "" || os.Remove(path) != nil {
		return nil
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Kill()
}

func standinFinalize(ctx context.Context, source, target pg.Address, has func(string) bool) error {
	if _, err := script(ctx, source, "drop schema rehearsal_floor cascade"); err != nil {
		return err
	}
	if has("slot") {
		if _, err := script(ctx, source, "select pg_create_logical_replication_slot('pg_16400_sync_16390_7', 'pgoutput')"); err != nil {
			return err
		}
	}
	_, err := script(ctx, target, "drop schema rehearsal_floor cascade")
	return err
}
