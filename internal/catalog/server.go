package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pgver"
	"pgleap/plan"
)

// server reads what is one value per server or database.
func (r *reader) server() error {
	row, err := one[struct {
		Version, SlotsUsed, SendersUsed, WorkersUsed, OriginsUsed int
		Database, Username, Encoding                              string
		Recovery, ReadOnly, Control                               bool
		LargeObjects                                              int64
	}](r, "server")
	if err != nil {
		return err
	}
	f := &r.facts
	f.Version, f.Database, f.User, f.Encoding = pgver.Version(row.Version), row.Database, row.Username, row.Encoding
	f.Recovery, f.ReadOnly, f.LargeObjects = row.Recovery, row.ReadOnly, row.LargeObjects
	f.SlotsUsed, f.SendersUsed, f.WorkersUsed, f.OriginsUsed = row.SlotsUsed, row.SendersUsed, row.WorkersUsed, row.OriginsUsed
	r.marks = marksOf(f.Version)
	if !row.Control {
		return nil // PUBLIC may by default; where it may not, the replication session's IDENTIFY_SYSTEM tells
	}
	ids, err := list[string](r, "system identifier", "select system_identifier::text from pg_control_system()")
	if err == nil && len(ids) == 1 {
		f.SystemID = ids[0]
	}
	return err
}

func (r *reader) settings() error {
	rows, err := collect(r, "settings", "select name, setting from pg_settings where name = any($1)", rowToPair, settings)
	if err != nil {
		return err
	}
	r.facts.Settings = make(map[string]string, len(rows))
	for _, p := range rows {
		r.facts.Settings[p[0]] = p[1]
	}
	return nil
}

func (r *reader) role() error {
	row, err := one[struct {
		Name                                            string
		Superuser, Replication, BypassRLS, SeesSessions bool
		CreateOnDatabase, CreateSubscription            bool
		OwnsPublic                                      bool
		MemberOf, CanSet, Superusers                    []string
		DatabaseOwner, PublicOwner                      string
		NoTablespaces, NoWrappers                       []string
	}](r, "role")
	if err != nil {
		return err
	}
	r.facts.Role = plan.Role{
		Name: row.Name, Superuser: row.Superuser, Replication: row.Replication, BypassRLS: row.BypassRLS,
		SeesSessions: row.SeesSessions, CreateOnDatabase: row.CreateOnDatabase, CreateSubscription: row.CreateSubscription,
	}
	if !row.Superuser {
		r.facts.Role.MemberOf, r.facts.Role.CanSet, r.facts.Role.Superusers = row.MemberOf, row.CanSet, row.Superusers
		r.facts.Role.DatabaseOwner, r.facts.Role.PublicOwner, r.facts.Role.OwnsPublic = row.DatabaseOwner, row.PublicOwner, row.OwnsPublic
		r.facts.Role.NoTablespaces, r.facts.Role.NoWrappers = row.NoTablespaces, row.NoWrappers
	}
	return nil
}

func (r *reader) schemas() (err error) {
	r.facts.Schemas, err = list[string](r, "schemas", `select nspname::text from pg_namespace
		where nspname !~ '^pg_' and nspname not in ('information_schema', 'pgleap') order by nspname::text collate "C"`)
	return err
}

func (r *reader) extensions() (err error) {
	r.facts.Extensions, err = collect(r, "extensions", `select e.extname::text as name, e.extversion as version, n.nspname::text as schema
		from pg_extension e join pg_namespace n on n.oid = e.extnamespace order by e.extname::text collate "C"`, pgx.RowToStructByName[plan.Extension])
	return err
}

func (r *reader) roles() (err error) {
	r.facts.Roles, err = list[string](r, "roles", `select rolname::text from pg_roles where rolname !~ '^pg_' order by rolname::text collate "C"`)
	if err != nil {
		return err
	}
	used, err := query[struct{ Rolname string }](r, "roles_used")
	for _, u := range used {
		r.facts.RolesUsed = append(r.facts.RolesUsed, u.Rolname)
	}
	return err
}

// sessions reads what others are doing at this moment.
func (r *reader) sessions() error {
	open, err := query[struct {
		PID                                           int
		Username, Database, Application, State, Query string
		Seconds                                       float64
		Writes                                        bool
	}](r, "transactions")
	if err != nil {
		return err
	}
	for _, t := range open {
		r.facts.Transactions = append(r.facts.Transactions, plan.Transaction{
			PID: t.PID, User: t.Username, Database: t.Database, Application: t.Application,
			State: t.State, Seconds: t.Seconds, Writes: t.Writes, Query: t.Query,
		})
	}
	r.facts.Prepared, err = query[plan.PreparedTx](r, "prepared")
	return err
}

