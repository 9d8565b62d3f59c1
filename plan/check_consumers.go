package plan

import (
	"fmt"
	"slices"
	"strings"
)

func checkForeignSlots(in input) []Finding {
	var out []Finding
	physical := 0
	for _, s := range in.source.Cluster.Slots {
		if s.Plugin == "" {
			physical++
			continue
		}
		state := "nobody reads it at the moment"
		if s.Active {
			state = "it is being read"
		}
		out = append(out, Finding{
			Severity: Warning, On: Source, Object: "slot " + s.Name,
			Problem: fmt.Sprintf("slot %s (%s) belongs to somebody else; %s\nit does not move: after the switch its reader gets nothing more", s.Name, s.Plugin, state),
			Fix: "decide with its owner: after the switch read it to its end on the old server, then begin anew with a slot on the new one, made before the applications write there; or, " +
				fmt.Sprintf("when nobody needs it any more: select pg_drop_replication_slot(%s);", QuoteLiteral(s.Name)),
		})
	}
	for _, side := range []Facts{in.source, in.target} {
		for _, name := range side.Cluster.Subscriptions {
			out = append(out, foreignSubscription(side.Side, name))
		}
	}
	if n := max(physical, in.source.Cluster.Standbys); n > 0 {
		out = append(out, Finding{
			Severity: Info, On: Source,
			Problem: fmt.Sprintf("the source has %s\nthey go on following the old server, not the new one", plural(n, "physical standby or slot")),
			Fix:     "build the standbys of the target before the switch; the old ones serve the way back",
		})
	}
	return out
}

func foreignSubscription(on Side, name string) Finding {
	f := Finding{
		Severity: Warning, On: on, Object: "subscription " + name,
		Problem: fmt.Sprintf("subscription %s brings rows of another server into this database\nit is not carried over: the fence stops it, and after the switch its rows still go to the old server", OneLine(name)),
		Fix:     "let it catch up and disable it right before the switch, then make it on the target with create_slot = false, copy_data = false and the same slot",
	}
	if on == Target {
		f.Problem = fmt.Sprintf("subscription %s brings rows of another server into the target's database\nthey would mix with those of the upgrade", OneLine(name))
		f.Fix = "disable it until the switch is done"
		f.SQL = "alter subscription " + QuoteIdent(name) + " disable;"
	}
	return f
}

// checkPublications: to make them on the target is left to those who read them, whose slots begin anew anyway.
func checkPublications(in input) []Finding {
	pgoutput := slices.ContainsFunc(in.source.Cluster.Slots, func(s Slot) bool { return s.Plugin == "pgoutput" })
	var out []Finding
	for _, p := range in.source.Cluster.Publications {
		f := Finding{
			Severity: Info, On: Source, Object: "publication " + p.Name,
			Problem: fmt.Sprintf("publication %s of %s is not carried over\nwho subscribes to it gets nothing from the new server", OneLine(p.Name), plural(p.Tables, "table")),
			Fix:     "make it on the target when the switch is done, if somebody still needs it; pg_dump --schema-only --section=post-data of the source writes its definition",
		}
		if len(in.source.Cluster.Slots) > 0 {
			f.Severity = Warning
		}
		if p.AllTables {
			f.Problem = fmt.Sprintf("publication %s FOR ALL TABLES is not carried over\nwho subscribes to it gets nothing from the new server", OneLine(p.Name))
			f.SQL = "create publication " + QuoteIdent(p.Name) + " for all tables;"
		}
		if p.AllTables && pgoutput {
			f.Problem += ", and meets pgleap's marker table at once: a PostgreSQL that subscribes STOPS with \"logical replication target relation \"pgleap.marker\" does not exist\""
			f.Fix = "make that table on every PostgreSQL that subscribes before pgleap sync, and drop it afterwards"
			f.SQL = "create schema pgleap;"
			for n := range in.lanes() {
				f.SQL += " create table " + markerOf(n+1) + " (id bigint not null, run text not null, at timestamptz not null);"
			}
		}
		out = append(out, f)
	}
	return out
}

// named lists the first of many names.
func named(list []string) string {
	const most = 20
	shown := make([]string, 0, most)
	for _, n := range list[:min(len(list), most)] {
		shown = append(shown, OneLine(n))
	}
	text := strings.Join(shown, ", ")
	if len(list) > most {
		text += fmt.Sprintf(" and %d more", len(list)-most)
	}
	return text
}

func checkOtherDatabases(in input) []Finding {
	others := in.source.Cluster.Databases
	if len(others) == 0 {
		return nil
	}
	it := "stays on the old server"
	if len(others) > 1 {
		it = "stay on the old server"
	}
	return []Finding{{
		Severity: Warning, On: Source,
		Problem: fmt.Sprintf("the source's cluster has %s besides %s: %s\nthis run does not move what is in there: it %s",
			plural(len(others), "database"), OneLine(in.source.Database), named(others), it),
		Fix: "move each with a run of its own before the old server is switched off, or be sure that nobody needs it",
	}}
}
