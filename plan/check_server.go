package plan

import (
	"fmt"
	"slices"
	"strconv"

	"pgleap/internal/pgver"
)

func checkDirection(in input) []Finding {
	s, t := in.source.Version, in.target.Version
	var out []Finding
	switch {
	case t.Major() < s.Major():
		return []Finding{{
			Severity: Blocker, On: Target,
			Problem: fmt.Sprintf("the source is %s and the target %s: are --source and --target swapped?", s, t),
			Fix:     "give the old server as --source and the new one as --target; nothing was changed",
		}}
	case t.Major() == s.Major() && !in.options.SameMajor:
		out = append(out, Finding{
			Severity: Blocker, On: Target,
			Problem: fmt.Sprintf("source and target are both PostgreSQL %d: there is nothing to upgrade", s.Major()),
			Fix:     "check the addresses; to move between servers of one major say --same-major",
		})
	}
	if s.Major() < pgver.Oldest {
		out = append(out, Finding{
			Severity: Blocker, On: Source,
			Problem: fmt.Sprintf("the source is %s: logical replication came with PostgreSQL %d", s, pgver.Oldest),
			Fix:     fmt.Sprintf("upgrade it to %d first by other means", pgver.Oldest),
		})
	}
	if t.Major() > pgver.Newest {
		out = append(out, Finding{
			Severity: Warning, On: Target,
			Problem: fmt.Sprintf("the target is %s: this pgleap was tested up to PostgreSQL %d", t, pgver.Newest),
			Fix:     "rehearse before you rely on it, or take a newer pgleap",
		})
	}
	if len(in.source.Relations) == 0 && len(in.target.UserObjects) > 0 && !in.resumed() {
		out = append(out, Finding{
			Severity: Blocker, On: Source,
			Problem: "the source has no tables, but the target is not empty: are --source and --target swapped, or is a database's name wrong?",
			Fix:     "check both addresses; nothing was changed",
		})
	}
	return out
}

func checkSameCluster(in input) []Finding {
	s, t := in.source, in.target
	f := Finding{Severity: Blocker, On: Target, Fix: "give the address of the new server as --target"}
	switch {
	case s.SystemID != "" && s.SystemID == t.SystemID:
		f.Problem = fmt.Sprintf("source and target are the same server, or one is a physical copy of the other (both have system identifier %s)", s.SystemID)
	case s.Address != "" && s.Address == t.Address:
		f.Problem = "source and target have the same address " + s.Address
	default:
		return nil
	}
	return []Finding{f}
}

func checkRecovery(in input) []Finding {
	var out []Finding
	for _, f := range []Facts{in.source, in.target} {
		if f.Recovery {
			out = append(out, Finding{
				Severity: Blocker, On: f.Side,
				Problem: fmt.Sprintf("the %s %s is a standby\nnothing can be made on it, and its writers are elsewhere", f.Side, f.Address),
				Fix:     fmt.Sprintf("give the address of its primary as --%s", f.Side),
			})
		}
	}
	return out
}

func checkWALLevel(in input) []Finding {
	level := in.source.Settings["wal_level"]
	if level == "" || level == "logical" {
		return nil
	}
	f := walLevel(in.source)
	f.Severity, f.Problem = Blocker, fmt.Sprintf("wal_level is %s\nwithout logical no replication slot can be made", level)
	return []Finding{f}
}

// walLevel is the mend of a server that does not write logical WAL.
func walLevel(server Facts) Finding {
	f := Finding{
		On: server.Side, Fix: fmt.Sprintf("set wal_level = logical and RESTART the %s", server.Side),
		SQL: "alter system set wal_level = logical;",
	}
	// the roles of managed services, where ALTER SYSTEM is not allowed
	switch roles := server.Roles; {
	case slices.Contains(roles, "rdsadmin"):
		f.Fix, f.SQL = "set rds.logical_replication = 1 in the parameter group and reboot the instance", ""
	case slices.Contains(roles, "cloudsqladmin"):
		f.Fix, f.SQL = "set the flag cloudsql.logical_decoding = on; the instance restarts", ""
	case slices.Contains(roles, "azuresu"):
		f.Fix, f.SQL = "set the server parameter wal_level to logical and restart the server", ""
	}
	return f
}

