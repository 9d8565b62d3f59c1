package plan

import (
	"fmt"
	"slices"
	"strconv"
)

// CheckInfo describes a check to people.
type CheckInfo struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"` // the worst it can say
	Why      string   `json:"why"`
}

// check is one judgement: a pure function of what was read.
type check struct {
	CheckInfo
	run func(input) []Finding
}

// input is what every check sees.
type input struct {
	source, target Facts
	options        Options
	selection      Selection
	selectionError error
}

// checks is every check there is, in the order in which an operator would look.
var checks = []check{
	{CheckInfo{"direction", "The target is a newer major than the source", Blocker, "An older server cannot load what a newer one dumps. Swapped addresses are the most dangerous mistake there is."}, checkDirection},
	{CheckInfo{"same-cluster", "Source and target are different servers", Blocker, "A subscription to its own server waits for itself for ever."}, checkSameCluster},
	{CheckInfo{"recovery", "Neither server is a standby", Blocker, "A standby can neither be fenced nor written to."}, checkRecovery},
	{CheckInfo{"wal-level", "The source writes logical WAL", Blocker, "Without wal_level = logical there is no logical replication slot. Changing it needs a restart."}, checkWALLevel},
	{CheckInfo{"slot-headroom", "The source has free replication slots and walsenders", Blocker, "The subscription takes one of each, and every table that is being copied one more. Without them the copy retries for ever, in silence."}, checkSlotHeadroom},
	{CheckInfo{"worker-headroom", "The target has free workers and origins", Blocker, "Without a worker a table is never copied; only the target's log tells."}, checkWorkerHeadroom},
	{CheckInfo{"privileges", "The roles may do what the upgrade needs", Blocker, "A missing privilege would stop the upgrade half way."}, checkPrivileges},
	{CheckInfo{"target-reaches-source", "The target can connect to the source", Blocker, "The subscription connects from the target's machine: its network, its DNS, its line in pg_hba.conf."}, checkReach},
	{CheckInfo{"pg-dump", "A pg_dump that can read the source is at hand", Blocker, "Definitions travel through pg_dump, which refuses servers newer than itself."}, checkPgDump},
	{CheckInfo{"target-empty", "The target database is empty", Blocker, "Rows and objects that are there already collide with those that arrive."}, checkTargetEmpty},
	{CheckInfo{"target-read-only", "The target takes writes", Warning, "A database that is set read-only replicates, and then refuses the applications."}, checkTargetReadOnly},
	{CheckInfo{"leftovers", "Nothing is left of another run", Blocker, "A slot that nobody reads keeps WAL until the disk is full; a fence that stayed refuses writes."}, checkLeftovers},
	{CheckInfo{"encoding", "Both databases have the same encoding", Blocker, "Text that has no place in the target's encoding stops the copy."}, checkEncoding},
	{CheckInfo{"locks", "The lock table of the source has room for the fence", Blocker, "The switch locks every table in one transaction."}, checkLocks},
	{CheckInfo{"prepared-transactions", "No transaction is prepared", Blocker, "The slot's creation waits for every prepared transaction of the server, and so does the fence."}, checkPrepared},
	{CheckInfo{"long-transactions", "No transaction is open for long", Warning, "The slot's creation waits for every open transaction that has written, in any database."}, checkTransactions},
	{CheckInfo{"selection", "The selection can stand alone", Blocker, "A tree of tables cannot be torn apart, and a view needs its tables."}, checkSelection},
	{CheckInfo{"selection-fks", "No foreign key leaves the selection", Blocker, "A foreign key to a table that is left out cannot be made on the target."}, checkSelectionFKs},
	{CheckInfo{"replica-identity", "Every table can publish its updates and deletes", Blocker, "As soon as a table without replica identity is published, its UPDATEs and DELETEs fail on the source."}, checkReplicaIdentity},
	{CheckInfo{"identity-full", "REPLICA IDENTITY FULL is affordable", Blocker, "The target searches the whole row; it needs an equality for each column, and without a fitting index it reads the whole table for each change."}, checkIdentityFull},
	{CheckInfo{"large-objects", "There are no large objects", Blocker, "Logical replication does not carry large objects."}, checkLargeObjects},
	{CheckInfo{"unlogged-tables", "There are no unlogged tables", Warning, "Changes of an unlogged table are not in the WAL, so they cannot be replicated."}, checkUnlogged},
	{CheckInfo{"foreign-tables", "There are no foreign tables", Info, "Their rows are elsewhere: only the definition moves."}, checkForeignTables},
	{CheckInfo{"with-oids", "No table is made WITH OIDS", Blocker, "The hidden column is gone from 12 on; its values would be lost."}, checkWithOIDs},
	{CheckInfo{"extensions", "The target has the extensions", Blocker, "A missing extension takes everything with it that uses its types and functions."}, checkExtensions},
	{CheckInfo{"extension-data", "Tables of extensions hold no rows of yours", Warning, "What belongs to an extension is neither dumped nor replicated: CREATE EXTENSION makes it anew, without what users have put into it."}, checkExtensionData},
	{CheckInfo{"roles", "The target has the roles", Blocker, "Owners and grants need their roles; pg_dump does not carry roles."}, checkRoles},
}

// Checks describes every check, in the order in which they are made.
func Checks() []CheckInfo {
	out := make([]CheckInfo, len(checks))
	for i, c := range checks {
		out[i] = c.CheckInfo
	}
	return out
}

// maxFindings of one check and severity are told one by one.
const maxFindings = 50

// Check judges both servers. It returns all problems at once, blockers first, otherwise in the order of
// Checks. Of one check at most fifty findings are listed; one more says how many there are besides.
func Check(source, target Facts, o Options) []Finding {
	in := input{source: source, target: target, options: o}
	in.selection, in.selectionError = Select(source, o)
	var out []Finding
	for _, c := range checks {
		found := c.run(in)
		for i := range found {
			found[i].Check = c.ID
		}
		out = append(out, summarize(found)...)
	}
	order := []Severity{Blocker, Warning, Info}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
	})
	return out
}

// summarize keeps the first findings of each severity and counts the others.
func summarize(found []Finding) []Finding {
	var out []Finding
	count, last := map[Severity]int{}, map[Severity]Finding{}
	for _, f := range found {
		count[f.Severity]++
		last[f.Severity] = f
		if count[f.Severity] <= maxFindings {
			out = append(out, f)
		}
	}
	for _, s := range []Severity{Blocker, Warning, Info} {
		if more := count[s] - maxFindings; more > 0 {
			out = append(out, Finding{
				Check: last[s].Check, Severity: s, On: last[s].On,
				Problem: fmt.Sprintf("and %d more of the same kind", more),
				Fix:     "mend those above and check again",
			})
		}
	}
	return out
}

// setting returns a number of pg_settings; ok is false where the server has no such setting.
func setting(f Facts, name string) (n int, ok bool) {
	n, err := strconv.Atoi(f.Settings[name])
	return n, err == nil
}

// said is a name in a sentence: a newline in it must not break the line.
func said(n Name) string { return OneLine(n.String()) }

// ident is said for a name without a schema.
func ident(s string) string { return OneLine(QuoteIdent(s)) }

// resumed tells whether this run has begun: its journal is on the target, or its slot on the source.
// What it made itself is then no finding.
func (in input) resumed() bool {
	own := func(l Leftover) bool { return l.Own && (l.Kind == "schema" || l.Kind == "slot") }
	return slices.ContainsFunc(in.target.Leftovers, own) || slices.ContainsFunc(in.source.Leftovers, own)
}
