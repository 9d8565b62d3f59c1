package schema

import (
	"regexp"
	"slices"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// again ends a hint that mends the target: the steps before this one are recorded and are not repeated. The
// definitions stand in the plan as they were read: anew ends a hint that changes them on the source.
const (
	again = ", then run the same command again"
	anew  = "; then pgleap abort, and pgleap sync with the definitions read anew"
)

const changeOrExclude = "change the definition on the source so that the new version takes it, or leave the object out with --exclude-tables" + anew

// hints say what to do about an SQLSTATE, and about a message where the code alone does not tell.
var hints = []struct {
	code    string
	message *regexp.Regexp
	hint    func(match []string) string
}{
	{pg.CodeUndefined, regexp.MustCompile(`^role "(.*)" does not exist$`), func(m []string) string {
		return "create the role on the target: create role " + plan.QuoteIdent(m[1]) + ";" + again
	}},
	{pg.CodeUndefined, regexp.MustCompile(`^tablespace "(.*)" does not exist$`), func(m []string) string {
		return "create the tablespace on the target: create tablespace " + plan.QuoteIdent(m[1]) + " location '…';" + again
	}},
	{pg.CodeUndefined, regexp.MustCompile(`^type "(.*)" does not exist$`), func(m []string) string {
		return "the new version has no type " + m[1] + ": change the columns to another type on the source" + anew
	}},
	{"0A000", regexp.MustCompile(`^extension "(.*)" is not available$`), func(m []string) string {
		return "install the files of extension " + m[1] + " on the target's machine, or drop the extension on the source" + again
	}},
	{pg.CodeUndefined, regexp.MustCompile(`^language "(.*)" does not exist$`), func(m []string) string {
		return "the target has no language " + m[1] + ": install it there, or move its functions to another language on the source" + again
	}},
	{"42601", regexp.MustCompile(`(?i)with oids|tables declared WITH OIDS`), func([]string) string {
		return "run alter table … set without oids on the source" + anew
	}},
	{pg.CodePrivilege, regexp.MustCompile(`^must be able to SET ROLE "(.*)"|^must be member of role "(.*)"`), func(m []string) string {
		return "on the target: grant " + plan.QuoteIdent(m[1]+m[2]) + " to the role that pgleap connects as" + again
	}},
	{pg.CodePrivilege, nil, func([]string) string {
		return "connect to the target as a role that may do this" + again
	}},
	{"42P01", nil, func([]string) string {
		return "where the relation is part of the upgrade, name its schema in the definition: definitions are loaded with an empty search_path" +
			" (for a function: alter function … set search_path); where it was left out, leave this object out too; change it on the source" + anew
	}},
	{"42883", nil, func([]string) string {
		return "where the function is the user's own, name its schema in the definition, or alter function … set search_path; " +
			"where the new version no longer has it, change the definition on the source" + anew
	}},
	{"53100", nil, func([]string) string { return "make room on the target's disk" + again }},
}

// known are refusals that only a trial load tells of, and their mends.
var known = []struct {
	code    string
	message *regexp.Regexp
	hint    string
}{
	{"42P13", regexp.MustCompile(`Postfix operators are not supported`), "14 has no postfix operators: drop the operator on the source, and write what uses it as a call of its function"},
	{
		"42883", regexp.MustCompile(`^function (array_append|array_prepend|array_cat|array_position|array_positions|array_remove|array_replace|width_bucket)\(`),
		"from 14 on these functions take anycompatible… instead of any…: drop the object on the source, and make it on the target with anycompatible and anycompatiblearray",
	},
	{"42703", nil, "where it is a column of PostgreSQL's own catalogs or statistics, the new version no longer has it: change or drop the view on the source " +
		"(adsrc: pg_get_expr(adbin, adrelid); consrc: pg_get_constraintdef(oid); proisagg: prokind = 'a')"},
	{"0A000", regexp.MustCompile(`^set-returning functions are not allowed in`), "move the set-returning function into a LATERAL item of FROM, on the source"},
	{"42710", regexp.MustCompile(`^cast from type .* already exists`), "the new version has this cast by itself: drop it on the source"},
	{"42704", regexp.MustCompile(`^type "(?:pg_catalog\.)?(abstime|reltime|tinterval)" does not exist`), "12 has no such type: change the column to timestamptz, interval or tstzrange on the source"},
	{
		pg.CodePrivilege, regexp.MustCompile(`^permission denied to create extension|^must be superuser|^permission denied for language|^permission denied to create`),
		"let a superuser of the target make it beforehand in the target's database, or connect to the target as a role that may",
	},
}

// TrialHint says what to do about a refusal of a trial load, after which nothing has begun yet.
func TrialHint(err error) string {
	code, message := pg.Code(err), pg.Message(err)
	for _, k := range known {
		if k.code == code && (k.message == nil || k.message.MatchString(message)) {
			return k.hint
		}
	}
	text := hint(plan.StageSchema, err)
	for _, end := range []string{again, anew} {
		text = strings.TrimSuffix(text, end)
	}
	return text
}

// passing are the classes of errors that may be gone at the next try: connection, transaction rolled back,
// resources, object in use, the operator's intervention, the system.
var passing = []string{"08", "40", "53", "55", "57", "58"}

// hint returns what to do about the server's error, "" where only the error itself can tell.
func hint(stage plan.StageID, err error) string {
	code, message := pg.Code(err), pg.Message(err)
	if code == "" { // the connection, not the definition
		return ""
	}
	message, _, _ = strings.Cut(message, " (") // the detail
	message, _, _ = strings.Cut(message, " hint: ")
	for _, h := range hints {
		if h.code != code {
			continue
		}
		if h.message == nil {
			return h.hint(nil)
		}
		if m := h.message.FindStringSubmatch(message); m != nil {
			return h.hint(m)
		}
	}
	if slices.Contains(passing, code[:2]) {
		return "run the same command again"
	}
	if stage == plan.StageSchema || stage == plan.StageFinish { // elsewhere the statement is ours, not the user's
		return changeOrExclude
	}
	return ""
}
