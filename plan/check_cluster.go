package plan

// clusterChecks are about what surrounds the database on its two servers.
var clusterChecks = []check{
	{CheckInfo{"foreign-slots", "Nobody else replicates from this database", Warning, "P", "A slot does not move to the new server: whoever reads it (Debezium, an ETL, another server) gets nothing after the switch, and nobody tells him.", "Decide for each: read to the end at the switch and begin anew on the target, or give it up."}, checkForeignSlots},
	{CheckInfo{"publications", "No publication of yours is left behind", Warning, "P", "Publications are not carried over. One FOR ALL TABLES also publishes pgleap's own table, which its subscribers do not have.", "Make them again on the target after the switch."}, checkPublications},
	{CheckInfo{"wal-retention", "The source can keep its WAL until the target follows", Warning, "P", "A slot that loses its WAL ends the upgrade; one that loses none can fill the disk.", "Raise max_slot_wal_keep_size for the time of the upgrade, and watch the retained WAL in pgleap status."}, checkWALRetention},
	{CheckInfo{"timeouts", "No timeout ends replication", Warning, "P", "The subscription's workers and walsenders run under the settings of their roles: a timeout ends a first copy or stops apply, again and again.", "Switch it off for the role that replicates."}, checkTimeouts},
	{CheckInfo{"settings-diff", "Both servers are set alike", Warning, "P", "A setting that is not carried over changes what the applications get: results, formats, plans, limits.", "Take over what is meant, and accept the rest."}, checkSettings},
	{CheckInfo{"capacity", "The target has room, and can write that fast", Warning, "P", "A full disk stops the copy; checkpoints that come one after the other slow it down.", "See that there is room; raise max_wal_size on the target until the copy is done."}, checkCapacity},
	{CheckInfo{"other-databases", "Nothing else lives in the source's cluster", Warning, "P", "A run moves one database. Others stay on the old server.", "Move each with a run of its own."}, checkOtherDatabases},
	{CheckInfo{"foreign-servers", "Foreign servers are reached from the target too", Warning, "P", "A foreign server is carried over as it is written, but is then looked for from another machine.", "See that the target reaches it, and that its address means the same there."}, checkForeignServers},
	{CheckInfo{"tablespaces", "The target has the tablespaces", Blocker, "P", "Definitions name the tablespace of each table and index that has one: without it they cannot be loaded.", "Make a tablespace of that name on the target, wherever there is room."}, checkTablespaces},
	{CheckInfo{"security-labels", "Security labels find their provider", Warning, "P", "Labels are loaded with the definitions, which fails where the label's provider is not loaded. Those of roles and of the database itself are not carried.", "Load the provider's library on the target."}, checkSecurityLabels},
}
