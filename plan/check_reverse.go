package plan

import (
	"fmt"
	"slices"

	"pgleap/internal/pgver"
)

// reverseChecks are about the way back: after the switch the old server follows the new one, until finalize.
var reverseChecks = []check{
	{CheckInfo{"reverse-ready", "The way back is possible", Warning, "PC", "From the release on the old server follows the new one, so that pgleap rollback loses nothing. That takes a slot on the target, a subscription on the source, and a way from the source to the target. Where one of them is missing the switch is made without a way back.", "Mend what the finding says before pgleap sync; or say --no-way-back."}, checkReverseReady},
	{CheckInfo{"reverse-values", "The old server takes what the new one may write", Warning, "PS", "A newer server has values that an older one does not know. Once one is written the old server stops following, and pgleap rollback is refused until it is gone.", "Keep such values, and changes of definitions, off the new server as long as the way back is wanted; pgleap status says when it is closed."}, checkReverseValues},
}

func checkReverseReady(in input) []Finding {
	if in.options.NoWayBack {
		return []Finding{{
			Severity: Info, On: Source,
			Problem: "--no-way-back: after the switch the old server does not follow the new one\nwhat clients write from then on is on the new server alone, and pgleap rollback is refused",
			Fix:     "leave --no-way-back out to be able to go back until pgleap finalize",
		}}
	}
	if len(in.source.Relations) == 0 || in.target.Version.Major() < in.source.Version.Major() {
		return nil // nothing to go back to, or swapped addresses, which are told
	}
	return slices.Concat(reverseObstacles(in), reverseNotes(in))
}

// reverseObstacles are what makes the way back impossible. Each ends with what that means.
func reverseObstacles(in input) []Finding {
	out := slices.Concat(reversePublisher(in), reverseSubscriber(in), reverseUncarried(in))
	if len(out) == 0 { // what is missing already would only be told twice
		out = reverseReach(in)
	}
	for i := range out {
		out[i].Severity = Warning
		out[i].Problem += "\nTHERE IS NO WAY BACK after the switch"
	}
	return out
}

// Slots and walsenders that stand on a server at the same time as soon as nothing is copied any more: of what
// follows it, and of the proof that nobody writes behind the fence.
const standing = 2

// has tells whether the run has such an object on that side already.
func (f Facts) has(kind string) bool {
	return slices.ContainsFunc(f.Leftovers, func(l Leftover) bool { return l.Own && l.Kind == kind })
}

// spare takes what the run itself has in use off.
func spare(used int, ours bool) int {
	if ours {
		return max(used-1, 0)
	}
	return used
}

// reversePublisher is what the target lacks to be followed.
func reversePublisher(in input) []Finding {
	t := in.target
	var out []Finding
	if level := t.Settings["wal_level"]; level != "" && level != "logical" {
		f := walLevel(t)
		f.Object, f.Problem = "wal_level", fmt.Sprintf("wal_level of the target is %s: it can have no logical replication slot", level)
		out = append(out, f)
	}
	for _, room := range []struct {
		name, what string
		used       int
	}{
		{"max_replication_slots", "replication slots", t.SlotsUsed},
		{"max_wal_senders", "walsenders", t.SendersUsed},
	} {
		used := spare(room.used, t.has("slot"))
		if limit, ok := setting(t, room.name); ok && limit-used < standing {
			out = append(out, raise(Target, room.name, used+standing+2, fmt.Sprintf("%d of %d %s of the target are in use, and the way back needs %d", used, limit, room.what, standing)))
		}
	}
	if t.Role.Name != "" && !t.Role.Replication && !t.Role.Superuser {
		out = append(out, Finding{
			On: Target, Object: QuoteIdent(t.Role.Name),
			Problem: fmt.Sprintf("role %s has no REPLICATION on the target: it can make no slot there, and the old server could not follow with it", ident(t.Role.Name)),
			Fix:     "let it replicate", SQL: "alter role " + QuoteIdent(t.Role.Name) + " replication;",
		})
	}
	if t.Role.Name != "" && !t.Role.CreateOnDatabase && !t.Role.Superuser {
		out = append(out, Finding{
			On: Target, Object: QuoteIdent(t.Role.Name),
			Problem: fmt.Sprintf("role %s may not make a publication on the target, and the old server could not follow without one", ident(t.Role.Name)),
			Fix:     "let it create in the database", SQL: "grant create on database " + QuoteIdent(t.Database) + " to " + QuoteIdent(t.Role.Name) + ";",
		})
	}
	return out
}

// reverseSubscriber is what the source lacks to follow.
func reverseSubscriber(in input) []Finding {
	s := in.source
	var out []Finding
	ours := s.has("subscription")
	lacks := func(name, what string, used int) {
		used = spare(used, ours)
		if limit, ok := setting(s, name); ok && limit-used < 1 {
			out = append(out, raise(Source, name, used+2, fmt.Sprintf("%d of %d %s of the source are in use, and the way back needs one", used, limit, what)))
		}
	}
	lacks("max_logical_replication_workers", "logical replication workers", s.WorkersUsed)
	lacks("max_worker_processes", "background workers", s.WorkersUsed+1) // the launcher takes one for itself
	if s.Version.Has(pgver.ReplicationOrigins) {
		lacks("max_active_replication_origins", "replication origins", s.OriginsUsed)
	} else {
		lacks("max_replication_slots", "replication origins", s.OriginsUsed)
	}
	return append(out, reverseRole(in)...)
}

