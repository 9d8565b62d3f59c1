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
		if identityServes(r) {
			continue
		}
		if repair, ok := identityRepairOf(in, r); ok {
			out = append(out, repairedIdentity(in, r, repair))
			continue
		}
		f := Finding{Severity: Blocker, On: Source, Object: r.Name.String(), Problem: identityProblem(in, r)}
		f.Fix, f.SQL = identityFix(in, r)
		if f.SQL != "" {
			f.Fix += "; pgleap sync --set-replica-identity does it, and puts it back"
		}
		f.Fix = copyInstead(in, r) + strings.TrimPrefix(f.Fix, "or ")
		out = append(out, f)
	}
	return append(out, copiedTables(in)...)
}

// repairedIdentity says what --set-replica-identity will do, and what that costs.
func repairedIdentity(in input, r Relation, repair IdentityRepair) Finding {
	f := Finding{
		Severity: Info, On: Source, Object: r.Name.String(),
		Problem: fmt.Sprintf("%s has no usable replica identity\npgleap gives it replica identity %s before it is published, and puts replica identity %s back at finalize and abort", said(r.Name), OneLine(repair.is), OneLine(repair.was)),
	}
	if repair.Full() {
		f.Severity, f.Fix = Warning, "accept it where UPDATEs and DELETEs are few, or add a primary key"
		f.Problem += "; " + fullCost(in, r)
	}
	return f
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
	case !fullServes(in.source.Version, r):
		return "add a primary key or a unique index over NOT NULL columns that are not generated", ""
	}
	return "add a primary key; with full " + fullCost(in, r), alter + "full;"
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
		if in.options.SetReplicaIdentity && in.resumed() && len(r.NoEquality) == 0 {
			continue // our own; it was told when it was planned
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
