package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func checkTargetEmpty(in input) []Finding {
	// With the addresses swapped this is production: checkDirection and checkSameCluster say so, and nobody may
	// be told to drop what is there.
	if in.resumed() || len(checkSameCluster(in)) > 0 || in.target.Version.Major() < in.source.Version.Major() {
		return nil
	}
	var out []Finding
	for _, o := range in.target.UserObjects {
		out = append(out, Finding{
			Severity: Blocker, On: Target, Object: o,
			Problem: OneLine(o) + " is on the target already\ndefinitions and rows that arrive would collide with it",
			Fix:     "take an empty database, or drop what is there",
		})
	}
	return out
}

func checkTargetReadOnly(in input) []Finding {
	if !in.target.ReadOnly || in.resumed() {
		return nil
	}
	return []Finding{{
		Severity: Warning, On: Target,
		Problem: "default_transaction_read_only is on for the target's database or role\nafter the switch the applications could not write",
		Fix:     "reset it for the database, or for the role with alter role … reset",
		SQL:     "alter database " + QuoteIdent(in.target.Database) + " reset default_transaction_read_only;",
	}}
}

func checkLeftovers(in input) []Finding {
	consequence := map[string]string{
		"slot":         "it keeps the server's WAL until the disk is full",
		"publication":  "its tables refuse UPDATEs without a replica identity",
		"subscription": "it writes into the target's tables",
		"schema":       "it holds the journal of that run",
		"trigger":      "it REFUSES EVERY WRITE to that table",
		"database":     "it holds the definitions of a trial load, and takes room",
	}
	// Without the journal nothing of this name is ours to go on with: its target was lost, or is another one.
	journal := slices.ContainsFunc(in.target.Leftovers, func(l Leftover) bool { return l.Own && l.Kind == "schema" })
	var out []Finding
	for _, f := range []Facts{in.source, in.target} {
		for _, l := range f.Leftovers {
			if l.Own && journal {
				continue
			}
			severity, sql := Blocker, l.Drop
			problem := "is left of an earlier run\n" + consequence[l.Kind]
			switch {
			case l.Kind == "database":
				severity, problem = Warning, "is left of a pgleap check or plan that was killed\n"+consequence[l.Kind]
			case l.Of != "":
				problem = l.Of + "\nthe slot of this run must have that name"
				sql = "" // somebody else's: dropping it is the second choice
			case l.Own:
				problem = "is left of a run of this name, and the target has no journal of it\n" + consequence[l.Kind]
			case l.Run != "":
				problem = "is left of run " + l.Run + "\n" + consequence[l.Kind]
			}
			out = append(out, Finding{
				Severity: severity, On: f.Side, Object: l.Kind + " " + l.Name,
				Problem: l.Kind + " " + OneLine(l.Name) + " " + problem,
				Fix:     leftoverFix(l),
				SQL:     sql,
			})
		}
	}
	return out
}

func leftoverFix(l Leftover) string {
	switch {
	case l.Kind == "database":
		return "drop it, connected to another database of that server"
	case l.Of != "":
		return "choose another name with --run; or, when nobody needs that slot any more: " + l.Drop
	case l.Own:
		return "take it back with pgleap abort, or, when nobody needs it any more, drop it"
	case l.Run == "":
		return "when nobody needs it any more, drop it"
	}
	return fmt.Sprintf("go on with that run (--run %s), end it with pgleap abort --run %s, or, when nobody needs it any more, drop it", l.Run, l.Run)
}

func checkLocks(in input) []Finding {
	perTransaction, ok := setting(in.source, "max_locks_per_transaction")
	connections, ok2 := setting(in.source, "max_connections")
	if !ok || !ok2 {
		return nil
	}
	prepared, _ := setting(in.source, "max_prepared_transactions")
	tables := len(in.selection.Fenced())
	if in.options.Guarded(in.selection) {
		tables = 0 // one advisory lock, however many there are
	}
	room, need := perTransaction*(connections+prepared), 2*tables+len(in.selection.Sequences) // those are read in the switch, at once
	if need <= room*9/10 {                                                                    // the last tenth is for everybody else
		return nil
	}
	to := need*10/9/(connections+prepared) + 1
	return []Finding{raise(Source, "max_locks_per_transaction", to, fmt.Sprintf(
		"the fence locks %d tables in one transaction, the switch reads %d sequences, and the source has room for about %d locks\nthe switch would fail with \"out of shared memory\"", tables, len(in.selection.Sequences), room))}
}

func checkPrepared(in input) []Finding {
	var out []Finding
	for _, p := range in.source.Prepared {
		out = append(out, Finding{
			Severity: Blocker, On: Source, Object: p.GID,
			Problem: fmt.Sprintf("transaction %s of %s in database %s has been prepared for %s\nthe slot's creation and the fence would wait for it", OneLine(p.GID), p.Owner, p.Database, HumanDuration(seconds(p.Seconds))),
			Fix:     fmt.Sprintf("finish it in database %s, by commit or by rollback", p.Database),
			SQL:     fmt.Sprintf("commit prepared %s; -- or rollback prepared %s;", QuoteLiteral(p.GID), QuoteLiteral(p.GID)),
		})
	}
	return out
}

func checkTransactions(in input) []Finding {
	var out []Finding
	for _, t := range in.source.Transactions {
		consequence := "it has not written, but a lock that it holds would make the fence wait"
		if t.Writes {
			consequence = "the slot's creation waits until it ends"
		}
		who := ident(t.User)
		if t.Application != "" {
			who += " (" + OneLine(t.Application) + ")"
		}
		out = append(out, Finding{
			Severity: Warning, On: Source, Object: fmt.Sprintf("pid %d", t.PID),
			Problem: fmt.Sprintf("pid %d of %s in database %s is in a transaction for %s, %s\n%s; last statement: %s",
				t.PID, who, t.Database, HumanDuration(seconds(t.Seconds)), state(t.State), consequence, statement(t.Query)),
			Fix: "let it end, or end it",
			SQL: fmt.Sprintf("select pg_terminate_backend(%d);", t.PID),
		})
	}
	if !in.source.Role.SeesSessions && in.source.Role.Name != "" {
		out = append(out, Finding{
			Severity: Info, On: Source, Object: QuoteIdent(in.source.Role.Name),
			Problem: "role " + ident(in.source.Role.Name) + " does not see how long other roles' transactions are open\nan old one would only be noticed once the slot's creation waits for it",
			Fix:     "let it see them",
			SQL:     "grant pg_read_all_stats to " + QuoteIdent(in.source.Role.Name) + ";",
		})
	}
	return out
}

func state(s string) string {
	if s == "" {
		return "state unknown"
	}
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// statement folds a statement into one line.
func statement(s string) string { return OneLine(strings.Join(strings.Fields(s), " ")) }
