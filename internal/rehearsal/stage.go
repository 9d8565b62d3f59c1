package rehearsal

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// Stage is where a rehearsal plays: two servers with a database each. Hooks get it.
type Stage struct {
	Source, Target Server
	Database       string     // the source's; the target's is Target.Database
	Run            plan.RunID // given to the tool with --run

	config    Config
	passwords map[string]string   // of the clients' roles
	verifiers map[string]string   // what the servers, and the pooler, hold of them
	pooler    *pgserver.PgBouncer // nil: clients go straight to the servers
	tool      *tool
}

// Server is one of the two.
type Server struct {
	Side     plan.Side
	URI      string // of a superuser, with the password
	Database string
	Version  string

	address pg.Address
	major   pgver.Version
	local   *pgserver.Server // nil when the server was given
}

// quiet keeps what the harness itself does out of the server's log and of pg_stat_activity.
var quiet = map[string]string{
	"log_statement": "none", "track_activities": "off", "log_min_error_statement": "panic",
	"default_transaction_read_only": "off", "statement_timeout": "0",
}

// Open connects as the superuser, for a test's own statements.
func (s Server) Open(ctx context.Context) (*pg.Session, error) {
	return pg.OpenClient(ctx, s.address, pg.Options{Verb: "rehearsal", Settings: quiet})
}

// admin runs f on a session of the superuser.
func (s Server) admin(ctx context.Context, f func(*pg.Session) error) error {
	a, err := s.Open(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := f(a); err != nil {
		return fmt.Errorf("%s: %w", s.Side, err)
	}
	return nil
}

// as returns the address for a role of ours.
func (s *Stage) as(server Server, role string) (pg.Address, error) {
	u, err := url.Parse(server.URI)
	if err != nil {
		return pg.Address{}, errors.New("the server's address is no URI")
	}
	u.User = url.UserPassword(role, s.passwords[role])
	return pg.ParseAddress(u.String())
}

// newStage starts the servers, or takes the given ones, and fills the source. On an error what was started
// is stopped.
func newStage(ctx context.Context, c Config) (*Stage, error) {
	s := &Stage{config: c, passwords: map[string]string{}, verifiers: map[string]string{}, Run: runName(c.Scenario)}
	if err := s.servers(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	if err := s.fill(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	if c.Pooler == PoolerPgBouncer {
		if err := s.startPooler(ctx); err != nil {
			return nil, errors.Join(err, s.close(ctx))
		}
	}
	return s, nil
}

// runName makes a name for the run of a scenario: odd-names becomes odd_names.
func runName(scenario string) plan.RunID {
	return plan.RunID(strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '_'
	}, strings.ToLower(scenario)))
}

func (s *Stage) servers(ctx context.Context) error {
	s.Source.Side, s.Target.Side = plan.Source, plan.Target
	c := s.config
	if (c.Source == "") != (c.Target == "") {
		return errors.New("give both servers or none")
	}
	if c.Source != "" {
		s.Source.URI, s.Target.URI = c.Source, c.Target
	} else {
		if err := s.Source.start(ctx, c.From, c.Folder, c.Scenario, c.settings(nil)); err != nil {
			return err
		}
		// Autovacuum would make statistics that R-STATS is to miss.
		if err := s.Target.start(ctx, c.To, c.Folder, c.Scenario, c.settings(map[string]string{"autovacuum": "off"})); err != nil {
			return err
		}
	}
	for _, server := range []*Server{&s.Source, &s.Target} {
		if err := server.look(ctx); err != nil {
			return err
		}
	}
	s.Database = s.Source.Database
	return nil
}

// settings are those of a server to start. Every statement is logged, so that R-SECRET can find what is in none.
func (c Config) settings(own map[string]string) map[string]string {
	all := map[string]string{"log_statement": "all"}
	maps.Copy(all, own)
	maps.Copy(all, c.Settings)
	return all
}

// start starts a throw-away server and makes the database.
func (s *Server) start(ctx context.Context, major int, folder, database string, settings map[string]string) error {
	local, err := pgserver.Start(ctx, pgserver.Options{Major: major, Folder: folder, Settings: settings})
	if err != nil {
		return err
	}
	s.local, s.URI = local, local.URI(database)
	address, err := pg.ParseAddress(local.URI("postgres"))
	if err != nil {
		return err
	}
	first := Server{Side: s.Side, address: address}
	return first.admin(ctx, func(a *pg.Session) error {
		_, err := a.Exec(ctx, "create database "+plan.QuoteIdent(database))
		return err
	})
}

// look fills in what the server itself says.
func (s *Server) look(ctx context.Context) error {
	address, err := pg.ParseAddress(s.URI)
	if err != nil {
		return err
	}
	s.address, s.Database = address, address.Database()
	return s.admin(ctx, func(a *pg.Session) error {
		s.major, s.Version = a.Version(), a.Version().String()
		return nil
	})
}

//go:embed ledger.sql
var ledgerSQL string

// fill makes the roles, the scenario's and the ledger's.
func (s *Stage) fill(ctx context.Context) error {
	if err := s.createRoles(ctx); err != nil {
		return err
	}
	if s.config.Role != RoleSuperuser {
		if err := s.makeUpgradeRole(ctx); err != nil {
			return err
		}
	}
	if err := s.loadScenario(ctx); err != nil {
		return err
	}
	err := s.Source.admin(ctx, func(a *pg.Session) error { _, err := a.Script(ctx, ledgerSQL); return err })
	if err != nil {
		return fmt.Errorf("make the ledger: %w", err)
	}
	if s.config.Role != RoleSuperuser {
		return s.giveAway(ctx)
	}
	return nil
}

// secrets returns every text that nobody may show.
func (s *Stage) secrets() map[string]string {
	out := map[string]string{}
	for role, password := range s.passwords {
		out["the password of "+role] = password
	}
	uris := map[string]string{"the superuser's password of the source": s.Source.URI, "the superuser's password of the target": s.Target.URI}
	if s.pooler != nil {
		uris["the password of the pooler's console"] = s.pooler.AdminURI()
	}
	for name, uri := range uris {
		if u, err := url.Parse(uri); err == nil {
			if password, ok := u.User.Password(); ok && password != "" {
				out[name] = password
			}
		}
	}
	return out
}

// close stops what was started. It works after ctx ended.
func (s *Stage) close(ctx context.Context) error {
	var errs []error
	if s.pooler != nil {
		errs = append(errs, s.pooler.Stop(ctx))
	}
	for _, server := range []Server{s.Source, s.Target} {
		if server.local != nil {
			errs = append(errs, server.local.Stop(context.WithoutCancel(ctx)))
		}
	}
	return errors.Join(errs...)
}
