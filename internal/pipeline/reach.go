package pipeline

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// knownAs is the setting that holds the other server's conninfo in a session of ours. It travels in the startup packet,
// which no server logs, and nobody but the session sees it.
const knownAs = "pgleap.conninfo"

// openKnowing opens a session on the side, at the address, that knows the conninfo of the other: see execSecret.
func (c Config) openKnowing(ctx context.Context, side plan.Side, at pg.Address, conninfo pg.Secret) (*pg.Session, error) {
	o := pg.Options{Verb: c.Verb, As: string(side), Log: c.Log, Settings: map[string]string{knownAs: conninfo.Reveal()}}
	t, err := pg.OpenTarget(ctx, at, o)
	if err != nil {
		return nil, err
	}
	return t.Session, nil
}

// conninfoFor is what a subscription on the side connects with, and the mark that stands for it.
func (c Config) conninfoFor(side plan.Side) (mark string, conninfo pg.Secret) {
	if side == plan.Source {
		return pgsync.TargetConninfo, c.reachedBackAt().Conninfo(c.Run.Back().Object(), noTimeouts)
	}
	return pgsync.Conninfo, c.conninfo(c.reachedAt())
}

// laneConfig is the configuration whose run is the step's lane: its walsender bears the lane's name.
func (r *run) laneConfig(s plan.Step) Config {
	c := r.Config
	c.Run = r.laneOf(s).Run
	return c
}

// execSecret sends a statement with the conninfo in the place of its placeholder, on a session that knows it, in an
// open transaction. A superuser's goes out of the log's sight. Others cannot switch the log off: theirs is put
// together on the server, and an error is raised anew, because the log would quote the statement with it.
func (c Config) execSecret(ctx context.Context, t *pg.Session, mark, template string) error {
	hidden, err := hideStatement(ctx, t)
	if err != nil {
		return err
	}
	if hidden {
		var conninfo string
		if err := t.QueryRow(ctx, "select current_setting($1)", knownAs).Scan(&conninfo); err != nil {
			return fmt.Errorf("read the conninfo of the session: %w", err)
		}
		sql := strings.Replace(template, mark, strings.ReplaceAll(conninfo, "'", "''"), 1)
		return t.ExecSecret(ctx, template, pg.Secret(sql))
	}
	_, err = t.Exec(ctx, `do $pgleap$
declare
  what text; more text; advice text;
begin
  execute replace(`+plan.QuoteLiteral(template)+`, `+plan.QuoteLiteral(mark)+`, replace(current_setting('`+knownAs+`'), '''', ''''''));
exception when others or query_canceled then
  get stacked diagnostics what = message_text, more = pg_exception_detail, advice = pg_exception_hint;
  raise exception using errcode = sqlstate, message = what, detail = more, hint = advice;
end $pgleap$`)
	return err
}

// hideStatement keeps the transaction's next statements, which hold a password, out of the server's log and
// of pg_stat_activity and pg_stat_statements, where we may. Only a superuser may.
func hideStatement(ctx context.Context, t *pg.Session) (hidden bool, err error) {
	n, err := t.Exec(ctx, pgsync.HideStatement)
	if err != nil {
		return false, fmt.Errorf("keep a secret out of the server's log: %w", err)
	}
	return n > 0, nil
}

// reach tries for real whether the target reaches the source with the subscription's own conninfo. Only the
// target's network counts, not ours. It is tried in the database at: the scratch database where there is one.
func (c Config) reach(ctx context.Context, at pg.Address) (plan.Reach, error) {
	t, err := c.openKnowing(ctx, plan.Target, at, c.conninfo(c.reachedAt()))
	if err != nil {
		return plan.Reach{}, err
	}
	defer t.Close()
	var superuser bool
	if err := t.QueryRow(ctx, "select rolsuper from pg_roles where rolname = current_user").Scan(&superuser); err != nil {
		return plan.Reach{}, fmt.Errorf("try whether the target reaches the source: %w", err)
	}
	if superuser {
		return c.answer(c.trySubscription(ctx, t))
	}
	return c.reachPlain(ctx, at, t.Version())
}

// reachPlain tries without superuser. The server would log a warning about the publication that is not there, and
// with it the statement: so the source is asked for a setting that it does not know, which it refuses when it has
// let us in and before anything else. From 16 on it also has to ask for the password; whether it does shows when a
// wrong one is let in, too.
func (c Config) reachPlain(ctx context.Context, at pg.Address, v pgver.Version) (plan.Reach, error) {
	const unknown = "pgleap_tries_to_get_in"
	enter := func(a pg.Address) (bool, error) {
		t, err := c.openKnowing(ctx, plan.Target, at, a.Conninfo(c.Run.Object(), map[string]string{unknown: "on"}))
		if err != nil {
			return false, err
		}
		defer t.Close()
		err = c.trySubscription(ctx, t)
		return err == nil || pg.Code(err) == codeConnection && strings.Contains(pg.Message(err), unknown), err
	}
	entered, err := enter(c.reachedAt())
	if !entered {
		return c.answer(err)
	}
	if !v.Has(pgver.CreateSubscription) {
		return plan.Reach{Tried: true, OK: true}, nil
	}
	entered, err = enter(c.reachedAt().WithPassword(pg.Secret(rand.Text())))
	if entered {
		return plan.Reach{Tried: true, Code: codeNoPassword, Error: "the source does not ask for the password: its pg_hba.conf lets the target in with trust, peer or cert"}, nil
	}
	if pg.Code(err) != codeConnection {
		return c.answer(err)
	}
	return plan.Reach{Tried: true, OK: true}, nil
}

const (
	codeConnection = "08006" // the target could not connect, whatever the source's reason
	codeNoPassword = "2F003"
)

// trySubscription makes a subscription to a publication that is not there, and rolls back.
func (c Config) trySubscription(ctx context.Context, t *pg.Session) error {
	if _, err := t.Exec(ctx, "begin read write"); err != nil {
		return err
	}
	defer t.Rollback()
	name := plan.QuoteIdent(c.Run.Object() + "_check")
	return c.execSecret(ctx, t, pgsync.Conninfo, "create subscription "+name+" connection '"+pgsync.Conninfo+"' publication "+name+
		" with (create_slot = false, slot_name = none, enabled = false, copy_data = false)")
}

// answer is what the server's error says about the way from the target to the source.
func (c Config) answer(err error) (plan.Reach, error) {
	switch {
	case err == nil:
		return plan.Reach{Tried: true, OK: true}, nil
	case pg.Code(err) == pg.CodePrivilege, pg.Code(err) == pg.CodeUnsupported: // on a standby nothing can be tried
		return plan.Reach{Error: c.redact(pg.Message(err))}, nil
	case pg.Code(err) == "":
		return plan.Reach{}, fmt.Errorf("try whether the target reaches the source: %w", err)
	}
	return plan.Reach{Tried: true, Code: pg.Code(err), Error: c.redact(pg.Message(err))}, nil
}
