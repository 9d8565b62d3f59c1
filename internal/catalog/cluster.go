package catalog

import (
	"fmt"
	"math"
	"strings"
	"time"

	"pgleap/internal/pgver"
	"pgleap/plan"
)

// cluster reads what surrounds the database.
func (r *reader) cluster() error {
	steps := []func() error{r.consumers, r.locale, r.tablespaces}
	if r.facts.Side == plan.Source {
		steps = append(steps, r.wal, r.surroundings)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// consumers reads who else replicates from or into this database.
func (r *reader) consumers() error {
	rows, err := query[struct {
		Kind, Name, Database, Plugin string
		Active, AllTables            bool
		Tables                       int
	}](r, "consumers")
	if err != nil {
		return err
	}
	c := &r.facts.Cluster
	for _, row := range rows {
		switch row.Kind {
		case "slot":
			c.Slots = append(c.Slots, plan.Slot{Name: row.Name, Database: row.Database, Plugin: row.Plugin, Active: row.Active})
		case "publication":
			c.Publications = append(c.Publications, plan.Publication{Name: row.Name, AllTables: row.AllTables, Tables: row.Tables})
		case "subscription":
			c.Subscriptions = append(c.Subscriptions, row.Name)
		case "standby":
			c.Standbys = row.Tables
		}
	}
	return nil
}

// Rates of shorter times say little: a server that has just started, or whose checkpoint has just ended.
const (
	countedAtLeast = 10 * time.Minute
	recentAtLeast  = 30 * time.Second
)

// wal measures how much WAL the source writes, by the larger of an average since the statistics were reset and
// what came since the last checkpoint: the one may hide today's load, the other may have met a quiet minute.
func (r *reader) wal() error {
	if r.facts.Recovery {
		return nil // a standby writes none; asking it is an error
	}
	allowed, err := list[bool](r, "who may ask for checkpoints", "select has_function_privilege('pg_control_checkpoint()', 'execute')")
	if err != nil || len(allowed) != 1 || !allowed[0] {
		return err
	}
	row, err := one[walReading](r, "wal")
	if err == nil {
		r.facts.Cluster.WALBytesPerSecond, r.facts.Cluster.WALBasis = row.rate()
	}
	return err
}

type walReading struct{ CountedSeconds, CountedBytes, RecentSeconds, RecentBytes float64 }

func (w walReading) rate() (rate float64, basis string) {
	if w.CountedSeconds >= countedAtLeast.Seconds() {
		rate = w.CountedBytes / w.CountedSeconds
		basis = fmt.Sprintf("%s in the %s since the statistics were reset", plan.HumanBytes(int64(w.CountedBytes)), lasted(w.CountedSeconds))
	}
	if w.RecentSeconds >= recentAtLeast.Seconds() && (basis == "" || w.RecentBytes/w.RecentSeconds > rate) {
		rate = w.RecentBytes / w.RecentSeconds
		basis = fmt.Sprintf("%s in the %s since the last checkpoint", plan.HumanBytes(int64(w.RecentBytes)), lasted(w.RecentSeconds))
	}
	return math.Max(rate, 0), basis
}

func lasted(seconds float64) string {
	return plan.HumanDuration(time.Duration(seconds * float64(time.Second)))
}

// locale reads how the database orders text, and the collations that its columns have.
func (r *reader) locale() error {
	row, err := one[struct{ Provider, Collate, Ctype, Name, Recorded, Actual, Icu, Tablespace string }](r, "locale")
	if err != nil {
		return err
	}
	r.facts.Cluster.Tablespace = row.Tablespace
	r.facts.Cluster.Locale = plan.Locale{
		Provider: row.Provider, Collate: row.Collate, Ctype: row.Ctype, Name: row.Name,
		Recorded: row.Recorded, Actual: row.Actual, ICU: row.Icu,
	}
	if r.facts.Side == plan.Target {
		return nil
	}
	rows, err := query[struct{ Schema, Name, Provider, Recorded, Actual string }](r, "collations")
	for _, c := range rows {
		r.facts.Cluster.Collations = append(r.facts.Cluster.Collations, plan.Collation{
			Name: plan.Name{Schema: c.Schema, Name: c.Name}, Provider: c.Provider, Recorded: c.Recorded, Actual: c.Actual,
		})
	}
	return err
}

func (r *reader) tablespaces() error {
	rows, err := query[struct {
		Name, Location  string
		CanCreate       bool
		Schemas, Tables []string
	}](r, "tablespaces")
	for _, row := range rows {
		t := plan.Tablespace{Name: row.Name, Location: row.Location, CanCreate: row.CanCreate}
		for i := range row.Tables {
			t.Tables = append(t.Tables, plan.Name{Schema: row.Schemas[i], Name: row.Tables[i]})
		}
		r.facts.Cluster.Tablespaces = append(r.facts.Cluster.Tablespaces, t)
	}
	return err
}

// surroundings reads what stays where it is when the database moves, or points elsewhere.
func (r *reader) surroundings() (err error) {
	c := &r.facts.Cluster
	if c.Databases, err = names(query[struct{ Datname string }](r, "databases")); err != nil {
		return err
	}
	if err = r.foreignServers(); err != nil {
		return err
	}
	if c.Labels, err = query[plan.Labels](r, "labels"); err != nil {
		return err
	}
	c.RoleTimeouts, err = query[plan.RoleTimeout](r, "role_timeouts")
	return err
}

func (r *reader) foreignServers() error {
	rows, err := query[struct {
		Name, Wrapper, Host string
		Users, Secrets      []string
	}](r, "foreign_servers")
	for _, row := range rows {
		f := plan.ForeignServer{Name: row.Name, Wrapper: row.Wrapper, Host: row.Host}
		for i := range row.Users {
			f.Mappings = append(f.Mappings, plan.UserMapping{User: row.Users[i], Secrets: strings.Fields(row.Secrets[i])})
		}
		r.facts.Cluster.ForeignServers = append(r.facts.Cluster.ForeignServers, f)
	}
	return err
}

func names(rows []struct{ Datname string }, err error) (out []string, _ error) {
	for _, r := range rows {
		out = append(out, r.Datname)
	}
	return out, err
}

// clusterMarks are the {{marks}} of the queries of this file.
func clusterMarks(v pgver.Version) []string {
	wal, actual := "(select null::timestamptz as stats_reset, null::numeric as wal_bytes)", "null"
	if v.Has(pgver.WALStatistics) {
		wal = "pg_stat_wal"
	}
	if v.Has(pgver.LocaleProviders) {
		actual = "pg_database_collation_actual_version(d.oid)"
	}
	return []string{"{{wal}}", wal, "{{datactual}}", actual}
}
