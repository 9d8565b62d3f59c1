package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
)

// TestMistakes makes the mistakes that operators make. Each is refused with the object and the mend named, and
// leaves nothing behind on either server.
func TestMistakes(t *testing.T) {
	s := startServers(t, 13, 18)
	for name, c := range map[string]struct {
		sql      string                    // fills the source
		mistake  func(*upgrade)            // made before
		settings func(*upgrade) []string   // variables of the environment
		code     int                       // of both check and sync
		says     func(u *upgrade) []string // what the message holds
	}{
		"no replica identity": {
			sql:  "create table audit_log (at timestamptz, what text)",
			code: exitBlocked,
			says: words("replica-identity", "public.audit_log", "UPDATEs and DELETEs would FAIL", "alter table public.audit_log replica identity full;"),
		},
		"role missing on the target": {
			sql:     small,
			mistake: func(u *upgrade) { u.source.run("create role clerk; grant select on orders to clerk") },
			code:    exitBlocked,
			says:    words("roles", "role clerk is missing on the target", "create role clerk;"),
		},
		"slot of another database": {
			sql:     small,
			mistake: func(u *upgrade) { u.slot("postgres", "select pg_create_logical_replication_slot(%s, 'pgoutput')") },
			code:    exitBlocked,
			says: func(u *upgrade) []string {
				return []string{"slot pgleap_" + u.name, "belongs to database postgres", "--run", "pg_drop_replication_slot('pgleap_" + u.name + "')"}
			},
		},
		"physical slot": {
			sql:     small,
			mistake: func(u *upgrade) { u.slot("postgres", "select pg_create_physical_replication_slot(%s)") },
			code:    exitBlocked,
			says: func(u *upgrade) []string {
				return []string{"slot pgleap_" + u.name, "physical", "--run", "pg_drop_replication_slot('pgleap_" + u.name + "')"}
			},
		},
		"slot of a lost run": {
			sql:     small,
			mistake: func(u *upgrade) { u.slot(u.name, "select pg_create_logical_replication_slot(%s, 'pgoutput')") },
			code:    exitBlocked,
			says: func(u *upgrade) []string {
				return []string{"slot pgleap_" + u.name, "pgleap abort", "pg_drop_replication_slot('pgleap_" + u.name + "')"}
			},
		},
		"publication of a lost run": {
			sql:     small,
			mistake: func(u *upgrade) { u.source.run("create publication pgleap_" + u.name + " for table orders") },
			code:    exitBlocked,
			says:    func(u *upgrade) []string { return []string{"publication pgleap_" + u.name, "pgleap abort"} },
		},
		"unreachable source": {
			sql: small,
			settings: func(u *upgrade) []string {
				return []string{"PGLEAP_SOURCE=" + at(u.t, u.sourceURI, "127.0.0.1:"+closedPort(u.t))}
			},
			code: exitUnexpected,
			says: words("cannot connect to the source 127.0.0.1:", "refused", "fix: nothing listens there"),
		},
		"unreachable target": {
			sql: small,
			settings: func(u *upgrade) []string {
				return []string{"PGLEAP_TARGET=" + at(u.t, u.targetURI, "127.0.0.1:"+closedPort(u.t))}
			},
			code: exitUnexpected,
			says: words("cannot connect to the target 127.0.0.1:", "refused", "fix: nothing listens there"),
		},
		"wrong password of the source": {
			sql:      small,
			settings: func(u *upgrade) []string { return []string{"PGLEAP_SOURCE=" + as(u.t, u.sourceURI, "wrong-geheim")} },
			code:     exitUnexpected,
			says:     words("cannot connect to the source", "as postgres", "password authentication failed", "fix: the password comes from"),
		},
		"wrong password of the target": {
			sql:      small,
			settings: func(u *upgrade) []string { return []string{"PGLEAP_TARGET=" + as(u.t, u.targetURI, "wrong-geheim")} },
			code:     exitUnexpected,
			says:     words("cannot connect to the target", "as postgres", "password authentication failed", "fix: the password comes from"),
		},
		"database missing on the target": {
			sql:      small,
			settings: func(u *upgrade) []string { return []string{"PGLEAP_TARGET=" + u.servers.target.URI("nowhere")} },
			code:     exitUnexpected,
			says:     words("cannot connect to the target", `database "nowhere" does not exist`, "create database"),
		},
		"source out of the target's reach": {
			sql:      small,
			settings: func(u *upgrade) []string { return []string{"PGLEAP_SOURCE_FROM_TARGET=127.0.0.1:" + closedPort(u.t)} },
			code:     exitBlocked,
			says:     words("target-reaches-source", "the target cannot connect to the source", "refused", "pg_hba.conf", "--source-from-target"),
		},
		"wrong password from the target": {
			sql: small,
			settings: func(u *upgrade) []string {
				return []string{"PGLEAP_SOURCE_FROM_TARGET=" + as(u.t, u.sourceURI, "wrong-geheim")}
			},
			code: exitBlocked,
			says: words("target-reaches-source", "the target cannot connect to the source", "password authentication failed"),
		},
		"swapped": {
			sql: small,
			settings: func(u *upgrade) []string {
				return []string{"PGLEAP_SOURCE=" + u.targetURI, "PGLEAP_TARGET=" + u.sourceURI}
			},
			code: exitBlocked,
			says: words("direction", "are --source and --target swapped?", "nothing was changed"),
		},
		"source given twice": {
			sql:      small,
			settings: func(u *upgrade) []string { return []string{"PGLEAP_TARGET=" + u.sourceURI} },
			code:     exitBlocked,
			says:     words("same-cluster", "source and target are the same server", "--target"),
		},
		"target given twice": {
			sql:      small,
			settings: func(u *upgrade) []string { return []string{"PGLEAP_SOURCE=" + u.targetURI} },
			code:     exitBlocked,
			says:     words("same-cluster", "source and target are the same server", "--target"),
		},
		"another database of the same server": {
			sql:      small,
			settings: func(u *upgrade) []string { return []string{"PGLEAP_TARGET=" + u.servers.source.URI("postgres")} },
			code:     exitBlocked,
			says:     words("same-cluster", "source and target are the same server"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := s.upgrade(t, c.sql)
			if c.mistake != nil {
				c.mistake(u)
			}
			var variables []string
			if c.settings != nil {
				variables = c.settings(u)
			}
			before := u.snapshot()
			for _, verb := range []string{"check", "plan", "sync"} {
				o := u.runWith(variables, c.code, verb).says(c.says(u)...)
				if strings.Contains(o.stdout+o.stderr, "geheim") {
					t.Errorf("the wrong password is shown:\n%s", o)
				}
				u.unchanged(before)
			}
			// abort finds nothing to do, or says the same again; it takes nothing away that is not the run's.
			if c.code != exitBlocked {
				u.runWith(variables, c.code, "abort")
				u.unchanged(before)
			}
		})
	}
}

