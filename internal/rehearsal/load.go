package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
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

// newLoad connects every client to the source: the writers, those writers that go round the pooler, and the readers.
func newLoad(ctx context.Context, s *Stage) (*load, error) {
	c := s.config
	l := &load{
		stage: s, config: c, endpoint: newEndpoint(s.Source), record: &record{},
		stop: make(chan struct{}), broken: make(chan error, c.Clients+c.Direct+c.Readers+1),
	}
	for i := range c.Clients + c.Direct {
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

// directRate is the rate of all writers together that go round the pooler, per second.
const directRate = 40

// begin starts the arrivals. Every client has a schedule of its own; together they make the rate.
func (l *load) begin(ctx context.Context) {
	l.record.start = time.Now()
	n := l.config.Clients
	for i, w := range l.writers[:n] {
		l.goEach(ctx, stagger(i, n, l.config.Rate), l.stop, w.serve)
	}
	for i, w := range l.writers[n:] {
		l.goEach(ctx, stagger(i, l.config.Direct, directRate), l.stop, w.serve)
	}
	for i, r := range l.readers {
		l.goEach(ctx, stagger(i, len(l.readers), l.config.ReadRate), l.stop, r.serve)
	}
}

// schedule is when a client's requests are due: the first, and the time between two.
type schedule struct{ first, step time.Duration }

// stagger gives the i-th of several clients its part of a rate per second.
func stagger(i, of int, rate float64) schedule {
	step := time.Duration(float64(of) / rate * float64(time.Second))
	return schedule{step * time.Duration(i) / time.Duration(of), step}
}

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

// knock starts one more client, for the time of a switch to the given server: at a low rate a short stall would
// fall between two writes, and nobody would have tried whether writes are stopped. The function it returns ends it.
func (l *load) knock(ctx context.Context, to Server) (stop func(), err error) {
	if l.config.Rate >= knockBelow {
		return func() {}, nil
	}
	w := newWriter(l, len(l.writers))
	if err := errors.Join(w.connect(ctx), w.standby(ctx, to)); err != nil {
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

// standby connects every client to the target as well.
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
