package plan

import (
	"fmt"
	"slices"

	"pgleap/internal/pgver"
)

// newerValue is a value of a type that servers take from a certain major on.
type newerValue struct {
	typeName string
	from     int // the first major that has it
	value    string
	then     string // what the older server does
}

const stopsFollowing = "the first one that is written stops the way back"

// newerValues were tried: each written on the newest major, and read by the newest that does not have it.
var newerValues = []newerValue{
	{"numeric", 14, "Infinity and -Infinity", stopsFollowing},
	{"interval", 17, "infinity and -infinity", stopsFollowing},
	{"jsonpath", 13, "the method datetime()", stopsFollowing},
	{"jsonpath", 17, "the methods bigint(), boolean(), date(), decimal(), integer(), number(), string(), time(), time_tz(), timestamp() and timestamp_tz()", stopsFollowing},
	{"aclitem", 17, "the privilege MAINTAIN", stopsFollowing},
	{`"char"`, 15, "bytes above 127 in another text form", "the older server reads that form as a backslash, and says nothing"},
}

func checkReverseValues(in input) []Finding {
	if in.options.NoWayBack || in.target.Version.Major() <= in.source.Version.Major() && !in.options.SameMajor {
		return nil
	}
	return slices.Concat(typedValues(in), newLabels(in), newPartitions(in), noTruncate(in), convertedText(in))
}

// typedValues: only where a column can hold such a value.
func typedValues(in input) []Finding {
	s, t := in.source.Version.Major(), in.target.Version.Major()
	var out []Finding
	for _, v := range newerValues {
		columns := in.columnsOf(func(u TypeUse) bool { return !u.Enum && u.Type == v.typeName })
		if s >= v.from || t < v.from || len(columns) == 0 {
			continue
		}
		out = append(out, Finding{
			Severity: Info, On: Source, Object: columns[0],
			Problem: fmt.Sprintf("PostgreSQL %d knows values of %s that %d does not: %s. They can stand in %s\n%s", t, v.typeName, s, v.value, named(columns), v.then),
			Fix:     "nothing is to be done where the application does not write such values; pgleap status says when the old server stops following",
		})
	}
	return out
}

// columnsOf names the columns of published tables that match.
func (in input) columnsOf(match func(TypeUse) bool) []string {
	published := in.published()
	var out []string
	for _, u := range in.source.Definitions.TypeUses {
		if column := u.Table.String() + "." + QuoteIdent(u.Column); match(u) && published[u.Table] && !slices.Contains(out, column) {
			out = append(out, column)
		}
	}
	return out
}

func (in input) published() map[Name]bool {
	published := map[Name]bool{}
	for _, r := range in.selection.Published {
		published[r.Name] = true
	}
	return published
}

func newLabels(in input) []Finding {
	columns := in.columnsOf(func(u TypeUse) bool { return u.Enum })
	if len(columns) == 0 {
		return nil
	}
	return []Finding{{
		Severity: Info, On: Source, Object: columns[0],
		Problem: fmt.Sprintf("a label that is added to an enum on the new server is not on the old one: a row that uses it in %s stops the way back", named(columns)),
		Fix:     "add labels on the old server first (alter type … add value), then on the new one",
	}}
}

func newPartitions(in input) []Finding {
	var roots []string
	for _, r := range in.selection.Roots {
		if !r.Partition {
			roots = append(roots, r.Name.String())
		}
	}
	if len(roots) == 0 {
		return nil
	}
	return []Finding{{
		Severity: Info, On: Source, Object: roots[0],
		Problem: fmt.Sprintf("a partition that is made on the new server after the switch is not on the old one, and its rows do not come back: pgleap rollback is then refused (%s)", named(roots)),
		Fix:     "make the partitions that will be needed before pgleap sync, as many as the way back is to stay open for",
	}}
}

// noTruncate: a subscriber of version 10 does not know the message; nobody sends it there.
func noTruncate(in input) []Finding {
	if in.source.Version.Has(pgver.PublishTruncate) || !in.target.Version.Has(pgver.PublishTruncate) {
		return nil
	}
	return []Finding{{
		Severity: Warning, On: Source, Object: "truncate",
		Problem: fmt.Sprintf("PostgreSQL %d does not take TRUNCATE through replication: a table that is truncated on the new server keeps its rows on the old one\npgleap rollback is refused once a table of the new server has another file than at the switch; VACUUM FULL, CLUSTER and a rewriting ALTER TABLE give it one too", in.source.Version.Major()),
		Fix:     "use DELETE instead as long as the way back is wanted",
	}}
}

func convertedText(in input) []Finding {
	s, t := in.source.Encoding, in.target.Encoding
	if s == t || s == "" || t == "" || s == "SQL_ASCII" {
		return nil
	}
	return []Finding{{
		Severity: Warning, On: Source, Object: s,
		Problem: fmt.Sprintf("the old server's database is in %s, the new one's in %s: the first character that is written there and has no place in %s stops the way back", s, t, s),
		Fix:     "make the target's database with the source's encoding",
	}}
}
