package plan

import (
	"fmt"
	"slices"
	"strings"
)

func checkAlwaysTriggers(in input) []Finding {
	var out []Finding
	leftOut := in.leftOut()
	for _, t := range in.source.Definitions.Switched {
		if leftOut(t.Table) || t.Enabled != "A" && t.Enabled != "R" {
			continue
		}
		state := map[string]string{"A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}[t.Enabled]
		f := Finding{Severity: Info, On: Source, Object: t.Table.String(), Fix: "nothing is to be done"}
		switch t.Kind {
		case "trigger":
			f.Problem = fmt.Sprintf("trigger %s of %s is %s: it fires for replicated rows too, on which the source's own has acted already\npgleap makes it within the switch, when nothing is replicated any more", ident(t.Name), said(t.Table), state)
		case "rule":
			f.Problem = fmt.Sprintf("rule %s of %s is %s\nneither the first copy nor apply looks at rules: it does nothing twice", ident(t.Name), said(t.Table), state)
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// What pgleap itself defines and drops, by the tags that event triggers see.
var (
	sourceTags = strings.Split("CREATE SCHEMA,CREATE TABLE,CREATE FUNCTION,CREATE PUBLICATION,CREATE TRIGGER,DROP PUBLICATION,DROP SCHEMA", ",")
	targetTags = strings.Split("CREATE TRIGGER,COMMENT,ALTER SUBSCRIPTION,DROP SUBSCRIPTION,DROP SCHEMA", ",")
)

func checkEventTriggers(in input) []Finding {
	var out []Finding
	for _, e := range in.source.Definitions.EventTriggers {
		f := Finding{Severity: Info, On: Source, Object: QuoteIdent(e.Name)}
		name := "event trigger " + ident(e.Name)
		meets := func(tags []string) bool {
			return len(e.Tags) == 0 || slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(e.Tags, t) })
		}
		switch {
		case e.Enabled == "D":
			f.Problem, f.Fix = name+" is disabled, and stays so on the target", "nothing is to be done"
		case e.Enabled == "R":
			f.Problem, f.Fix = name+" is ENABLE REPLICA: it fires in sessions that replicate definitions, and pgleap has none", "nothing is to be done"
		case e.Event == "login":
			f.Severity = Warning
			f.Problem = name + " fires at every login, those of pgleap and of replication too\none that refuses them, or is slow, would stop the upgrade; on the target it is made last"
			f.Fix = "let it pass sessions whose application_name begins with pgleap, and those that replicate"
		case meets(sourceTags) || meets(targetTags):
			f.Severity = Warning
			f.Problem = fmt.Sprintf("%s (%s) fires for pgleap's own statements too\nif it refuses them, publishing or the fence fails on the source, or dropping the subscription on the target; if it is slow, writes stand still for longer. On the target it is made last, so it does not fire for the definitions that are loaded", name, e.Event)
			f.Fix = "let its function pass sessions whose application_name begins with pgleap, or disable it on the source until pgleap finalize (it is then disabled on the target too)"
			f.SQL = "alter event trigger " + QuoteIdent(e.Name) + " disable;"
		default:
			f.Problem = fmt.Sprintf("%s fires for none of pgleap's own statements; on the target it is made last, so it does not fire for the definitions that are loaded", name)
			f.Fix = "nothing is to be done"
		}
		out = append(out, f)
		if !in.target.Role.Superuser {
			out = append(out, eventTriggerOwner(in, e))
		}
	}
	return out
}

// eventTriggerOwner: PostgreSQL lets superusers alone make event triggers; some services let others, too.
func eventTriggerOwner(in input, e EventTrigger) Finding {
	return Finding{
		Severity: Warning, On: Target, Object: QuoteIdent(e.Name),
		Problem: fmt.Sprintf("event trigger %s can be made by a superuser only, and role %s is none on the target\nunless the service lets it, the last definitions could not be loaded", ident(e.Name), ident(in.target.Role.Name)),
		Fix:     "connect to the target as a superuser, or drop it on the source and make it again after the switch",
		SQL:     "drop event trigger " + QuoteIdent(e.Name) + "; -- on the source",
	}
}

func checkInvalidObjects(in input) []Finding {
	var out []Finding
	leftOut := in.leftOut()
	for _, o := range in.source.Definitions.Invalid {
		if !leftOut(o.Table) {
			out = append(out, invalidObject(o))
		}
	}
	for _, t := range in.source.Definitions.Switched {
		if leftOut(t.Table) || t.Enabled != "D" {
			continue
		}
		f := Finding{Severity: Info, On: Source, Object: t.Table.String(), Fix: "nothing is to be done"}
		switch t.Kind {
		case "foreign key":
			f.Severity = Warning
			f.Problem = fmt.Sprintf("the triggers of foreign key %s of %s are disabled: the source does not check it\na dump does not carry that: the target makes the key, checks every row, and refuses it if one has no partner; after the switch it is enforced", ident(t.Name), said(t.Table))
			f.Fix = "enable them and look for rows without a partner, or drop the key"
			f.SQL = fmt.Sprintf("alter table %s enable trigger all;", t.Table)
		default:
			f.Problem = fmt.Sprintf("%s %s of %s is disabled, and stays so on the target", t.Kind, ident(t.Name), said(t.Table))
		}
		out = append(out, f)
	}
	return out
}

func invalidObject(o InvalidObject) Finding {
	f := Finding{Severity: Warning, On: Source, Object: o.Table.String()}
	index := Name{o.Table.Schema, o.Name}
	switch {
	case o.Kind == "index" && o.Running:
		f.Problem = fmt.Sprintf("index %s of %s is just being built\nuntil it is valid the dump leaves it out: the target would not have it", ident(o.Name), said(o.Table))
		f.Fix = "wait for its end before pgleap sync"
	case o.Kind == "index":
		f.Problem = fmt.Sprintf("index %s of %s is not valid: a CREATE or REINDEX … CONCURRENTLY has failed, or was ended\na dump leaves it out: the target would not have it", ident(o.Name), said(o.Table))
		if o.Unique {
			f.Problem += ", and nothing there would keep values unique, as nothing here surely does"
		}
		f.Fix = "drop it and build it again, or drop it for good"
		f.SQL = "drop index concurrently " + index.String() + ";"
	default:
		f.Problem = fmt.Sprintf("%s %s of %s was never validated (NOT VALID), and stays so on the target\nrows from before it may break it", o.Kind, ident(o.Name), said(o.Table))
		f.Fix = "validate it, or accept it"
		kind := "table"
		if o.Kind == "domain constraint" {
			kind = "domain"
		}
		f.SQL = fmt.Sprintf("alter %s %s validate constraint %s;", kind, o.Table, QuoteIdent(o.Name))
	}
	return f
}
