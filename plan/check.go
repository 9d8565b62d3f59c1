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
	When     string   `json:"when"`     // P check and plan, S while syncing, C at the gate of the cutover, A after it
	Why      string   `json:"why"`
	Mend     string   `json:"mend"`
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

// checks is every check there is. One that has no run is made where its facts are, not here.
var checks = slices.Concat(generalChecks, clusterChecks, definitionChecks, roleChecks, trialChecks, reverseChecks, gateChecks)

// generalChecks stand in the order in which an operator would look.
var generalChecks = []check{
	{CheckInfo{"direction", "The target is a newer major than the source", Blocker, "P", "An older server cannot load what a newer one dumps. Swapped addresses are the most dangerous mistake there is.", "Give the old server as --source and the new one as --target."}, checkDirection},
	{CheckInfo{"same-cluster", "Source and target are different servers", Blocker, "P", "A subscription to its own server waits for itself for ever.", "Give the address of the new server as --target."}, checkSameCluster},
	{CheckInfo{"recovery", "Neither server is a standby", Blocker, "P", "A standby can neither be fenced nor written to.", "Give the addresses of the primaries."}, checkRecovery},
	{CheckInfo{"wal-level", "The source writes logical WAL", Blocker, "P", "Without wal_level = logical there is no logical replication slot. Changing it needs a restart.", "Set wal_level = logical (rds.logical_replication, cloudsql.logical_decoding) and restart the source."}, checkWALLevel},
	{CheckInfo{"slot-headroom", "The source has free replication slots and walsenders", Blocker, "P", "The subscription takes one of each, and every table that is being copied one more. Without them the copy retries for ever, in silence.", "Raise max_replication_slots and max_wal_senders, and restart the source."}, checkSlotHeadroom},
	{CheckInfo{"worker-headroom", "The target has free workers and origins", Blocker, "P", "Without a worker a table is never copied; only the target's log tells.", "Raise the setting that is named, and restart the target."}, checkWorkerHeadroom},
	{CheckInfo{"lanes", "The tables are followed on lanes that tear no foreign key apart", Warning, "P", "What two lanes bring stands in no order: a foreign key between them may have to be checked again, and a TRUNCATE of both its tables stops them.", "Take fewer lanes with --lanes, or let nobody truncate such tables until the cutover."}, checkLanes},
	{CheckInfo{"privileges", "The roles may do what the upgrade needs", Blocker, "P", "A missing privilege would stop the upgrade half way.", "The exact GRANT is printed with each finding."}, checkPrivileges},
	{CheckInfo{"target-reaches-source", "The target can connect to the source", Blocker, "P", "The subscription connects from the target's machine: its network, its DNS, its line in pg_hba.conf.", "Open the network, add the line to pg_hba.conf, or give the address as the target sees it with --source-from-target."}, checkReach},
	{CheckInfo{"pg-dump", "A pg_dump that can read the source is at hand", Blocker, "P", "Definitions travel through pg_dump, which refuses servers newer than itself.", "Install the client programs of the new major, or name them with --pg-dump."}, checkPgDump},
	{CheckInfo{"target-empty", "The target database is empty", Blocker, "P", "Rows and objects that are there already collide with those that arrive.", "Take an empty database."}, checkTargetEmpty},
	{CheckInfo{"target-read-only", "The target takes writes", Warning, "P", "A database that is set read-only replicates, and then refuses the applications.", "Reset default_transaction_read_only on the target."}, checkTargetReadOnly},
	{CheckInfo{"leftovers", "Nothing is left of another run", Blocker, "P", "A slot that nobody reads keeps WAL until the disk is full; a fence that stayed refuses writes.", "Go on with that run, take it back with pgleap abort, or drop what the finding names."}, checkLeftovers},
	{CheckInfo{"encoding-collation", "Both databases have the same encoding and order text alike", Blocker, "P", "Text that has no place in the target's encoding stops the copy. Where text is ordered differently, what is equal, which partition a row belongs to and what a CHECK allows may be different too.", "Make the target's database with the source's encoding and locale."}, checkEncodingCollation},
	{CheckInfo{"locks", "The lock table of the source has room for the fence", Blocker, "P", "The switch locks every table in one transaction.", "Raise max_locks_per_transaction and restart the source."}, checkLocks},
	{CheckInfo{"prepared-transactions", "No transaction is prepared", Blocker, "PC", "The slot's creation waits for every prepared transaction of the server, and so does the fence.", "Commit them or roll them back."}, checkPrepared},
	{CheckInfo{"long-transactions", "No transaction is open for long", Warning, "PC", "The slot's creation waits for every open transaction that has written, in any database.", "Let them end, or end them."}, checkTransactions},
	{CheckInfo{"selection", "The selection can stand alone", Blocker, "PC", "A tree of tables cannot be torn apart, and a view needs its tables.", "Select or exclude what the finding names."}, checkSelection},
	{CheckInfo{"selection-fks", "No foreign key leaves the selection", Blocker, "PC", "A foreign key to a table that is left out cannot be made on the target.", "Select the other table too, or exclude both."}, checkSelectionFKs},
	{CheckInfo{"replica-identity", "Every table can publish its updates and deletes", Blocker, "PC", "As soon as a table without replica identity is published, its UPDATEs and DELETEs fail on the source.", "Let pgleap do it and put it back (--set-replica-identity), or give the table a key."}, checkReplicaIdentity},
	{CheckInfo{"identity-full", "REPLICA IDENTITY FULL is affordable", Blocker, "PC", "The target searches the whole row; it needs an equality for each column, and without a fitting index it reads the whole table for each change.", "Use an index as replica identity, or add a primary key."}, checkIdentityFull},
	{CheckInfo{"large-objects", "There are no large objects", Blocker, "PSC", "Logical replication does not carry large objects.", "Copy them while writes stand still (--copy-in-switch), or move them into bytea columns."}, checkLargeObjects},
	{CheckInfo{"unlogged-tables", "There are no unlogged tables", Blocker, "PC", "Changes of an unlogged table are not in the WAL, so they cannot be replicated.", "Copy them while writes stand still (--copy-in-switch), make them logged, or accept that they arrive empty."}, checkUnlogged},
	{CheckInfo{"foreign-tables", "There are no foreign tables", Info, "P", "Their rows are elsewhere: only the definition moves.", "See that the new server reaches the remote one."}, checkForeignTables},
	{CheckInfo{"extensions", "The target has the extensions", Blocker, "P", "A missing extension takes everything with it that uses its types and functions.", "Install the extension's package on the target's machine."}, checkExtensions},
	{CheckInfo{"extension-data", "Tables of extensions hold no rows of yours", Warning, "PC", "What belongs to an extension is neither dumped nor replicated: CREATE EXTENSION makes it anew, without what users have put into it.", "Copy the rows by hand, or take the table out of the extension."}, checkExtensionData},
}

