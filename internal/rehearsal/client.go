package rehearsal

import (
	"context"
	"strconv"
	"sync"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// client is one connection to the pooler or, round it, to where the endpoint points, and then perhaps another
// in reserve to the other side.
type client struct {
	load    *load
	role    string
	pooled  bool
	session *pg.Session
	on      Server // behind a pooler: that which answered last

	mu      sync.Mutex
	reserve map[plan.Side]*pg.Session
}

func (c *client) open(ctx context.Context, server Server) (*pg.Session, error) {
	as := c.load.stage.as
	if c.pooled {
		as = func(_ Server, role string) (pg.Address, error) { return c.load.stage.throughPooler(role) }
	}
	address, err := as(server, c.role)
	if err != nil {
		return nil, err
	}
	return pg.OpenClient(ctx, address, pg.Options{Verb: "ledger"})
}

// connect goes to the pooler, or to where the endpoint points, unless it is there already.
func (c *client) connect(ctx context.Context) error {
	to, _ := c.load.endpoint.server()
	if c.session != nil && c.session.Alive() && (c.pooled || c.on.Side == to.Side) {
		return nil
	}
	moved := !c.pooled && c.on.Side != "" && c.on.Side != to.Side
	c.leave(moved)
	s := c.takeReserve(to)
	if s == nil {
		var err error
		if s, err = c.open(ctx, to); err != nil {
			return err
		}
	}
	c.session, c.on = s, to
	if moved {
		c.load.record.arrived()
	}
	return nil
}

// leave puts the session aside for the way back, or ends it.
func (c *client) leave(keep bool) {
	if c.session == nil {
		return
	}
	if keep && c.session.Alive() && c.load.config.turns() > 1 {
		c.keep(c.on, c.session)
	} else {
		c.session.Close()
	}
	c.session = nil
}

func (c *client) keep(server Server, s *pg.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reserve == nil {
		c.reserve = map[plan.Side]*pg.Session{}
	}
	c.reserve[server.Side] = s
}

// standby connects to the server as well, as a pooler would have: what is measured is then the upgrade and not
// how long a password's check takes. Who goes through a pooler leaves that to it.
func (c *client) standby(ctx context.Context, server Server) error {
	if c.pooled {
		return nil
	}
	s, err := c.open(ctx, server)
	if err != nil {
		return err
	}
	// A session's first statement on a table costs milliseconds, which are the server's and not the upgrade's.
	for _, t := range []string{"entry", "account", "item", "part", "document", "heap", "counter", "mark"} {
		if _, err := s.Script(ctx, "explain select * from ledger."+t); err != nil {
			s.Close()
			return err
		}
	}
	c.keep(server, s)
	return nil
}

func (c *client) takeReserve(server Server) *pg.Session {
	if c.pooled {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.reserve[server.Side]
	delete(c.reserve, server.Side)
	if s != nil && !s.Alive() {
		return nil
	}
	return s
}

// whoAnswers gives the version of the server that answers, as a number: it differs between the two.
const whoAnswers = "current_setting('server_version_num')"

// answered notes which server it was that answered.
func (c *client) answered(version string) {
	for _, server := range []Server{c.load.stage.Source, c.load.stage.Target} {
		if strconv.Itoa(int(server.major)) == version {
			c.on = server
		}
	}
}

func (c *client) close() {
	if c.session != nil {
		c.session.Close()
	}
	for _, s := range c.reserve {
		s.Close()
	}
}
