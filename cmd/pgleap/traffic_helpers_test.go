package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

// pooled is an upgrade whose clients go through PgBouncers, in transaction mode.
type pooled struct {
	*upgrade
	nodes []*pgserver.PgBouncer
	base  string // the entry as it was
	logs  string // the folder of the watchdogs' logs
}

// throughPoolers puts n PgBouncers before the source.
func (u *upgrade) throughPoolers(n int) *pooled {
	u.t.Helper()
	p := &pooled{upgrade: u, logs: u.t.TempDir(), base: fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s", u.servers.source.Port, u.name)}
	for range n {
		p.nodes = append(p.nodes, pgserver.StartPgBouncerT(u.t, pgserver.PgBouncerOptions{
			Databases: map[string]string{"shop": p.base},
			// The same user on both servers, as an application has it; its password is that of neither superuser.
			Users:    map[string]string{"web": webPassword},
			Settings: map[string]string{"server_login_retry": "1"},
		}))
	}
	return p
}

const webPassword = "web-of-lies"

// webRole lets the application's user in on both servers.
const webRole = "do $$ begin create role web login superuser password '" + webPassword + "'; exception when others then null; end $$"

// pooledUpgrade is synced, and ready for its switch.
func pooledUpgrade(t *testing.T, s *servers, poolers int) *pooled {
	t.Helper()
	return pooledUpgradeWith(t, s, poolers, "")
}

// pooledUpgradeWith has more in its source.
func pooledUpgradeWith(t *testing.T, s *servers, poolers int, sql string) *pooled {
	t.Helper()
	for _, side := range []*pgserver.Server{s.source, s.target} {
		connect(t, side.URI("postgres")).run(webRole)
	}
	u := s.upgrade(t, small+"create table written (client int not null, n int not null, primary key (client, n));"+
		"insert into written select -1, n from generate_series(1, 20) n;"+sql) // so that it has statistics
	u.run(exitOK, "sync")
	return u.throughPoolers(poolers)
}

// byFile are the flags of a cutover that edits the poolers' files, byHook those of one that lets sed do it.
func (p *pooled) byFile() []string {
	var args []string
	for _, n := range p.nodes {
		args = append(args, "--pgbouncer-config", n.ConfigFile())
	}
	return args
}

func (p *pooled) byHook(before string) []string {
	var files []string
	for _, n := range p.nodes {
		files = append(files, n.ConfigFile())
	}
	return []string{"--on-reroute", before + `for f in ` + strings.Join(files, " ") + `; do sed -i "s/port=$PGLEAP_OLD_PORT dbname/port=$PGLEAP_NEW_PORT dbname/" "$f" || exit 1; done`}
}

// consoles is the variable with the poolers' addresses.
func (p *pooled) consoles() string {
	var all []string
	for _, n := range p.nodes {
		all = append(all, n.AdminURI())
	}
	return "PGLEAP_PGBOUNCER=" + strings.Join(all, " ")
}

const trafficBudget = 2 * time.Second

// cutoverArgs are those of a cutover through the poolers.
func (p *pooled) cutoverArgs(how []string, more ...string) []string {
	return slices.Concat([]string{"cutover", "--json", "--confirm", p.name, "--max-write-stall", trafficBudget.String()}, how, more)
}

func (p *pooled) switchOver(variables []string, args ...string) *process {
	p.t.Helper()
	return p.start(append([]string{p.consoles(), "TMPDIR=" + p.logs}, variables...), args...)
}

func (p *pooled) repair(code int, how []string) finished {
	p.t.Helper()
	return p.start([]string{p.consoles()}, append([]string{"repair"}, how...)...).wait().exits(code)
}

// poolLoad is clients that write through the poolers and may never meet an error.
type poolLoad struct {
	p       *pooled
	cancel  context.CancelFunc
	group   sync.WaitGroup
	clients []*poolClient
}

type poolClient struct {
	mu    sync.Mutex
	acked []time.Time // in order; the row of the n-th is n
}

// startLoad starts some clients on every pooler.
func (p *pooled) startLoad() *poolLoad {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	l := &poolLoad{p: p, cancel: cancel}
	for _, n := range p.nodes {
		for range 3 {
			session := connect(p.t, n.URI("shop", "web", webPassword)).session
			c := &poolClient{}
			id := len(l.clients)
			l.clients = append(l.clients, c)
			l.group.Go(func() { l.write(ctx, session, c, id) })
		}
	}
	p.t.Cleanup(l.end)
	l.served()
	return l
}

func (l *poolLoad) write(ctx context.Context, session *pg.Session, c *poolClient, id int) {
	for n := 1; ctx.Err() == nil; n++ {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
		_, err := session.Script(limited, fmt.Sprintf("begin; insert into written values (%d, %d); insert into customers (name) values ('%[1]d/%[2]d'); commit", id, n))
		cancel()
		if err != nil {
			l.p.t.Errorf("client %d of the poolers met an error: %s", id, pg.Message(err))
			return
		}
		c.mu.Lock()
		c.acked = append(c.acked, time.Now())
		c.mu.Unlock()
		time.Sleep(3 * time.Millisecond) // a client thinks
	}
}

func (l *poolLoad) end() {
	l.cancel()
	l.group.Wait()
}

func (c *poolClient) times() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acked
}

