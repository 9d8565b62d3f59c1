package rehearsal

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// Pooler is what stands between the clients and the servers.
type Pooler string

// The poolers.
const (
	PoolerNone      Pooler = "none"
	PoolerPgBouncer Pooler = "pgbouncer" // in transaction mode
)

// Poolers are the names for the command line.
var Poolers = []Pooler{PoolerNone, PoolerPgBouncer}

// poolSize is how many connections each role has to a server: what 2 processors are busy with, not one per client.
const poolSize = "4"

// startPooler starts a PgBouncer in front of the source.
func (s *Stage) startPooler(ctx context.Context) error {
	entry, err := s.Source.entry()
	if err != nil {
		return err
	}
	users := map[string]string{}
	for role, password := range s.passwords {
		users[role] = password
	}
	s.pooler, err = pgserver.StartPgBouncer(ctx, pgserver.PgBouncerOptions{
		Databases: map[string]string{s.Database: entry}, Users: users, Settings: map[string]string{"default_pool_size": poolSize},
	})
	return err
}

// entry is how a pooler's configuration names the server.
func (s Server) entry() (string, error) {
	u, err := url.Parse(s.URI)
	if err != nil || u.Hostname() == "" {
		return "", fmt.Errorf("the %s's address is no URI with a host", s.Side)
	}
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	return fmt.Sprintf("host=%s port=%s dbname='%s'", u.Hostname(), port, strings.ReplaceAll(s.Database, "'", "''")), nil
}

// throughPooler is the address by which a role of ours comes through the pooler.
func (s *Stage) throughPooler(role string) (pg.Address, error) {
	return pg.ParseAddress(s.pooler.URI(s.Database, role, s.passwords[role]))
}

// bouncer works the pooler by hand, as the floor and the baseline need it.
type bouncer struct {
	console  *pg.Console
	database string
	file     string
}

func (s *Stage) openBouncer(ctx context.Context) (*bouncer, error) {
	address, err := pg.ParseAddress(s.pooler.AdminURI())
	if err != nil {
		return nil, err
	}
	console, err := pg.OpenConsole(ctx, address, pg.Options{Verb: "rehearsal"})
	if err != nil {
		return nil, err
	}
	return &bouncer{console, s.Database, s.pooler.ConfigFile()}, nil
}

func (b *bouncer) do(ctx context.Context, command string) error {
	answers, err := b.console.Send(ctx, command)
	if err == nil {
		err = answers[0].Err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.ToLower(command), err)
	}
	return nil
}

// pause lets what runs come to its end, and keeps the clients waiting.
func (b *bouncer) pause(ctx context.Context) error {
	return b.do(ctx, "PAUSE "+plan.QuoteIdent(b.database))
}

func (b *bouncer) resume(ctx context.Context) error {
	return b.do(ctx, "RESUME "+plan.QuoteIdent(b.database))
}

// entryValue is that of the one entry of section [databases].
var entryValue = regexp.MustCompile(`(?m)host=.*$`)

// point makes the entry lead to the server. Connections to the other one end as soon as they are free.
func (b *bouncer) point(ctx context.Context, to Server) error {
	entry, err := to.entry()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(b.file)
	if err != nil {
		return fmt.Errorf("point the pooler: %w", err)
	}
	text = entryValue.ReplaceAllLiteral(text, []byte(entry))
	if err := os.WriteFile(b.file, text, 0o600); err != nil { // it stays whose it is
		return fmt.Errorf("point the pooler: %w", err)
	}
	return b.do(ctx, "RELOAD")
}

func (b *bouncer) close() { b.console.Close() }