// reverseRole: who may subscribe on the source.
func reverseRole(in input) []Finding {
	role, v := in.source.Role, in.source.Version
	if role.Name == "" || role.CreateSubscription { // CREATE on the database check privileges asks for: a publication needs it, too
		return nil
	}
	f := Finding{On: Source, Object: QuoteIdent(role.Name)}
	name := QuoteIdent(role.Name)
	if v.Has(pgver.CreateSubscription) {
		f.Problem = fmt.Sprintf("role %s may not make a subscription on the source", ident(role.Name))
		f.Fix, f.SQL = "let it", "grant pg_create_subscription to "+name+";"
	} else {
		f.Problem = fmt.Sprintf("role %s is not a superuser on the source, and in PostgreSQL %d only one may make a subscription", ident(role.Name), v.Major())
		f.Fix, f.SQL = "make it one until pgleap finalize, or connect to the source as a superuser", "alter role "+name+" superuser;"
	}
	return []Finding{f}
}

// reverseUncarried is what the new server would be written that nothing carries back.
func reverseUncarried(in input) []Finding {
	var out []Finding
	published := in.published()
	for _, t := range in.source.Definitions.Switched {
		if t.Kind != "trigger" || t.Enabled != "A" && t.Enabled != "R" || !published[t.Table] {
			continue
		}
		state := map[string]string{"A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}[t.Enabled]
		out = append(out, Finding{
			On: Source, Object: t.Table.String(),
			Problem: fmt.Sprintf("trigger %s of %s is %s: on the old server it would fire for every row that comes back, on which the new server's own has acted already", ident(t.Name), said(t.Table), state),
			Fix:     "make it an ordinary trigger before pgleap sync, where it need not fire for replicated rows",
			SQL:     fmt.Sprintf("alter table %s enable trigger %s;", t.Table, QuoteIdent(t.Name)),
		})
	}
	if in.options.CopyInSwitch {
		out = append(out, copiedOneWay(in))
	}
	return out
}

// copiedOneWay holds also where there is nothing to copy now: a large object may come until the switch.
func copiedOneWay(in input) Finding {
	f := Finding{
		On: Source, Problem: "what is copied in the switch (--copy-in-switch) nothing carries back",
		Fix: "give the tables a replica identity or make them logged, move large objects into bytea columns, and leave --copy-in-switch out",
	}
	what := namesOf(in.selection.InSwitch(in.options))
	if n := in.source.LargeObjects; n > 0 {
		what = append(what, thousands(n)+" large objects")
	}
	if len(what) > 0 {
		f.Object = what[0]
		f.Problem += ": " + named(what)
	}
	return f
}

func namesOf(relations []Relation) []string {
	var out []string
	for _, r := range relations {
		out = append(out, r.Name.String())
	}
	return out
}

// reverseReach is the answer of the trial connection from the source to the target.
func reverseReach(in input) []Finding {
	r := in.source.ReachesTarget
	if r == nil || r.OK {
		return nil
	}
	f := Finding{
		On: Source, Problem: "the source cannot connect to the target as the subscription of the way back will: " + r.Error,
		Fix: "the connection comes from the source's machine: open the network, add a line for its address, this database and this user to the target's pg_hba.conf, " +
			"or give the address as the source sees it with --target-from-source",
	}
	if r.Code == passwordRequired {
		f.Problem = "the target does not ask the source for a password, and a subscription of a role that is no superuser must be asked for one"
		f.Fix = "give the password in the target's address (or PGPASSWORD, or a password file here), and let the target's pg_hba.conf ask the source's address for it with scram-sha-256, " +
			"not trust, peer or cert; or connect to the source as a superuser"
	}
	if !r.Tried {
		f.Problem = "whether the source can connect to the target could not be tried: " + r.Error
	}
	return []Finding{f}
}

// reverseNotes are what a way back that is possible does not do.
func reverseNotes(in input) []Finding {
	var out []Finding
	if unlogged := namesOf(in.selection.Unlogged); len(unlogged) > 0 && !in.options.CopyInSwitch {
		out = append(out, Finding{
			Severity: Info, On: Source, Object: unlogged[0],
			Problem: fmt.Sprintf("what the new server writes to an unlogged table does not come back with pgleap rollback: %s", named(unlogged)),
			Fix:     "nothing is to be done where the rows can be made again",
		})
	}
	if !in.source.Version.Has(pgver.IndexForIdentityFull) {
		for _, r := range in.selection.Published {
			if repair, ok := identityRepairOf(in, r); r.PrimaryKey == "" && (r.Identity == "f" || ok && repair.Full()) {
				out = append(out, Finding{
					Severity: Info, On: Source, Object: r.Name.String(),
					Problem: fmt.Sprintf("%s has REPLICA IDENTITY FULL and no primary key, and the source is PostgreSQL %d: on the way back each UPDATE and DELETE reads the whole table there", said(r.Name), in.source.Version.Major()),
					Fix:     "add a primary key where many rows are changed: else the old server falls behind, and a rollback has to wait for it",
				})
			}
		}
	}
	out = append(out, shortOfWAL(in)...)
	return out
}

// shortOfWAL: the source's rate of today is what the target will write.
func shortOfWAL(in input) []Finding {
	megabytes, ok := setting(in.target, "max_slot_wal_keep_size")
	limit, expected := int64(megabytes)<<20, int64(in.source.Cluster.WALBytesPerSecond*patience.Seconds())
	if !ok || megabytes < 0 || limit >= max(expected, littleWAL) {
		return nil
	}
	return []Finding{{
		Severity: Info, On: Target, Object: "max_slot_wal_keep_size",
		Problem: fmt.Sprintf("max_slot_wal_keep_size of the target is %s: when the old server is away for more WAL than that, the way back is lost", HumanBytes(limit)),
		Fix:     "raise it where the disk has room; a reload is enough, and pgleap status says how much is left",
		SQL:     fmt.Sprintf("alter system set max_slot_wal_keep_size = '%dGB'; select pg_reload_conf();", max(2*expected, 10<<30)>>30+1),
	}}
}
