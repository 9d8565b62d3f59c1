package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgleap/internal/pgver"
)

func checkReplicaIdentity(in input) []Finding {
	var out []Finding
	for _, r := range in.selection.Published {
		if r.IdentityUsable && len(r.IdentityGenerated) == 0 {
			continue
		}
		f := Finding{Severity: Blocker, On: Source, Object: r.Name.String(), Problem: identityProblem(in, r)}
		f.Fix, f.SQL = identityFix(in, r)
		f.Fix = copyInstead(in, r) + f.Fix
		out = append(out, f)
	}
	return append(out, copiedTables(in)...)
}

// identityProblem says why the table's identity does not serve, and what would happen.
func identityProblem(in input, r Relation) string {
	if len(r.IdentityGenerated) > 0 {
		consequence := "generated columns are not replicated, so the target could not find the row of an UPDATE or DELETE"
		if in.source.Version.Has(pgver.GeneratedIdentity) {
			consequence = "with a publication its UPDATEs and DELETEs would FAIL on the source"
		}
		return fmt.Sprintf("the replica identity of %s has a generated column (%s)\n%s", said(r.Name), strings.Join(r.IdentityGenerated, ", "), consequence)
	}
	why := "no primary key and no replica identity"
	switch {
	case r.Identity == "n":
		why = "replica identity nothing"
	case r.Identity == "i":
		why = "a replica identity by an index that is gone or invalid"
	case r.DeferrableKey:
		why = "a deferrable primary key, which cannot identify its rows, and no replica identity"
	}
	text := fmt.Sprintf("%s has %s\nwith a publication its UPDATEs and DELETEs would FAIL on the source", said(r.Name), why)
	if !in.source.Version.Has(pgver.PublishPartitioned) {
		text += ", and the update of INSERT … ON CONFLICT would be lost in silence"
	}
	return text
}

// identityFix proposes the cheapest identity: an index that is there, else the whole row with its price.
func identityFix(in input, r Relation) (fix, sql string) {
	alter := "alter table " + r.Name.String() + " replica identity "
	switch {
	case r.PrimaryKey != "" && r.PrimaryKey == r.IdentityCandidate:
		return "let the primary key identify its rows", alter + "default;"
	case r.IdentityCandidate != "":
		return "let the unique index " + QuoteIdent(r.IdentityCandidate) + " identify its rows", alter + "using index " + QuoteIdent(r.IdentityCandidate) + ";"
	case len(r.NoEquality) > 0:
		return fmt.Sprintf("add a primary key: replica identity full cannot work, because columns (%s) have a type without equality; or leave the table out with --exclude-tables",
			strings.Join(r.NoEquality, ", ")), ""
	case !fullServes(r, in.source.Version):
		return "add a primary key or a unique index over NOT NULL columns that are not generated", ""
	}
	return "or add a primary key: with full " + fullCost(in, r), alter + "full;"
}

func anyGenerated(r Relation) bool {
	return slices.ContainsFunc(r.Columns, func(c Column) bool { return c.Generated != "" })
}

// fullCost says what REPLICA IDENTITY FULL costs on this target.
func fullCost(in input, r Relation) string {
	rows := "the whole table"
	if r.Rows > 0 {
		rows = "about " + thousands(r.Rows) + " rows"
	}
	if in.target.Version.Has(pgver.IndexForIdentityFull) {
		return "each UPDATE and DELETE reads " + rows + " on the target, unless a btree index of the table helps"
	}
	return "each UPDATE and DELETE reads " + rows + " on the target (indexes help from PostgreSQL 16 on only)"
}

// thousands writes 500000 as 500,000.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func checkIdentityFull(in input) []Finding {
	var out []Finding
	for _, r := range in.selection.Published {
		// with a primary key the target finds the row by it, and compares nothing else
		if r.Identity != "f" || r.PrimaryKey != "" || !r.IdentityUsable {
			continue
		}
		f := Finding{Severity: Warning, On: Source, Object: r.Name.String()}
		if len(r.NoEquality) > 0 {
			f.Severity = Blocker
			f.Problem = fmt.Sprintf("%s has replica identity full, and columns whose type has no equality (%s)\nthe target could not find the row of an UPDATE or DELETE, and replication would stop",
				said(r.Name), strings.Join(r.NoEquality, ", "))
		} else {
			f.Problem = fmt.Sprintf("%s has replica identity full\n%s", said(r.Name), fullCost(in, r))
		}
		f.Fix = "add a primary key, or leave the table out with --exclude-tables"
		switch {
		case r.IdentityCandidate != "":
			f.Fix = "let the unique index " + QuoteIdent(r.IdentityCandidate) + " identify its rows"
			f.SQL = "alter table " + r.Name.String() + " replica identity using index " + QuoteIdent(r.IdentityCandidate) + ";"
		case f.Severity == Warning:
			f.Fix = "add a primary key, or accept it where UPDATEs and DELETEs are few"
		}
		out = append(out, f)
	}
	return out
}

