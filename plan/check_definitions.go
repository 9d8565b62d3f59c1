package plan

// definitionChecks are about definitions that the new server treats differently, or that replication does.
var definitionChecks = []check{
	{CheckInfo{"matviews", "Materialized views are as fresh as they have to be", Warning, "P", "Logical replication does not carry them: they are filled on the target before the switch, and are then as old as that.", "Refresh them once more right before the switch (--refresh-matviews), or after it."}, checkMatViews},
	{CheckInfo{"sequences", "Sequences have values left", Warning, "PC", "A sequence that runs out stops every INSERT that needs it. Its position is carried over as it is, and so is how little is left.", "Widen the column and the sequence; give the role the right to read it."}, checkSequences},
	{CheckInfo{"generated-columns", "Generated columns come out the same", Warning, "P", "Generated columns are not replicated: the target computes them anew.", "Let the expression depend on the row alone, or make it an ordinary column that a trigger fills."}, checkGeneratedColumns},
	{CheckInfo{"partitions", "Partitions stay as they are while the sync runs", Warning, "PS", "Rows are published leaf by leaf. A partition that is made later is in no publication: the switch is refused until the run is begun anew.", "Make the next partitions before pgleap sync, and pause the job that makes them."}, checkPartitions},
	{CheckInfo{"always-triggers", "No trigger acts twice", Info, "P", "Triggers that are ENABLE ALWAYS or ENABLE REPLICA fire for replicated rows too, on which the source's own have acted already.", "Nothing is to be done: pgleap makes them within the switch, when nothing is replicated any more."}, checkAlwaysTriggers},
	{CheckInfo{"event-triggers", "Event triggers let the upgrade's own statements through", Warning, "P", "They fire for what pgleap defines on the source, the fence among it, and for what it drops on the target in the end.", "Let them pass sessions whose application_name begins with pgleap, or disable them for the time of the upgrade."}, checkEventTriggers},
	{CheckInfo{"search-path-functions", "Functions find their names without a search_path", Blocker, "P", "Rows are copied and applied, indexes built and materialized views filled with an empty search_path: a function that needs one fails, and replication stops.", "alter function … set search_path."}, checkSearchPathFunctions},
	{CheckInfo{"removed-features", "The target still has what definitions stand on", Blocker, "PC", "What a newer major has removed cannot be made there, nor anything that depends on it.", "Change the definition on the source as the finding says."}, checkRemovedFeatures},
	{CheckInfo{"invalid-objects", "Indexes and constraints are valid", Warning, "P", "An index that a failed build has left is not carried over; a constraint that was never validated stays so; a foreign key that was switched off is checked on the target.", "Build the index again, validate the constraint, or drop it."}, checkInvalidObjects},
}

// firstFive joins the first names of a list.
func firstFive(names []string) string {
	const most = 5
	if len(names) <= most {
		return enumerated(names)
	}
	return enumerated(append(append([]string{}, names[:most]...), thousands(int64(len(names)-most))+" more"))
}

// enumerated joins a, b and c.
func enumerated(names []string) string {
	text := ""
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			text += " and "
		default:
			text += ", "
		}
		text += n
	}
	return text
}
