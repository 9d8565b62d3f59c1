package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pgleap/internal/pg"
)

// load is what clients do to the database while it is upgraded.
type load struct {
	stage    *Stage
	config   Config
	endpoint *endpoint
	record   *record

	writers []*writer
	readers []*reader
	done    sync.WaitGroup
	stop    chan struct{} // closed: no further arrivals
	broken  chan error    // the load itself cannot go on
}

// newLoad connects every client to the source.
func newLoad(ctx context.Context, s *Stage) (*load, error) {
	c := s.config
	l := &load{
		stage: s, config: c, endpoint: newEndpoint(s.Source), record: &record{},
		stop: make(chan struct{}), broken: make(chan error, c.Clients+c.Readers+1),
	}
	for i := range c.Clients {
		w := newWriter(l, i)
		l.writers = append(l.writers, w)
		if err := w.connect(ctx); err != nil {
			l.close()
			return nil, err
		}
	}
	for i := range c.Readers {
		r := newReader(l, i)
		l.readers = append(l.readers, r)
		if err := r.connect(ctx); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// begin starts the arrivals. Every client has a schedule of its own; together they make the rate.
func (l *load) begin(ctx context.Context) {
	l.record.start = time.Now()
	for i, w := range l.writers {
		l.goEach(ctx, stagger(i, len(l.writers), l.config.Rate), l.stop, w.serve)
	}
	for i, r := range l.readers {
		l.goEach(ctx, stagger(i, len(l.readers), readRate), l.stop, r.serve)
	}
}

// schedule is when a client's requests are due: the first, and the time between two.
type schedule struct{ first, step time.Duration }

// stagger gives the i-th of several clients its part of a rate per second.
func stagger(i, of int, rate float64) schedule {
	step := time.Duration(float64(of) / rate * float64(time.Second))
	return schedule{step * time.Duration(i) / time.Duration(of), step}
}

// readRate is the rate of all readers together, per second.
const readRate = 100

// goEach calls serve at each time that is due, one after the other. A call that comes too late is made at
// once: what was due stays due, as with real users.
func (l *load) goEach(ctx context.Context, s schedule, stop chan struct{}, serve func(context.Context, time.Duration) error) {
	l.done.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for due := s.first; ; due += s.step {
			timer.Reset(due - l.record.now())
			select {
			case <-timer.C:
			case <-stop:
				return
			case <-ctx.Done():
				return
			}
			if err := serve(ctx, due); err != nil {
				if ctx.Err() == nil {
					l.broken <- err
				}
				return
			}
		}
	})
}

// knockBelow is the rate below which knock has something to do, and knockEvery how often it does.
const (
	knockBelow = 300
	knockEvery = 2 * time.Millisecond
)

// knock starts one more client, for the time of the switch: at a low rate a short stall would fall between
// two writes, and nobody would have tried whether writes are stopped. The function it returns ends it.
func (l *load) knock(ctx context.Context) (stop func(), err error) {
	if l.config.Rate >= knockBelow {
		return func() {}, nil
	}
	w := newWriter(l, len(l.writers))
	if err := errors.Join(w.connect(ctx), w.standby(ctx, l.stage.Target)); err != nil {
		w.close()
		return nil, fmt.Errorf("connect one more client: %w", err)
	}
	l.writers = append(l.writers, w)
	enough := make(chan struct{})
	l.goEach(ctx, schedule{l.record.now(), knockEvery}, enough, w.serve)
	return sync.OnceFunc(func() { close(enough) }), nil
}

// run waits for d of load, or for the load's or the rehearsal's end.
func (l *load) run(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return l.trouble()
	case err := <-l.broken:
		return fmt.Errorf("the load broke: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *load) trouble() error {
	select {
	case err := <-l.broken:
		return fmt.Errorf("the load broke: %w", err)
	default:
		return nil
	}
}

// standby connects every client to the target as well, as a pooler would have: what is measured is then the
// upgrade and not how long a password's check takes.
func (l *load) standby(ctx context.Context) error {
	for _, w := range l.writers {
		if err := w.standby(ctx, l.stage.Target); err != nil {
			return err
		}
	}
	for _, r := range l.readers {
		if err := r.standby(ctx, l.stage.Target); err != nil {
			return err
		}
	}
	return nil
}

// end stops the arrivals and waits for what is under way.
func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
}

func (l *load) close() {
	for _, w := range l.writers {
		w.close()
	}
	for _, r := range l.readers {
		r.close()
	}
}

// client is one connection to where the endpoint points, and perhaps one in reserve.
type client struct {
	load    *load
	role    string
	session *pg.Session
	on      Server

	mu      sync.Mutex
	reserve *pg.Session // to the target
}

func (c *client) open(ctx context.Context, server Server) (*pg.Session, error) {
	address, err := c.load.stage.as(server, c.role)
	if err != nil {
		return nil, err
	}
	o := pg.Options{Verb: "ledger"}
	if c.role == "" {
		o.Settings = map[string]string{"log_statement": "none"} // only a superuser may say so
	}
	return pg.OpenClient(ctx, address, o)
}

// connect goes to where the endpoint points, unless it is there already.
func (c *client) connect(ctx context.Context) error {
	to := c.load.endpoint.server()
	if c.session != nil && c.session.Alive() && c.on.Side == to.Side {
		return nil
	}
	if c.session != nil {
		c.session.Close()
		c.session = nil
	}
	moved := c.on.Side != "" && c.on.Side != to.Side
	if s := c.takeReserve(); s != nil && to.Side == c.load.stage.Target.Side {
		c.session = s
	} else {
		s, err := c.open(ctx, to)
		if err != nil {
			return err
		}
		c.session = s
	}
	c.on = to
	if moved {
		c.load.record.arrived()
	}
	return nil
}

func (c *client) standby(ctx context.Context, server Server) error {
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserve = s
	return nil
}

func (c *client) takeReserve() *pg.Session {
	if c.load.endpoint.when().IsZero() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.reserve
	c.reserve = nil
	return s
}

func (c *client) close() {
	for _, s := range []*pg.Session{c.session, c.reserve} {
		if s != nil {
			s.Close()
		}
	}
}
