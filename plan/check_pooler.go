package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Pooler is one of the poolers through which the clients go, as it was found at the gate.
type Pooler struct {
	Node        string // host:port of its admin console
	Database    string // its entry
	Trouble     string // why it cannot be used; the rest is not known then
	SessionMode bool
	Paused      bool
	Moved       bool          // it points at the side that takes over
	PointsAt    string        // host:port/database
	Known       string        // as which we know the side that is left
	Others      []string      // entries that point at the side that is left, too, and are not moved
	InFile      string        // file: host:port/database, where its file says something else; "" where not
	Reads       string        // the file that it says it reads, where that is another one than was named
	GoesTo      string        // host:port/database where it shall point
	Unreached   string        // why that cannot be reached from here; "" where it can, or is not looked at
	WaitTimeout time.Duration // after which a client that waits is failed; 0 never
	Budget      time.Duration // of the switch
}

// CheckPoolers judges them; before are those, host:port, that the last switch of the run was made or tried through.
func CheckPoolers(list []Pooler, before []string) []Finding {
	var out []Finding
	for _, node := range before {
		if len(list) > 0 && !slices.ContainsFunc(list, func(p Pooler) bool { return p.Node == node }) {
			out = append(out, Finding{
				Check: "pooler", Severity: Warning, On: Source, Object: node,
				Problem: fmt.Sprintf("an earlier switch of this run held the clients of PgBouncer %s, and this one does not name it\nits clients would be left behind, at the fence", OneLine(node)),
				Fix:     "name it with --pgbouncer, unless no client goes through it any more",
			})
		}
	}
	for _, p := range list {
		for _, f := range p.findings() {
			f.Check, f.On, f.Object = "pooler", Source, p.Node
			out = append(out, f)
		}
	}
	return out
}

func (p Pooler) findings() []Finding {
	on := fmt.Sprintf("%s on PgBouncer %s", ident(p.Database), OneLine(p.Node))
	if p.Trouble != "" {
		return []Finding{{
			Severity: Blocker, Problem: fmt.Sprintf("PgBouncer %s cannot be used: %s", OneLine(p.Node), p.Trouble),
			Fix: "mend it, or leave it out of --pgbouncer if no client goes through it",
		}}
	}
	var out []Finding
	if p.SessionMode {
		out = append(out, Finding{
			Severity: Blocker, Problem: on + " is in session mode\na client keeps its server connection until it disconnects, and PAUSE would wait for that",
			Fix: "set pool_mode = transaction for it in PgBouncer's file, and RELOAD",
		})
	}
	if p.Paused {
		out = append(out, Finding{
			Severity: Blocker, Problem: on + " is paused: its clients wait already",
			Fix: "see who paused it. pgleap repair, with the same --pgbouncer, lets the clients go on at the right server; by hand, on its admin console", SQL: "resume " + ident(p.Database) + ";",
		})
	}
	switch {
	case p.Moved:
		out = append(out, Finding{
			Severity: Blocker, Problem: fmt.Sprintf("%s points at %s: at the server that is to take over", on, OneLine(p.PointsAt)),
			Fix: "point it at the server that takes the writes now, and RELOAD; pgleap repair does so, with the same --pgbouncer and --pgbouncer-config",
		})
	case p.PointsAt != p.Known:
		out = append(out, Finding{
			Severity: Warning, Problem: fmt.Sprintf("%s points at %s, which pgleap knows as %s", on, OneLine(p.PointsAt), OneLine(p.Known)),
			Fix: "see that both are the same server: clients of another one would be moved, too",
		})
	}
	if p.InFile != "" {
		out = append(out, Finding{
			Severity: Blocker, Problem: fmt.Sprintf("%s points at %s, and its file says something else: %s\nthe file is not the one that it reads, or was changed without a RELOAD", on, OneLine(p.PointsAt), OneLine(p.InFile)),
			Fix: "name the file that PgBouncer reads with --pgbouncer-config (on its admin console: show config, conffile), or put the entry right and RELOAD",
		})
	}
	if p.Reads != "" {
		out = append(out, Finding{
			Severity: Warning, Problem: fmt.Sprintf("PgBouncer %s says that it reads %s, which is here, and is not the file that --pgbouncer-config names\nwhat is changed in a copy does not move its clients: the switch would not be begun", OneLine(p.Node), OneLine(p.Reads)),
			Fix: "name that file with --pgbouncer-config, unless this PgBouncer runs on another machine",
		})
	}
	if len(p.Others) > 0 {
		var names []string
		for _, o := range p.Others {
			names = append(names, ident(o))
		}
		out = append(out, Finding{
			Severity: Warning, Problem: fmt.Sprintf("PgBouncer %s has other entries that point at the server that is left, and are not moved: %s\nnobody holds their clients: their writes wait for the fence, and then meet SQLSTATE 25006", OneLine(p.Node), strings.Join(names, ", ")),
			Fix: fmt.Sprintf("let their clients use %s (--pgbouncer-database names the one that is moved), or point these entries elsewhere behind the switch: by hand, or by --on-after-release", ident(p.Database)),
		})
	}
	if p.Unreached != "" {
		out = append(out, Finding{
			Severity: Warning, Problem: fmt.Sprintf("%s is to be pointed at %s (--target-from-pgbouncer), which cannot be reached from here: %s\nif PgBouncer cannot reach it either, no client gets through behind the switch", on, OneLine(p.GoesTo), OneLine(p.Unreached)),
			Fix: "see on PgBouncer's machine that it can be reached from there, or correct --target-from-pgbouncer",
		})
	}
	if p.WaitTimeout > 0 && p.WaitTimeout <= p.Budget {
		out = append(out, Finding{
			Severity: Blocker, Problem: fmt.Sprintf("%s fails a client that has waited for %s, and the switch may take %s", on, HumanDuration(p.WaitTimeout), HumanDuration(p.Budget)),
			Fix: "raise query_wait_timeout, or lower --max-write-stall",
		})
	}
	return out
}
