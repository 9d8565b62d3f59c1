package pooler

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// Entry is one line of section [databases], or a database made by its line * for all others.
type Entry struct {
	Name      string // what clients ask for
	Host      string // "" is a Unix socket
	Port      string
	Database  string // on the server
	ForceUser string // whom PgBouncer logs in as for every client, "" for the client's own user
	PoolMode  string // session, transaction or statement: the entry's own or else the default
	Paused    bool
	Disabled  bool
}

// Values returns where the entry points.
func (e Entry) Values() Values { return Values{Host: e.Host, Port: e.Port, DBName: e.Database} }

// HostPort is host:port, as pg.Address has it.
func (e Entry) HostPort() string { return e.Host + ":" + e.Port }

// WaitsForClients tells that a PAUSE of the entry waits until its clients disconnect: in session mode a client
// keeps its server connection.
func (e Entry) WaitsForClients() bool { return e.PoolMode == "session" }

// Databases returns all entries but the console itself.
func (n *Node) Databases(ctx context.Context) ([]Entry, error) {
	rows, err := n.command(ctx, "show databases")
	if err != nil {
		return nil, err
	}
	return n.entries(rows), nil
}

// entries are those of the rows of SHOW DATABASES.
func (n *Node) entries(rows []map[string]string) (entries []Entry) {
	for _, row := range rows {
		e := Entry{
			Name: row["name"], Host: row["host"], Port: row["port"], Database: row["database"], ForceUser: row["force_user"],
			PoolMode: row["pool_mode"], Paused: row["paused"] == "1", Disabled: row["disabled"] == "1",
		}
		if e.PoolMode == "" {
			e.PoolMode = n.mode
		}
		if e.Name != "pgbouncer" { // reserved for the console
			entries = append(entries, e)
		}
	}
	return entries
}

// Entry returns the entry of that name.
func (n *Node) Entry(ctx context.Context, db string) (Entry, error) {
	rows, err := n.command(ctx, "show databases")
	if err != nil {
		return Entry{}, err
	}
	return n.one(rows, db)
}

func (n *Node) one(rows []map[string]string, db string) (Entry, error) {
	for _, e := range n.entries(rows) {
		if e.Name == db {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("%s: no database %q", n, db)
}

// Straggler is a server connection that is in use: a PAUSE waits for it.
type Straggler struct {
	PID         int    // of the server's process: what it does is in the server's pg_stat_activity
	User        string // whom PgBouncer is logged in as
	State       string // active, or tested: its reset query runs
	Client      string // host:port of the client, "" for none
	Application string // "" where neither the client nor the version tells
}

// String is such as "process 4711 for client 10.0.0.7:51234 (billing)".
func (s Straggler) String() string {
	text := fmt.Sprintf("process %d", s.PID)
	if s.Client != "" {
		text += " for client " + s.Client
	}
	if s.Application != "" {
		text += " (" + s.Application + ")"
	}
	return text
}

// Stragglers returns the entry's server connections that are in use.
func (n *Node) Stragglers(ctx context.Context, db string) ([]Straggler, error) {
	servers, err := n.command(ctx, "show servers")
	if err != nil {
		return nil, err
	}
	clients, err := n.command(ctx, "show clients")
	if err != nil {
		return nil, err
	}
	linked := map[string]map[string]string{}
	for _, row := range clients {
		linked[row["ptr"]] = row
	}
	var found []Straggler
	for _, row := range servers {
		switch row["state"] {
		case "idle", "used", "login", "new", "justfree", "free":
			continue // PAUSE closes them
		}
		if row["database"] != db {
			continue
		}
		s := Straggler{PID: int(number(row["remote_pid"])), User: row["user"], State: row["state"], Application: row["application_name"]}
		if client, ok := linked[row["link"]]; ok && row["link"] != "" {
			s.Client = net.JoinHostPort(client["addr"], client["port"])
			if name := client["application_name"]; name != "" {
				s.Application = name
			}
		}
		found = append(found, s)
	}
	return found, nil
}

// Processes returns the server processes of the entries' connections: on the server they are the pooler's, not somebody
// who goes past it.
func (n *Node) Processes(ctx context.Context, dbs ...string) ([]int32, error) {
	servers, err := n.command(ctx, "show servers")
	if err != nil {
		return nil, err
	}
	var pids []int32
	for _, row := range servers {
		if pid := number(row["remote_pid"]); slices.Contains(dbs, row["database"]) && pid > 0 {
			pids = append(pids, int32(pid))
		}
	}
	return pids, nil
}

// Stats are what clients of an entry have seen since PgBouncer's start, and what they see now.
type Stats struct {
	Transactions, Queries int64
	Waited                time.Duration // all clients' time without a server connection, added up
	Active, Waiting       int64         // clients now
	LongestWait           time.Duration // of a client that waits now
}

// logins is how many connections to the server are being made for the entry's clients.
func (n *Node) logins(ctx context.Context, db string) (count int64, err error) {
	pools, err := n.command(ctx, "show pools")
	for _, row := range pools {
		if row["database"] == db {
			count += number(row["sv_login"])
		}
	}
	return count, err
}

// Since returns s with the counters since an earlier look; what is of now stays.
func (s Stats) Since(earlier Stats) Stats {
	s.Transactions -= earlier.Transactions
	s.Queries -= earlier.Queries
	s.Waited -= earlier.Waited
	return s
}

// Stats returns what the entry's clients see, over the pools of all its users.
func (n *Node) Stats(ctx context.Context, db string) (Stats, error) {
	totals, err := n.command(ctx, "show stats_totals")
	if err != nil {
		return Stats{}, err
	}
	pools, err := n.command(ctx, "show pools")
	if err != nil {
		return Stats{}, err
	}
	var s Stats
	for _, row := range totals {
		if row["database"] == db {
			s.Transactions += number(row["xact_count"])
			s.Queries += number(row["query_count"])
			s.Waited += time.Duration(number(row["wait_time"])) * time.Microsecond
		}
	}
	for _, row := range pools {
		if row["database"] == db {
			s.Active += number(row["cl_active"])
			s.Waiting += number(row["cl_waiting"])
			wait := time.Duration(number(row["maxwait"]))*time.Second + time.Duration(number(row["maxwait_us"]))*time.Microsecond
			s.LongestWait = max(s.LongestWait, wait)
		}
	}
	return s, nil
}