func words(list ...string) func(*upgrade) []string {
	return func(*upgrade) []string { return list }
}

// slot makes a slot of the run's name in a database of the source, until the test ends.
func (u *upgrade) slot(database, statement string) {
	u.t.Helper()
	name := "'pgleap_" + u.name + "'"
	c := connect(u.t, u.servers.source.URI(database))
	c.run(fmt.Sprintf(statement, name))
	u.t.Cleanup(func() { c.run("select pg_drop_replication_slot(" + name + ")") })
}

// at and as return the address with another place or password.
func at(t *testing.T, uri, hostPort string) string {
	return rewritten(t, uri, func(u *url.URL) { u.Host = hostPort })
}

func as(t *testing.T, uri, password string) string {
	return rewritten(t, uri, func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), password) })
}

func rewritten(t *testing.T, uri string, f func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	f(u)
	return u.String()
}

// closedPort is one that nobody listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestFailingDefinition: the new version refuses what the old one took. The object, the statement and the mend
// are named; the source is untouched, and abort empties the target again.
func TestFailingDefinition(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to int
		sql      string
		says     []string
		mend     string
	}{
		{
			"an operator that is gone", 13, 18, "create view factorial as select id, 5 ! as f from orders",
			[]string{"schema", "view public.factorial", "^", "fix:", "on the source", "pgleap abort"},
			"drop view factorial",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := startServers(t, c.from, c.to).upgrade(t, small+";\n"+c.sql)
			before := u.snapshot()
			o := u.run(exitUnexpected, "sync").says(c.says...)
			if strings.Contains(o.stderr, "✓ schema") {
				t.Errorf("the stage is called done:\n%s", o)
			}
			u.source.same("source", before.source, u.source.contents())
			u.run(exitUnexpected, "sync").says(c.says...) // again the same, not a confusion
			u.run(exitOK, "abort")
			u.unchanged(before)

			u.source.run(c.mend)
			u.run(exitOK, "sync")
			u.run(exitOK, "abort")
		})
	}
}