// served waits until every client was served from now on, and says when the last of them was, for the first time.
func (l *poolLoad) served() time.Time { return l.servedAfter(time.Now()) }

func (l *poolLoad) servedAfter(at time.Time) time.Time {
	l.p.t.Helper()
	var last time.Time
	for i, c := range l.clients {
		await(l.p.t, fmt.Sprintf("client %d of the poolers to be served", i), func() bool {
			list := c.times()
			return len(list) > 0 && list[len(list)-1].After(at)
		})
		list := c.times()
		n, _ := slices.BinarySearchFunc(list, at, time.Time.Compare)
		if n < len(list) && list[n].After(last) {
			last = list[n]
		}
	}
	return last
}

// longestGap is the longest time in which a client was not served.
func (l *poolLoad) longestGap() time.Duration {
	var gap time.Duration
	for _, c := range l.clients {
		list := c.times()
		for i := 1; i < len(list); i++ {
			gap = max(gap, list[i].Sub(list[i-1]))
		}
	}
	return gap
}

// judge ends the load: every acknowledged row is on the server that is the truth, once, and nothing else is.
func (l *poolLoad) judge(truth *client) {
	l.p.t.Helper()
	l.end()
	for id, c := range l.clients {
		truth.is(fmt.Sprintf("%d|%[1]d", len(c.times())), fmt.Sprintf("select count(*), coalesce(max(n), 0) from written where client = %d", id))
	}
	truth.is("0", "select count(*) from customers c where name like '%/%' and not exists (select from written w where c.name = w.client || '/' || w.n)")
	truth.is("t", "select count(*) = count(distinct name) from customers where name like '%/%'")
}

// pausedNodes is how many poolers hold their clients, and ports where they point.
func (p *pooled) entries() (paused int, ports []string) {
	p.t.Helper()
	for _, n := range p.nodes {
		for _, row := range p.console(n, "show databases") {
			if row["name"] == "shop" {
				ports = append(ports, row["port"])
				if row["paused"] == "1" {
					paused++
				}
			}
		}
	}
	return paused, ports
}

func (p *pooled) console(n *pgserver.PgBouncer, command string) []map[string]string {
	p.t.Helper()
	a, err := pg.ParseAddress(n.AdminURI())
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	c, err := pg.OpenConsole(ctx, a, pg.Options{Verb: "test"})
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	answers, err := c.Send(ctx, command)
	if err != nil {
		p.t.Fatal(err)
	}
	return answers[0].Rows
}

// mustBeAt: every pooler runs, points there, in its file too, and no trace of a change is left unless it stands.
func (p *pooled) mustBeAt(side *pgserver.Server) {
	p.t.Helper()
	paused, ports := p.entries()
	if paused > 0 {
		p.t.Errorf("%d poolers are paused", paused)
	}
	for i, port := range ports {
		if want := fmt.Sprint(side.Port); port != want {
			p.t.Errorf("pooler %d points at port %s, not at %s", i, port, want)
		}
	}
	if !p.filesPointAt(side) {
		p.t.Errorf("not every pooler's file points at %d", side.Port)
	}
}

// filesPointAt tells what the poolers' files say, whether or not they have read them.
func (p *pooled) filesPointAt(side *pgserver.Server) bool {
	p.t.Helper()
	for _, n := range p.nodes {
		text, err := os.ReadFile(n.ConfigFile())
		if err != nil {
			p.t.Fatal(err)
		}
		if !strings.Contains(string(text), fmt.Sprintf("port=%d dbname=%s", side.Port, p.name)) && !strings.Contains(string(text), fmt.Sprintf("port='%d'", side.Port)) {
			return false
		}
	}
	return true
}
