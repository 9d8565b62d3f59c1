package pooler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

// TestSwitchUnderLoad moves an entry to and fro while clients come, ask and go: none fails, and none waits for
// server_login_retry, which is longer than the whole test may take.
func TestSwitchUnderLoad(t *testing.T) {
	s := startShop(t)
	admin := s.client(t, s.bouncer(t, nil), "shop", "admin")
	for _, name := range []string{"shop_old", "shop_new"} {
		_, err := admin.Exec(t.Context(), "create database "+name)
		must(t, err)
	}
	conninfo := fmt.Sprintf("host=127.0.0.1 port=%d dbname=shop_old", s.Port)
	var nodes []*Node
	var files []*File
	var targets []Target
	load := startLoad(t)
	for range 2 {
		p := pgserver.StartPgBouncerT(t, pgserver.PgBouncerOptions{
			Databases: map[string]string{"shop": conninfo}, Users: map[string]string{s.Superuser: s.Password},
			Settings: map[string]string{"default_pool_size": "4", "server_login_retry": "120"},
		})
		f, err := OpenFile(p.ConfigFile(), "r1")
		must(t, err)
		n := openNode(t, p)
		nodes, files, targets = append(nodes, n), append(files, f), append(targets, Target{n, "shop"})
		load.clients(address(t, p.URI("shop", s.Superuser, s.Password)))
	}
	for i := range 30 {
		want := Values{Host: "127.0.0.1", Port: fmt.Sprint(s.Port), DBName: []string{"shop_new", "shop_old"}[i%2]}
		load.progress()
		staged := make([]*Staged, len(files))
		for j, f := range files {
			var err error
			staged[j], err = f.Stage("shop", want)
			must(t, err)
		}
		must(t, PauseAll(within(t, patience), targets))
		for j := range nodes {
			must(t, staged[j].Install())
		}
		must(t, errors.Join(each(targets, func(x Target) error { return x.Node.ResumeTo(t.Context(), "shop", want) })...))
		load.expect(want.DBName)
	}
	load.stop()
}

// load is clients that stay, and others that come for one question.
type load struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // the load's own end
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	mu      sync.Mutex
	answers int
	from    map[string]time.Time // when a database last answered a question that was asked at that time
	slowest time.Duration
}

func startLoad(t *testing.T) *load {
	l := &load{t: t, from: map[string]time.Time{}}
	l.ctx, l.cancel = context.WithCancel(t.Context())
	return l
}

func (l *load) clients(a pg.Address) {
	for range 3 {
		l.wg.Go(func() {
			for l.ctx.Err() == nil {
				l.session(a, 1)
			}
		})
		l.wg.Go(func() { l.session(a, 1<<30) })
	}
}

// session connects and asks; the time counts from the connection's start.
func (l *load) session(a pg.Address, questions int) {
	start := time.Now()
	c, err := pg.OpenClient(context.WithoutCancel(l.ctx), a, pg.Options{Verb: "load"})
	if err != nil {
		l.t.Errorf("connect: %v", err)
		l.cancel()
		return
	}
	defer c.Close()
	for range questions {
		var database string
		if err := c.QueryRow(context.WithoutCancel(l.ctx), "select current_database()").Scan(&database); err != nil {
			l.t.Errorf("ask: %v", err)
			l.cancel()
		}
		l.answered(database, start)
		start = time.Now()
		if l.ctx.Err() != nil {
			return
		}
	}
}

func (l *load) answered(database string, asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers++
	l.slowest = max(l.slowest, time.Since(asked))
	if asked.After(l.from[database]) {
		l.from[database] = asked
	}
}

// progress waits until the clients have had some more answers.
func (l *load) progress() {
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.answers
	}
	until := count() + 100
	eventually(l.t, "answers", func() bool { return count() > until || l.ctx.Err() != nil })
}

// expect waits for an answer of that database to a question of now.
func (l *load) expect(database string) {
	now := time.Now()
	eventually(l.t, "an answer of "+database, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.from[database].After(now) || l.ctx.Err() != nil
	})
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
	l.t.Logf("%d answers, the slowest after %v", l.answers, l.slowest.Round(time.Millisecond))
	if l.slowest > patience {
		l.t.Errorf("a client waited %v", l.slowest)
	}
}
