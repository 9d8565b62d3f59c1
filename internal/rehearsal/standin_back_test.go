package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pooler"
	"pgleap/plan"
)

// names of what carries changes in a direction.
var standinNames = map[string]string{there: standinName, back: standinName + "_back"}

// other is the other direction.
func other(direction string) string {
	if direction == there {
		return back
	}
	return there
}

// standinTurn is a cutover or a rollback through a pooler, with a way back made behind the drain.
func standinTurn(ctx context.Context, from, to pg.Address, direction string, has func(string) bool) error {
	name := standinNames[direction]
	b := ByHand{
		Source: from, Target: to, Publication: name, Subscription: name, WithoutSequences: has("no-sequences"),
	}
	defer b.Close()
	if err := b.Prepare(ctx); err != nil {
		return err
	}
	p, err := standinBouncer(ctx, from)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.pause(ctx); err != nil {
		return err
	}
	fence, parts, err := b.Switch(ctx)
	if err != nil {
		return err
	}
	if err := standinReverse(ctx, from, to, direction, has); err != nil {
		return err
	}
	port, err := script(ctx, to, "select inet_server_port(), current_database()")
	if err != nil {
		return err
	}
	if err := p.point(ctx, Server{URI: "postgres://127.0.0.1:" + port[0][0], Database: port[0][1]}); err != nil {
		return err
	}
	if has("cuts-clients") {
		console, err := pg.OpenConsole(ctx, p.node.Address(), pg.Options{Verb: "rehearsal"})
		if err != nil {
			return err
		}
		defer console.Close()
		if _, err := console.Send(ctx, "KILL "+plan.QuoteIdent(p.database)); err != nil {
			return err
		}
	}
	if err := p.resume(ctx); err != nil {
		return err
	}
	e := Released(fence, parts)
	e.Data["direction"] = direction
	if err := json.NewEncoder(os.Stdout).Encode(e); err != nil {
		return err
	}
	if has("late-write") {
		if _, err := script(ctx, from, `begin; set local session_replication_role = replica; delete from public."Odd Name" where id = 1; commit`); err != nil {
			return err
		}
	}
	if _, err := script(ctx, to, "drop subscription "+name); err != nil {
		return err
	}
	_, err = script(ctx, from, "drop publication "+name)
	return err
}

// standinBouncer is the pooler that the arguments and the environment name.
func standinBouncer(ctx context.Context, a pg.Address) (*bouncer, error) {
	address, err := pg.ParseAddress(os.Getenv("PGLEAP_PGBOUNCER"))
	if err != nil {
		return nil, err
	}
	node, err := pooler.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	for i, arg := range os.Args {
		if arg == "--pgbouncer-config" {
			return &bouncer{node, a.Database(), os.Args[i+1]}, nil
		}
	}
	return nil, fmt.Errorf("no --pgbouncer-config in %q", os.Args)
}

// standinReverse makes from follow to, which is opened: nothing of the way there can come back, because its
// subscription is disabled before the slot is made.
func standinReverse(ctx context.Context, from, to pg.Address, direction string, has func(string) bool) error {
	name := standinNames[other(direction)]
	tables, err := script(ctx, to, `select string_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname), ', ')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname !~ '^pg_|^information_schema|^rehearsal_'`)
	if err != nil {
		return err
	}
	if has("no-entries-back") {
		tables[0][0] = strings.Replace(tables[0][0], "ledger.entry, ", "", 1)
	}
	_, err = script(ctx, to, "drop function if exists rehearsal_floor.fence() cascade", "alter subscription "+standinNames[direction]+" disable",
		"create publication "+name+" for table "+tables[0][0], "select pg_create_logical_replication_slot('"+name+"', 'pgoutput')")
	if err != nil {
		return err
	}
	_, err = script(ctx, from, "create subscription "+name+" connection "+plan.QuoteLiteral(to.Conninfo("standin", nil).Reveal())+
		" publication "+name+" with (create_slot = false, slot_name = "+name+", copy_data = false)")
	return err
}

// standinAbort ends a run that is back on the source.
func standinAbort(ctx context.Context, source, target pg.Address) error {
	if _, err := script(ctx, target, "drop subscription "+standinName, "drop schema rehearsal_floor cascade"); err != nil {
		return err
	}
	_, err := script(ctx, source, "drop publication "+standinName, "drop schema rehearsal_floor cascade")
	return err
}
