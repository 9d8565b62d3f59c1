package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
	"pgleap/schema"
)

// scratch is a database of the target that lives as long as a trial load. While it does, an advisory lock with its
// oid says that somebody is at work in it.
type scratch struct {
	Config
	name  string
	at    pg.Address
	admin *pg.Target // in the target's database: makes it, and drops it
}

// scratchLock is the first key of that lock: "pglr". sql/leftovers.sql looks for it.
const scratchLock = 1885828210

// dropTimeout bounds what is waited for after an interrupt.
const dropTimeout = 20 * time.Second

// makeScratch makes the database like the target's: encoding, locale, owner, schema public. The caller drops it,
// whatever happens, also after an error.
func (c Config) makeScratch(ctx context.Context) (*scratch, error) {
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	s := &scratch{Config: c, name: "pgleap_trial_" + hex.EncodeToString(random)}
	s.at = c.Target.WithDatabase(s.name)
	var err error
	if s.admin, err = c.OpenTarget(ctx); err != nil {
		return nil, err
	}
	if err := s.create(ctx); err != nil {
		return s, fmt.Errorf("make a scratch database on the target: %w", err)
	}
	s.point("trial.made")
	return s, nil
}

func (s *scratch) create(ctx context.Context) error {
	like, owner, err := likeness(ctx, s.admin)
	if err != nil {
		return err
	}
	statement := "create database " + s.name + " template template0" + like
	if _, err = s.admin.Exec(ctx, statement+" owner "+plan.QuoteIdent(owner)); pg.Code(err) == pg.CodePrivilege {
		_, err = s.admin.Exec(ctx, statement)
	}
	if err != nil {
		return err
	}
	_, err = s.admin.Exec(ctx, "select pg_advisory_lock("+fmt.Sprint(scratchLock)+", oid::bigint::bit(32)::int) from pg_database where datname = "+plan.QuoteLiteral(s.name))
	if err != nil {
		return err
	}
	comment := fmt.Sprintf("pgleap run=%s trial load by pgleap %s, which drops it at its end", s.Run, s.Verb)
	_, err = s.admin.Exec(ctx, "comment on database "+s.name+" is "+plan.QuoteLiteral(comment))
	return err
}

// likeness returns the options with which a database is made like the one of the session, and its owner.
func likeness(ctx context.Context, t *pg.Target) (options, owner string, err error) {
	var encoding, collate, ctype, provider, locale, rules string
	err = t.QueryRow(ctx, `select pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text, pg_get_userbyid(d.datdba)::text,
		coalesce(j ->> 'datlocprovider', 'c'), coalesce(j ->> 'datlocale', j ->> 'daticulocale', ''), coalesce(j ->> 'daticurules', '')
		from pg_database d cross join lateral to_jsonb(d) j where d.datname = current_database()`).
		Scan(&encoding, &collate, &ctype, &owner, &provider, &locale, &rules)
	if err != nil {
		return "", "", fmt.Errorf("read how the target's database was made: %w", err)
	}
	options = fmt.Sprintf(" encoding %s lc_collate %s lc_ctype %s", plan.QuoteLiteral(encoding), plan.QuoteLiteral(collate), plan.QuoteLiteral(ctype))
	switch {
	case !t.Version().Has(pgver.LocaleProviders):
	case provider == "i":
		options += " locale_provider icu icu_locale " + plan.QuoteLiteral(locale)
		if rules != "" {
			options += " icu_rules " + plan.QuoteLiteral(rules)
		}
	case provider == "b":
		options += " locale_provider builtin builtin_locale " + plan.QuoteLiteral(locale)
	default:
		options += " locale_provider libc"
	}
	return options, owner, nil
}

// open opens a session in the scratch database: nothing in it has to survive a crash.
func (s *scratch) open(ctx context.Context) (*pg.Target, error) {
	return pg.OpenTarget(ctx, s.at, pg.Options{Verb: s.Verb, Log: s.Log, Settings: map[string]string{"synchronous_commit": "off"}})
}

// openLoader opens a session that loads definitions. What is refused is told by us and need not fill the server's
// log; only a superuser may say so.
func (s *scratch) openLoader(ctx context.Context) (*pg.Target, error) {
	t, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	_, err = t.Exec(ctx, schema.SessionSettings()+`
select pg_catalog.set_config('log_min_error_statement', 'panic', false) from pg_catalog.pg_roles where rolname = current_user and rolsuper`)
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("set up a session in the scratch database: %w", err)
	}
	return t, nil
}

// likeTarget gives the scratch database what the operator has set up in the target's: the privileges on the database
// and on schema public. What our role may not do there it need not do in the target's database either.
func (s *scratch) likeTarget(ctx context.Context, t *pg.Target) error {
	rows, err := s.admin.Query(ctx, `select format('grant %s on database %I to %s', lower(a.privilege_type), $1::text,
		case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end)
		from pg_database d cross join lateral aclexplode(d.datacl) a
		where d.datname = current_database() and a.privilege_type = 'CREATE' and a.grantee <> d.datdba`, s.name)
	if err != nil {
		return err
	}
	grants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(grants) > 0 {
		if _, err := s.admin.Exec(ctx, strings.Join(grants, ";\n")); err != nil && pg.Code(err) != pg.CodePrivilege {
			return err
		}
	}
	if err := schema.CopyPublic(ctx, s.admin, t); err != nil && pg.Code(err) != pg.CodePrivilege {
		return err
	}
	return nil
}

// drop removes the database, also after an interrupt. That it is still there a later check tells.
func (s *scratch) drop(ctx context.Context) error {
	defer s.admin.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if !s.admin.Alive() {
		var err error
		if s.admin, err = s.OpenTarget(ctx); err != nil {
			return fmt.Errorf("drop the scratch database %s: %w", s.name, err)
		}
	}
	_ = s.admin.Rollback() // an interrupted statement's
	s.awaitEmpty(ctx)
	statement := "drop database if exists " + s.name
	var err error
	if s.admin.Version().Has(pgver.DropDatabaseForce) {
		_, err = s.admin.Exec(ctx, statement+" with (force)")
	}
	if err != nil || !s.admin.Version().Has(pgver.DropDatabaseForce) {
		_, err = s.admin.Exec(ctx, statement)
	}
	if err != nil {
		return fmt.Errorf("drop the scratch database %s: %w", s.name, err)
	}
	return nil
}

// awaitEmpty waits a moment for our own sessions to end, which the server would complain of when they were ended.
func (s *scratch) awaitEmpty(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var sessions int
		err := s.admin.QueryRow(ctx, "select count(*) from pg_stat_activity where datname = $1 and usename = current_user", s.name).Scan(&sessions)
		if err != nil || sessions == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
