package plan

import (
	"fmt"
	"slices"

	"pgleap/internal/pgver"
)

// Back names what leads back: Object is then the name of the publication and the slot on the target, and of the
// subscription on the source.
func (r RunID) Back() RunID { return r + "_back" }

// WayBack judges from the facts alone whether the source can follow the target after the release, so that pgleap
// rollback can go back without a loss. It returns a warning for everything that stands in the way; none means that
// the plan has a way back, unless Options.NoWayBack leaves it out.
func WayBack(source, target Facts, o Options) []Finding {
	w := wayBack{source: source, target: target, options: o}
	w.publisher()
	w.subscriber()
	w.tables()
	for i := range w.found {
		w.found[i].Check, w.found[i].Severity = "reverse-ready", Warning
		w.found[i].Accepted = slices.Contains(o.Accept, "reverse-ready")
	}
	return w.found
}

// HasWayBack tells whether the plan was made with a way back.
func (p Plan) HasWayBack() bool { return len(p.Back) > 0 }

type wayBack struct {
	source, target Facts
	options        Options
	found          []Finding
}

func (w *wayBack) lacks(f Finding) { w.found = append(w.found, f) }

// room asks for one more of what the setting bounds.
func (w *wayBack) room(f Facts, name, what string, used int) {
	limit, ok := setting(f, name)
	if !ok || limit-used >= 1 {
		return
	}
	found := raise(f.Side, name, used+3, fmt.Sprintf("%d of %d %s are in use on the %s, and the way back needs one\nwithout it pgleap rollback is not possible", used, limit, what, f.Side))
	w.lacks(found)
}

// publisher: after the release the target is read by a slot.
func (w *wayBack) publisher() {
	t := w.target
	if level := t.Settings["wal_level"]; level != "" && level != "logical" {
		w.lacks(Finding{
			On: Target, Object: "wal_level",
			Problem: fmt.Sprintf("wal_level is %s on the target\nwithout logical the old server cannot follow the new one: pgleap rollback is not possible", level),
			Fix:     "set wal_level = logical and RESTART the target, before pgleap sync", SQL: "alter system set wal_level = logical;",
		})
	}
	w.room(t, "max_replication_slots", "replication slots", t.SlotsUsed)
	w.room(t, "max_wal_senders", "walsenders", t.SendersUsed)
	if !t.Role.Replication && !t.Role.Superuser {
		w.lacks(Finding{
			On: Target, Object: t.Role.Name,
			Problem: fmt.Sprintf("role %s may not make a replication slot on the target\nwithout one the old server cannot follow the new one: pgleap rollback is not possible", ident(t.Role.Name)),
			Fix:     "let it replicate", SQL: "alter role " + QuoteIdent(t.Role.Name) + " replication;",
		})
	}
	if !t.Role.CreateOnDatabase && !t.Role.Superuser {
		w.lacks(Finding{
			On: Target, Object: t.Role.Name,
			Problem: fmt.Sprintf("role %s may not make a publication on the target\nwithout one the old server cannot follow the new one: pgleap rollback is not possible", ident(t.Role.Name)),
			Fix:     "let it create in the database", SQL: "grant create on database " + QuoteIdent(t.Database) + " to " + QuoteIdent(t.Role.Name) + ";",
		})
	}
}

// subscriber: after the release the source applies.
func (w *wayBack) subscriber() {
	s := w.source
	if !s.Role.Superuser && !s.Role.CreateSubscription {
		f := Finding{
			On: Source, Object: s.Role.Name,
			Problem: fmt.Sprintf("role %s may not make a subscription on the source\nwithout one the old server cannot follow the new one: pgleap rollback is not possible", ident(s.Role.Name)),
			Fix:     "connect to the source as a superuser: before PostgreSQL 16 nobody else may",
		}
		if s.Version.Has(pgver.CreateSubscription) {
			f.Fix, f.SQL = "grant it", "grant pg_create_subscription to "+QuoteIdent(s.Role.Name)+";"
		}
		w.lacks(f)
	}
	w.room(s, "max_logical_replication_workers", "logical replication workers", s.WorkersUsed)
	// the launcher takes one for itself
	w.room(s, "max_worker_processes", "background workers", s.WorkersUsed+1)
	if s.Version.Has(pgver.ReplicationOrigins) {
		w.room(s, "max_active_replication_origins", "replication origins", s.OriginsUsed)
	} else {
		w.room(s, "max_replication_slots", "replication origins", s.OriginsUsed)
	}
}

// tables: what replication carries there it must carry back.
func (w *wayBack) tables() {
	published := map[Name]bool{}
	if sel, err := Select(w.source, w.options); err == nil { // else the check of the selection says why
		for _, r := range sel.Published {
			published[r.Name] = true
		}
	}
	for _, t := range w.source.Definitions.Switched {
		if !published[t.Table] || t.Kind != "trigger" || t.Enabled != "A" && t.Enabled != "R" {
			continue
		}
		state := map[string]string{"A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}[t.Enabled]
		w.lacks(Finding{
			On: Source, Object: t.Table.String(),
			Problem: fmt.Sprintf("trigger %s of %s is %s\nafter the release it would fire on the old server for rows on which the new one's has acted already: pgleap rollback is not possible", ident(t.Name), said(t.Table), state),
			Fix:     "let it fire for the application alone (enable trigger), or do without the way back",
		})
	}
	if w.options.CopyInSwitch {
		w.lacks(Finding{
			On:      Source,
			Problem: "what is copied in the switch (--copy-in-switch) cannot be carried back: no replication brings it\npgleap rollback is not possible",
			Fix:     "give the tables a replica identity, move large objects into bytea columns, or do without the way back",
		})
	}
}