func checkSlotHeadroom(in input) []Finding {
	if in.resumed() {
		return nil // it has its slot
	}
	var out []Finding
	for _, room := range []struct {
		name, what string
		used       int
	}{
		{"max_replication_slots", "replication slots", in.source.SlotsUsed},
		{"max_wal_senders", "walsenders", in.source.SendersUsed},
	} {
		limit, ok := setting(in.source, room.name)
		if need := max(copies(in), standingFor(in)); ok && limit-room.used < need {
			out = append(out, raise(Source, room.name, room.used+need+2, fmt.Sprintf(
				"%d of %d %s are in use, and the upgrade needs %d\none is for the subscription, the others for tables that are being copied, and later for the proof of the fence; without them the copy would retry for ever",
				room.used, limit, room.what, need)))
		}
	}
	return out
}

// raise is the finding about a setting that is too low and needs a restart.
func raise(on Side, name string, to int, problem string) Finding {
	return Finding{
		Severity: Blocker, On: on, Object: name, Problem: problem,
		Fix: fmt.Sprintf("set %s to %d or more and RESTART the %s", name, to, on),
		SQL: "alter system set " + name + " = " + strconv.Itoa(to) + ";",
	}
}

func checkWorkerHeadroom(in input) []Finding {
	if in.resumed() {
		return nil
	}
	t, need := in.target, workersFor(in)
	var out []Finding
	lacks := func(name, what string, used, need int) {
		if limit, ok := setting(t, name); ok && limit-used < need {
			out = append(out, raise(Target, name, used+need+2, fmt.Sprintf(
				"%d of %d %s are in use, and the upgrade needs %d\nwithout them tables are never copied, and only the target's log tells", used, limit, what, need)))
		}
	}
	if n, ok := setting(t, "max_sync_workers_per_subscription"); ok && n == 0 {
		out = append(out, Finding{
			Severity: Blocker, On: Target, Object: "max_sync_workers_per_subscription",
			Problem: "max_sync_workers_per_subscription is 0\nno table would ever be copied",
			Fix:     "set it to 2 or more; a reload is enough",
			SQL:     "alter system set max_sync_workers_per_subscription = 2; select pg_reload_conf();",
		})
	}
	lacks("max_logical_replication_workers", "logical replication workers", t.WorkersUsed, need)
	// the launcher takes one for itself; parallel queries make do with what is left
	lacks("max_worker_processes", "background workers", t.WorkersUsed+1, need)
	if t.Version.Has(pgver.ReplicationOrigins) {
		lacks("max_active_replication_origins", "replication origins", t.OriginsUsed, need)
	} else {
		lacks("max_replication_slots", "replication origins", t.OriginsUsed, need)
	}
	return out
}

// passwordRequired is S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED, with which 16+ refuse the subscription of a plain
// role whose connection holds no password, or was not asked for it.
const passwordRequired = "2F003"

func checkReach(in input) []Finding {
	r := in.target.ReachesSource
	if r == nil || r.OK {
		return nil
	}
	f := Finding{
		Severity: Blocker, On: Target,
		Problem: "the target cannot connect to the source as the subscription will\n" + r.Error,
		Fix: "the connection comes from the target's machine: open the network, add a line for its address, this database and this user to the source's pg_hba.conf " +
			"(the line of the database, not the word replication), or give the address as the target sees it with --source-from-target",
	}
	if r.Code == passwordRequired {
		f.Fix = "a subscription of a role that is no superuser must be asked for a password: give it in the source's address (or PGPASSWORD, or a password file here), and let " +
			"the source's pg_hba.conf ask the target's address for it with scram-sha-256, not trust, peer or cert; or connect to the target as a superuser"
	}
	if !r.Tried {
		f.Severity, f.Problem = Warning, "whether the target can connect to the source could not be tried\n"+r.Error
	}
	return []Finding{f}
}

func checkPgDump(in input) []Finding {
	d, major := in.source.PgDump, in.source.Version.Major()
	switch {
	case d == nil:
		return nil
	case d.Error != "":
		return []Finding{{
			Severity: Blocker, On: Source, Problem: "no pg_dump can be used: " + d.Error,
			Fix: fmt.Sprintf("install the client programs of PostgreSQL %d, or name one with --pg-dump", in.target.Version.Major()),
		}}
	case d.Major < major:
		return []Finding{{
			Severity: Blocker, On: Source, Object: d.Command,
			Problem: fmt.Sprintf("%s is version %s: it refuses a server of version %d", d.Command, d.Version, major),
			Fix:     fmt.Sprintf("install the client programs of PostgreSQL %d, or name one with --pg-dump", in.target.Version.Major()),
		}}
	}
	return nil
}
