package rehearsal

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"strings"

	"pgleap/docs"
	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// Role is as whom the tool connects.
type Role string

// All but the superuser connect to both servers without one; to a target that takes subscriptions from superusers
// only (until 15), still as one. What they lack comes from the statements that check prints, and from nothing else.
const (
	RoleSuperuser  Role = "superuser"
	RoleBare       Role = "bare"       // may log in at first
	RoleDocumented Role = "documented" // as docs/privileges.md has it for servers of one's own
	RoleService    Role = "service"    // what a service gives: it carries out by itself what check prints
)

// Roles are the names for the command line.
var Roles = []Role{RoleSuperuser, RoleBare, RoleDocumented, RoleService}

// upgradeRole is what the documents call the role.
const upgradeRole = "upgrade"

// keeperRole owns what the superuser would own in a scenario.
const keeperRole = "ledger_keeper"

// plain tells whether the tool connects to the server without superuser.
func (s *Stage) plain(server Server) bool {
	return s.config.Role != RoleSuperuser && (server.Side == plan.Source || server.major.Has(pgver.CreateSubscription))
}

// makeUpgradeRole makes the role before the scenario is there, on the servers that see it.
func (s *Stage) makeUpgradeRole(ctx context.Context) error {
	for _, server := range []Server{s.Source, s.Target} {
		sql, err := s.upgradeRoleSQL(server)
		if err != nil {
			return err
		}
		err = server.admin(ctx, func(a *pg.Session) error {
			_, err := a.Script(ctx, sql)
			return err
		})
		if err != nil {
			return fmt.Errorf("make role %s: %w", upgradeRole, err)
		}
	}
	return s.createRole(ctx, upgradeRole, s.Source, s.Target) // its password
}

// upgradeRoleSQL is taken from the document, which names another database.
func (s *Stage) upgradeRoleSQL(server Server) (string, error) {
	var blocks []string
	switch {
	case s.config.Role == RoleDocumented && server.Side == plan.Source:
		blocks = []string{"source"}
	case s.config.Role == RoleDocumented && s.plain(server):
		blocks = []string{"target"}
	case s.config.Role == RoleService && s.plain(server):
		blocks = []string{"service"}
		if server.Side == plan.Target {
			blocks = append(blocks, "service-target")
		}
	default:
		return "create role " + upgradeRole + " login", nil
	}
	var all strings.Builder
	for _, b := range blocks {
		sql, err := docs.Privileges(b)
		if err != nil {
			return "", err
		}
		all.WriteString(sql + "\n")
	}
	return strings.ReplaceAll(all.String(), "database shop ", "database "+plan.QuoteIdent(server.Database)+" "), nil
}

//go:embed own.sql
var ownSQL string

// giveAway gives what the superuser made to others: to the service's administrator, or to a role of its own that
// may do what the scenario's roles may, as views read with their owner's rights.
func (s *Stage) giveAway(ctx context.Context) error {
	keeper := keeperRole
	if s.config.Role == RoleService {
		keeper = upgradeRole
	}
	for _, server := range []Server{s.Source, s.Target} {
		err := server.admin(ctx, func(a *pg.Session) error {
			rows, err := a.Script(ctx, "select rolname from pg_catalog.pg_roles where not rolsuper and rolname !~ '^(pg_|ledger_)' and rolname <> "+plan.QuoteLiteral(upgradeRole))
			if err != nil {
				return err
			}
			sql := "create role " + keeperRole + " nologin;"
			for _, r := range rows {
				sql += fmt.Sprintf("\ngrant %s to %s;", plan.QuoteIdent(r[0]), keeperRole)
			}
			if server.Side == plan.Source {
				sql += "\nset pgleap.keeper = " + keeper + ";\n" + ownSQL + ";"
			}
			if s.config.Role == RoleService && a.Version().Has(pgver.SetOption) {
				sql += "\n" + asIfMade
			}
			_, err = a.Script(ctx, sql)
			return err
		})
		if err != nil {
			return fmt.Errorf("give away what the superuser made: %w", err)
		}
	}
	return nil
}

// asIfMade gives the administrator what creating the other roles would have given from 16 on: their administration.
// Before, CREATEROLE was that of all roles.
const asIfMade = `do $made$ declare name text; begin
  for name in select rolname from pg_catalog.pg_roles where not rolsuper and rolname !~ '^pg_' and rolname <> '` + upgradeRole + `' loop
    execute format('grant %I to ` + upgradeRole + ` with admin true, inherit false, set false', name);
  end loop;
end $made$`

// toolAddress is how the tool connects to the server.
func (s *Stage) toolAddress(server Server) (string, error) {
	if !s.plain(server) {
		return server.URI, nil
	}
	u, err := url.Parse(server.URI)
	if err != nil {
		return "", fmt.Errorf("the %s's address is no URI", server.Side)
	}
	u.User = url.UserPassword(upgradeRole, s.passwords[upgradeRole])
	return u.String(), nil
}

// mends runs f on a session of whoever carries out what check prints.
func (s *Stage) mends(ctx context.Context, server Server, f func(*pg.Session) error) error {
	if s.config.Role != RoleService || !s.plain(server) {
		return server.admin(ctx, f)
	}
	address, err := s.as(server, upgradeRole)
	if err != nil {
		return err
	}
	a, err := pg.OpenClient(ctx, address, pg.Options{Verb: "rehearsal"})
	if err != nil {
		return err
	}
	defer a.Close()
	return f(a)
}