func checkForeignTables(in input) []Finding {
	var out []Finding
	leftOut := in.leftOut()
	for _, r := range in.source.Relations {
		if r.Kind != "f" || r.Extension != "" || leftOut(r.Name) {
			continue
		}
		out = append(out, Finding{
			Severity: Info, On: Source, Object: r.Name.String(),
			Problem: said(r.Name) + " is a foreign table: its definition moves, its rows stay where they are",
			Fix:     "see that the new server can reach the remote one too",
		})
	}
	return out
}

func checkWithOIDs(in input) []Finding {
	var out []Finding
	for _, r := range in.selection.Fenced() {
		if r.WithOIDs {
			out = append(out, Finding{
				Severity: Blocker, On: Source, Object: r.Name.String(),
				Problem: said(r.Name) + " is made WITH OIDS\nfrom 12 on there is no such column, its values would be lost",
				Fix:     "keep the values in a column of their own if something uses them, then drop the hidden one (this rewrites the table)",
				SQL:     "alter table " + r.Name.String() + " set without oids;",
			})
		}
	}
	return out
}

func checkExtensions(in input) []Finding {
	var out []Finding
	for _, e := range in.source.Extensions {
		versions, ok := in.target.Available[e.Name]
		newest := ""
		for _, v := range versions {
			if newest == "" || compareVersions(v, newest) > 0 {
				newest = v
			}
		}
		switch {
		case !ok:
			out = append(out, Finding{
				Severity: Blocker, On: Target, Object: e.Name,
				Problem: fmt.Sprintf("extension %s %s is not available on the target\neverything that uses it could not be made", e.Name, e.Version),
				Fix:     fmt.Sprintf("install its package for PostgreSQL %d on the target's machine, or drop it on the source if nothing uses it", in.target.Version.Major()),
			})
		case compareVersions(newest, e.Version) < 0:
			out = append(out, Finding{
				Severity: Warning, On: Target, Object: e.Name,
				Problem: fmt.Sprintf("extension %s is %s on the source, and the target has %s at most\nwhat came later is missing there", e.Name, e.Version, newest),
				Fix:     "install a newer package on the target's machine",
			})
		}
	}
	return append(out, installedExtensions(in)...)
}

// installedExtensions looks at those that the target's database has already: from its template, or from a
// managed service.
func installedExtensions(in input) []Finding {
	var out []Finding
	for _, t := range in.target.Extensions {
		for _, s := range in.source.Extensions {
			if s.Name == t.Name && s.Schema != t.Schema {
				out = append(out, Finding{
					Severity: Warning, On: Target, Object: t.Name,
					Problem: fmt.Sprintf("extension %s is in schema %s on the source and in schema %s on the target\nnames that say the schema would not be found", t.Name, s.Schema, t.Schema),
					Fix:     "drop it on the target: the upgrade makes it again",
					SQL:     "drop extension " + QuoteIdent(t.Name) + ";",
				})
			}
		}
	}
	return out
}

func checkExtensionData(in input) []Finding {
	var out []Finding
	for _, t := range in.source.ExtensionData {
		f := Finding{Severity: Warning, On: Source, Object: t.Name.String()}
		if t.Config {
			f.Problem = fmt.Sprintf("%s of extension %s holds rows of yours\ntables of extensions are not replicated: CREATE EXTENSION makes it without these rows, they would be MISSING on the target", said(t.Name), ident(t.Extension))
			f.Fix = `copy them by hand (\copy in psql) once pgleap sync has made the extension on the target, and again what has changed until the switch: the table is not fenced`
		} else {
			f.Problem = fmt.Sprintf("%s was added to extension %s and holds rows\ntables of extensions are neither dumped nor replicated: unless CREATE EXTENSION makes it and its rows, both would be MISSING on the target", said(t.Name), ident(t.Extension))
			f.Fix = "take it out of the extension, then it moves like any other table; leave it only where the extension's own script fills it"
			f.SQL = "alter extension " + QuoteIdent(t.Extension) + " drop table " + t.Name.String() + ";"
		}
		out = append(out, f)
	}
	return out
}

// compareVersions orders 1.9 before 1.10; runs of digits count as numbers.
func compareVersions(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	}
	return slices.CompareFunc(split(a), split(b), func(x, y string) int {
		m, err1 := strconv.Atoi(x)
		n, err2 := strconv.Atoi(y)
		if err1 == nil && err2 == nil {
			return m - n
		}
		return strings.Compare(x, y)
	})
}
