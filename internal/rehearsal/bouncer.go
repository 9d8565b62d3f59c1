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
	"pgleap/internal/pooler"
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

// poolSize is how many connections each of the four roles has to a server: all of them keep 2 processors busy. More would
// only be more processes to end at PAUSE and to start at RESUME.
const poolSize = "2"

// startPooler starts a PgBouncer in front of the source. It holds what the servers hold of the roles, as auth_query would
// give it: it logs in with the key that its client proved. With passwords in clear it would derive that key anew for each
// login, milliseconds of its one processor.
func (s *Stage) startPooler(ctx context.Context) error {
	entry, err := s.Source.entry()
	if err != nil {
		return err
	}
	s.pooler, err = pgserver.StartPgBouncer(ctx, pgserver.PgBouncerOptions{
		Databases: map[string]string{s.Database: entry}, Users: s.verifiers, Settings: map[string]string{"default_pool_size": poolSize},
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

// bouncer works the pooler by hand, as the floor and the baseline need it. It pauses with the care of pooler.Node: a
// login that PAUSE cuts off would fail clients behind RESUME.
type bouncer struct {
	node     *pooler.Node
	database string
	file     string
}

func (s *Stage) openBouncer(ctx context.Context) (*bouncer, error) {
	address, err := pg.ParseAddress(s.pooler.AdminURI())
	if err != nil {
		return nil, err
	}
	node, err := pooler.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	return &bouncer{node, s.Database, s.pooler.ConfigFile()}, nil
}

// pause lets what runs come to its end, and keeps the clients waiting.
func (b *bouncer) pause(ctx context.Context) error { return b.node.Pause(ctx, b.database) }

func (b *bouncer) resume(ctx context.Context) error { return b.node.Resume(ctx, b.database) }

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
	return b.node.Reload(ctx)
}

func (b *bouncer) close() { b.node.Close() }