// Checks describes every check, in the order in which they are made.
func Checks() []CheckInfo {
	out := make([]CheckInfo, len(checks))
	for i, c := range checks {
		out[i] = c.CheckInfo
	}
	return out
}

// Made is how many checks Check makes.
func Made() int {
	n := 0
	for _, c := range checks {
		if c.run != nil {
			n++
		}
	}
	return n
}

// maxFindings of one check and severity are told one by one.
const maxFindings = 50

// Check judges both servers. It returns all problems at once, blockers first, otherwise in the order of
// Checks. Of one check at most fifty findings are listed; one more says how many there are besides.
func Check(source, target Facts, o Options) []Finding {
	in := input{source: source, target: target, options: o}
	in.selection, in.selectionError = Select(source, o)
	return in.check()
}

// Recheck is Check for a run that has begun: what it publishes, and what it copies in the switch, was decided by
// its plan, whatever Select would decide now.
func Recheck(begun Selection, source, target Facts, o Options) []Finding {
	in := input{source: source, target: target, options: o}
	in.selection, in.selectionError = Select(source, o)
	in.selection = in.selection.asBegun(begun)
	return in.check()
}

func (in input) check() []Finding {
	var out []Finding
	for _, c := range checks {
		if c.run == nil {
			continue
		}
		found := c.run(in)
		for i := range found {
			found[i].Check = c.ID
			found[i].Accepted = found[i].Severity == Warning && slices.Contains(in.options.Accept, c.ID)
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