var schemaRun = regexp.MustCompile(`^pgleap run=([a-z0-9_]+)`)

// leftovers reads the objects of pgleap, with the statement that removes each.
func (r *reader) leftovers() error {
	rows, err := query[struct {
		Kind, Schema, Name, Remark string
		Busy                       bool
	}](r, "leftovers")
	if err != nil {
		return err
	}
	schemaOf, ours := "", false
	for _, l := range rows {
		if m := schemaRun.FindStringSubmatch(l.Remark); m != nil && l.Kind == "schema" {
			schemaOf = m[1]
		}
		ours = ours || l.Kind == "slot" && r.runOf(l.Name) == string(r.run)
	}
	for _, l := range rows {
		if l.Busy {
			continue // a first copy of somebody's subscription is running
		}
		if l.Kind == "taken" {
			if r.run.LaneOf(l.Name) > 0 {
				r.facts.Leftovers = append(r.facts.Leftovers, plan.Leftover{Kind: "slot", Name: l.Name, Of: l.Remark, Drop: dropStatement("slot", plan.Name{Name: l.Name})})
			}
			continue
		}
		o := plan.Leftover{Kind: l.Kind, Name: l.Name, Drop: dropStatement(l.Kind, plan.Name{Schema: l.Schema, Name: l.Name})}
		switch {
		case l.Kind == "database": // of a check, which is no part of its run
			if m := schemaRun.FindStringSubmatch(l.Remark); m != nil {
				o.Run = m[1]
			}
			r.facts.Leftovers = append(r.facts.Leftovers, o)
			continue
		case l.Kind == "schema":
			o.Run = schemaOf
		case l.Kind == "trigger":
			o.Run, o.Name = schemaOf, plan.Name{Schema: l.Schema, Name: l.Name}.String()
		case len(l.Name) > len(prefix) && l.Name[:len(prefix)] == prefix:
			o.Run = r.runOf(l.Name)
		case ours:
			o.Run = string(r.run) // a copy slot beside the run's own slot
		}
		o.Own = o.Run == string(r.run) && o.Run != ""
		r.facts.Leftovers = append(r.facts.Leftovers, o)
	}
	return nil
}

const prefix = "pgleap_"

// lane is a run's name with that of one of its further lanes behind it.
var lane = regexp.MustCompile(`^(.+)` + strings.TrimSuffix(string(plan.RunID("").Lane(2)), "2") + `[0-9]+$`)

// runOf is the run that an object of ours belongs to: further lanes, what leads back, and the slot of the proof, have a name
// of their own behind the run's.
func (r *reader) runOf(name string) string {
	run, _ := strings.CutPrefix(name, prefix)
	if r.run.LaneOf(name) > 0 {
		return string(r.run)
	}
	if of := lane.FindStringSubmatch(run); of != nil {
		return of[1]
	}
	for _, of := range []func(plan.RunID) plan.RunID{plan.RunID.Back, plan.RunID.Proof} {
		if rest, ok := strings.CutSuffix(run, string(of(""))); ok {
			return rest
		}
	}
	return run
}

// dropStatement removes an object of ours. A subscription gives its slot up first: dropping it would
// otherwise need the other server.
func dropStatement(kind string, n plan.Name) string {
	id := plan.QuoteIdent(n.Name)
	switch kind {
	case "slot":
		return "select pg_drop_replication_slot(" + plan.QuoteLiteral(n.Name) + ");"
	case "subscription":
		return fmt.Sprintf("alter subscription %s disable; alter subscription %s set (slot_name = none); drop subscription %s;", id, id, id)
	case "publication":
		return "drop publication " + id + ";"
	case "database":
		return "drop database " + id + ";"
	case "trigger":
		return "drop trigger zz_pgleap_fence on " + n.String() + ";"
	default:
		return "drop schema " + id + " cascade;"
	}
}

// target reads what only concerns the server that is to be filled.
func (r *reader) target() error {
	rows, err := collect(r, "available extensions", "select name::text, version from pg_available_extension_versions", rowToPair)
	if err != nil {
		return err
	}
	r.facts.Available = map[string][]string{}
	for _, p := range rows {
		r.facts.Available[p[0]] = append(r.facts.Available[p[0]], p[1])
	}
	for _, versions := range r.facts.Available {
		slices.Sort(versions)
	}
	objects, err := query[struct{ Kind, Schema, Name string }](r, "user_objects")
	for _, o := range objects {
		name := plan.QuoteIdent(o.Schema)
		if o.Name != "" {
			name = plan.Name{Schema: o.Schema, Name: o.Name}.String()
		}
		r.facts.UserObjects = append(r.facts.UserObjects, o.Kind+" "+name)
	}
	return err
}
