package plan

import (
	"fmt"
	"strings"
	"time"
)

// gateChecks are made while a run is under way: by pgleap status (S), and by each cutover before anybody has to
// wait (C). The rules that judge GateFacts stand below; the others are made where their facts are.
var gateChecks = []check{
	{CheckInfo{"apply-alive", "The subscription applies what arrives", Blocker, "SC", "A subscription that is disabled, whose worker fails again and again, or whose slot is idle or lost would never drain.", "The finding names the cause; after the mend apply goes on by itself."}, nil},
	{CheckInfo{"all-ready", "Every table is copied and follows", Blocker, "C", "A table whose first copy has not ended lacks rows.", "Wait for pgleap sync."}, nil},
	{CheckInfo{"lag", "The target is near, and a marker arrives in time", Blocker, "C", "What is not applied when writes stop has to be drained within the budget. A marker is sent through before the switch, and its way is timed.", "Wait; raise --max-write-stall; end what holds apply up."}, nil},
	{CheckInfo{"apply-keeps-up", "Apply is not slower than the source writes", Warning, "S", "A lag that grows never reaches zero, and the slot keeps more and more WAL.", "See what slows the target: its disk, a missing key (REPLICA IDENTITY FULL), locks."}, nil},
	{CheckInfo{"target-writes", "Nobody else writes to the target", Blocker, "C", "A row that somebody else writes collides with the one that arrives, or is one too many.", "End the session that is named, and keep clients away until the release."}, nil},
	{CheckInfo{"statistics", "The target's tables are analyzed", Blocker, "C", "Without statistics the planner guesses: it has cost others hours of outage after a switch.", "analyze the tables that are named."}, nil},
	{CheckInfo{"indexes-valid", "Every index that is valid on the source is valid on the target", Blocker, "C", "An invalid index is not used, and one of a constraint does not guard.", "reindex it."}, nil},
	{CheckInfo{"sequences-behind", "No column is ahead of its sequence", Warning, "C", "Positions are carried over exactly: where rows were written with values of their own beyond the sequence, the next value collides on the new server as it would on the old one.", "Set the sequence on the source, before the switch."}, nil},
	{CheckInfo{"direct-clients", "Who is connected to the old server", Warning, "C", "Clients that stay on the old server, or go past its poolers, meet the fence's error (SQLSTATE 25006) with their next write.", "Point them at the new server at the switch."}, nil},
	{CheckInfo{"pooler", "Every pooler can be reached, paused and pointed elsewhere", Blocker, "C", "The clients are held by all poolers or by none: one that is out of reach, in session mode, paused or pointed elsewhere would let clients through, or never let them go on.", "Mend what the finding names, on the pooler's admin console or in its file."}, nil},
	{CheckInfo{"fence-proof", "Nobody can write past the fence", Blocker, "CA", "The fence is a trigger: a session that writes as a replica does not meet it, nor does one where somebody has switched it off. Behind the fence a write is tried as each role, and the old server's WAL is read for what was written all the same.", "Reset session_replication_role, enable the trigger."}, nil},
	{CheckInfo{"check-age", "The last full check is younger than an hour", Blocker, "C", "What was right last week may be wrong tonight: a cutover makes every check again when the last time is longer ago.", "Mend what the check says."}, nil},
	{CheckInfo{"drift", "The definitions are what was planned", Blocker, "SC", "A table, column, index, grant or sequence that came, went or changed since the plan would be missing or wrong on the new server.", "Make the same change on the other side, or begin anew: pgleap abort, then pgleap sync."}, nil},
}

// MaxCheckAge is how old the last full check may be when a cutover begins.
const MaxCheckAge = time.Hour

// GateFacts are read at the gate of a cutover.
type GateFacts struct {
	Writers        []Transaction // of others, open on the target's database
	NotAnalyzed    []Name        // tables of the target that hold rows and have no statistics
	InvalidIndexes []Name        // invalid on the target, and valid on the source
	Behind         []SequenceBehind
	Clients        []Clients // sessions on the source's database, without those of poolers
	Pooled         bool      // clients go through poolers, which hold them

	// What the fence would let pass.
	Replicas  []SetReplica // settings session_replication_role = replica
	FenceOff  []Name       // tables whose fence trigger is there, and switched off
	Unguarded int          // tables that should bear the guard's trigger, and do not
}

// SetReplica is a role or a database whose sessions write as a replica. An empty name stands for all.
type SetReplica struct{ Role, Database string }

// alter is the statement that ends it.
func (s SetReplica) alter() string {
	const reset = " reset session_replication_role;"
	switch {
	case s.Role == "" && s.Database == "":
		return "alter role all" + reset
	case s.Role == "":
		return "alter database " + QuoteIdent(s.Database) + reset
	case s.Database == "":
		return "alter role " + QuoteIdent(s.Role) + reset
	}
	return "alter role " + QuoteIdent(s.Role) + " in database " + QuoteIdent(s.Database) + reset
}

// Sessions says whose sessions are meant.
func (s SetReplica) Sessions() string {
	switch {
	case s.Role == "" && s.Database == "":
		return "every session"
	case s.Role == "":
		return "every session on database " + ident(s.Database)
	case s.Database == "":
		return "every session of " + ident(s.Role)
	}
	return "every session of " + ident(s.Role) + " on database " + ident(s.Database)
}

