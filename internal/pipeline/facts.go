package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
)

// Reading is what was read from both servers, and the pg_dump that was found.
type Reading struct {
	Source, Target plan.Facts
	definitions    *schema.Definitions // nil where they were not asked for, or could not be read
	dumpErr        error
}

// Read reads the facts of both servers, and with TrialLoad set loads the definitions for trial. It changes nothing
// outside of the scratch database, which is gone when it returns.
func Read(ctx context.Context, c Config) (Reading, error) {
	r := reader{Config: c, definitions: c.trying()}
	return r.read(ctx)
}

// Make reads both servers and makes the plan. Where something blocks, the definitions may not even be
// readable: then the plan has findings and no stages.
func Make(ctx context.Context, c Config) (plan.Plan, error) {
	r := reader{Config: c, definitions: true}
	reading, err := r.read(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	return c.make(reading)
}

func (c Config) make(r Reading) (plan.Plan, error) {
	sel, err := plan.Select(r.Source, c.Options)
	if err != nil {
		return plan.Plan{}, &plan.Failure{Kind: plan.KindUsage, Err: err}
	}
	if r.definitions != nil {
		return Build(c.Run, c.Tool, r.Source, r.Target, c.Options, sel, r.definitions.Entries), nil
	}
	p := plan.Plan{Format: plan.Format, Tool: c.Tool, Run: c.Run, Source: r.Source, Target: r.Target, Options: c.Options, Findings: plan.Check(r.Source, r.Target, c.Options)}
	if r.dumpErr != nil && !plan.Blocked(p.Findings) {
		return p, r.dumpErr
	}
	return p, nil
}

// trying tells whether the definitions are to be loaded for trial.
func (c Config) trying() bool { return c.TrialLoad != "" && c.TrialLoad != TrialNone }

// begun tells whether the run has begun.
func (r Reading) begun() bool {
	own := func(l plan.Leftover) bool { return l.Own }
	return slices.ContainsFunc(r.Source.Leftovers, own) || slices.ContainsFunc(r.Target.Leftovers, own)
}

// reach tries for real whether the target reaches the source with the subscription's own conninfo: it makes
// a subscription to a publication that is not there, and rolls back. Only the target's network counts, not ours.
// It is made in the database at: the scratch database where there is one.
func (c Config) reach(ctx context.Context, at pg.Address) (plan.Reach, error) {
	t, err := pg.OpenTarget(ctx, at, pg.Options{Verb: c.Verb, Log: c.Log})
	if err != nil {
		return plan.Reach{}, err
	}
	defer t.Close()
	// Where it may not, the server's log would hold the refused statement, password and all.
	if may, err := maySubscribe(ctx, t); err != nil || !may {
		return plan.Reach{Error: "permission denied to create a subscription"}, err
	}
	if _, err := t.Exec(ctx, "begin read write"); err != nil {
		return plan.Reach{}, fmt.Errorf("try whether the target reaches the source: %w", err)
	}
	defer t.Rollback()
	if err := hideStatement(ctx, t); err != nil {
		return plan.Reach{}, err
	}
	template := "create subscription " + plan.QuoteIdent(c.Run.Object()+"_check") + " connection '%s' publication " + plan.QuoteIdent(c.Run.Object()+"_check") +
		" with (create_slot = false, slot_name = none, enabled = false, copy_data = false)"
	err = t.ExecSecret(ctx, fmt.Sprintf(template, "•••"), c.fill(template, "%s"))
	switch {
	case err == nil:
		return plan.Reach{Tried: true, OK: true}, nil
	case pg.Code(err) == pg.CodePrivilege:
		return plan.Reach{Error: c.redact(pg.Message(err))}, nil
	case pg.Code(err) == "":
		return plan.Reach{}, fmt.Errorf("try whether the target reaches the source: %w", err)
	}
	return plan.Reach{Tried: true, Error: c.redact(pg.Message(err))}, nil
}

// maySubscribe tells whether the role may make a subscription in the session's database.
func maySubscribe(ctx context.Context, t *pg.Target) (may bool, err error) {
	err = t.QueryRow(ctx, `select r.rolsuper or has_database_privilege(current_database(), 'create') and exists (
		select from pg_roles m where m.rolname in ('pg_create_subscription', 'rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin') and pg_has_role(m.oid, 'usage'))
		from pg_roles r where r.rolname = current_user`).Scan(&may)
	if err != nil {
		return false, fmt.Errorf("try whether the target reaches the source: %w", err)
	}
	return may, nil
}

// fill puts the source's conninfo, as a literal's content, in the place of the placeholder.
func (c Config) fill(template, placeholder string) pg.Secret {
	info := strings.ReplaceAll(c.conninfo(c.reachedAt()).Reveal(), "'", "''")
	return pg.Secret(strings.Replace(template, placeholder, info, 1))
}

func (c Config) redact(text string) string {
	return c.Source.Redact(c.reachedAt().Redact(c.Target.Redact(text)))
}

// hideStatement keeps the transaction's next statements, which hold a password, out of the server's log and
// of pg_stat_activity and pg_stat_statements, where we may. Only a superuser may.
func hideStatement(ctx context.Context, t *pg.Target) error {
	_, err := t.Exec(ctx, `select set_config(s.name, s.value, true) from (values
  ('log_statement', 'none'), ('log_min_error_statement', 'panic'), ('log_min_duration_statement', '-1'),
  ('log_duration', 'off'), ('track_activities', 'off'), ('log_min_duration_sample', '-1'), ('log_transaction_sample_rate', '0'),
  ('pg_stat_statements.track', 'none'), ('auto_explain.log_min_duration', '-1')) s(name, value)
where exists (select from pg_settings p where p.name = s.name) and (select rolsuper from pg_roles where rolname = current_user)`)
	if err != nil {
		return fmt.Errorf("keep the connection string out of the server's log: %w", err)
	}
	return nil
}