// pastTheFence judges what the fence would let pass.
func pastTheFence(g GateFacts) []Finding {
	var out []Finding
	for _, s := range g.Replicas {
		out = append(out, Finding{
			Check: "fence-proof", Severity: Blocker, On: Source, Object: s.Role + "@" + s.Database,
			Problem: fmt.Sprintf("%s writes as a replica (session_replication_role = replica is set)\nno trigger of the fence fires for it: after the switch its rows would stay on the old server alone", s.Sessions()),
			Fix:     "reset it on the source, and let the sessions that have it end", SQL: s.alter(),
		})
	}
	for _, t := range g.FenceOff {
		out = append(out, Finding{
			Check: "fence-proof", Severity: Blocker, On: Source, Object: t.String(),
			Problem: fmt.Sprintf("the fence's trigger on %s is switched off\nafter the switch rows could be written there that stay on the old server alone", said(t)),
			Fix:     "enable it on the source", SQL: "alter table " + t.String() + " enable trigger " + FenceTrigger + ";",
		})
	}
	if g.Unguarded > 0 {
		out = append(out, Finding{
			Check: "fence-proof", Severity: Blocker, On: Source,
			Problem: fmt.Sprintf("%s of the run do not bear the guard's trigger any more\nsomebody dropped it: after the switch rows could be written there that stay on the old server alone", plural(g.Unguarded, "table")),
			Fix:     "begin anew: pgleap abort, then pgleap sync",
		})
	}
	return out
}

// SequenceBehind is a column whose values are beyond the sequence that feeds it.
type SequenceBehind struct {
	Sequence, Table Name
	Column          string
	Last, Found     int64 // the sequence's position, and the outermost value of the column
}

// Clients are the sessions of one user, application and address.
type Clients struct {
	User        string `json:"user"`
	Application string `json:"application"`
	Address     string `json:"address"` // "" is a local socket
	Sessions    int    `json:"sessions"`
}

// CheckGate judges what was read at the gate.
func CheckGate(g GateFacts) []Finding {
	var out []Finding
	for _, t := range g.Writers {
		out = append(out, Finding{
			Check: "target-writes", Severity: Blocker, On: Target, Object: fmt.Sprintf("pid %d", t.PID),
			Problem: fmt.Sprintf("pid %d of %s (%s) writes to the target's database; last statement: %s\nits rows are not the source's: they collide with those that arrive, or stay", t.PID, ident(t.User), OneLine(t.Application), statement(t.Query)),
			Fix:     "find out what it wrote, take that back, and keep clients away from the target until the release", SQL: fmt.Sprintf("select pg_terminate_backend(%d);", t.PID),
		})
	}
	if n := len(g.NotAnalyzed); n > 0 {
		var sql strings.Builder
		for _, t := range g.NotAnalyzed {
			fmt.Fprintf(&sql, "analyze %s; ", t)
		}
		out = append(out, Finding{
			Check: "statistics", Severity: Blocker, On: Target, Object: g.NotAnalyzed[0].String(),
			Problem: fmt.Sprintf("%s, the first is %s, have no statistics on the target\nthe planner would guess, for hours of slow queries after the switch", plural(n, "table"), said(g.NotAnalyzed[0])),
			Fix:     "analyze them on the target", SQL: strings.TrimSpace(sql.String()),
		})
	}
	for _, i := range g.InvalidIndexes {
		out = append(out, Finding{
			Check: "indexes-valid", Severity: Blocker, On: Target, Object: i.String(),
			Problem: fmt.Sprintf("index %s is invalid on the target and valid on the source\nqueries would not use it, and a constraint on it would not hold", said(i)),
			Fix:     "build it again on the target", SQL: "reindex index " + i.String() + ";",
		})
	}
	for _, b := range g.Behind {
		out = append(out, Finding{
			Check: "sequences-behind", Severity: Warning, On: Source, Object: b.Sequence.String(),
			Problem: fmt.Sprintf("sequence %s stands at %d, and column %s of %s holds %d\nthe next values collide, on the new server as on the old one", said(b.Sequence), b.Last, ident(b.Column), said(b.Table), b.Found),
			Fix:     "set it on the source", SQL: fmt.Sprintf("select setval(%s, %d);", QuoteLiteral(b.Sequence.String()), b.Found),
		})
	}
	out = append(out, pastTheFence(g)...)
	for _, c := range g.Clients {
		from := c.Address
		if from == "" {
			from = "a local socket"
		}
		f := Finding{
			Check: "direct-clients", Severity: Warning, On: Source, Object: ident(c.User),
			Problem: fmt.Sprintf("%s of %s (%s) from %s on the old server\nafter the switch their writes meet SQLSTATE 25006 until they go to the new server", plural(c.Sessions, "session"), ident(c.User), OneLine(c.Application), OneLine(from)),
			Fix:     "point them at the new server at the switch",
		}
		if g.Pooled {
			f.Problem = fmt.Sprintf("%s of %s (%s) from %s on the old server, past the poolers\nthe poolers do not hold them: their writes wait for the fence, and then meet SQLSTATE 25006", plural(c.Sessions, "session"), ident(c.User), OneLine(c.Application), OneLine(from))
			f.Fix = "let them go through a pooler that --pgbouncer names, or end them before the switch"
		}
		out = append(out, f)
	}
	return out
}
