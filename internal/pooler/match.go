package pooler

import (
	"fmt"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Match returns the entry through which an application reaches the source: the one called name, if that is given;
// else the only one that points at the source's host, port and database; else the only one with its database (the
// host may have several names). An entry that cannot be paused is refused; for one in session mode see
// WaitsForClients.
func Match(entries []Entry, source pg.Address, name string) (Entry, error) {
	e, err := choose(entries, source, name)
	switch {
	case err != nil:
		return Entry{}, err
	case e.Disabled:
		return Entry{}, plan.Fail(plan.KindBlocked, fmt.Sprintf("on PgBouncer's admin console: enable %s", quoteName(e.Name)),
			"PgBouncer's database %q is disabled: its clients are turned away", e.Name)
	case e.Paused:
		return Entry{}, plan.Fail(plan.KindBlocked, fmt.Sprintf("see who paused it; on PgBouncer's admin console: resume %s", quoteName(e.Name)),
			"PgBouncer's database %q is paused already", e.Name)
	}
	return e, nil
}

func choose(entries []Entry, source pg.Address, name string) (Entry, error) {
	if name == "*" {
		return Entry{}, plan.Fail(plan.KindUsage, "give the database an entry of its own, and name it with --pgbouncer-database", "the entry * stands for all databases: only one of its own can be paused and pointed elsewhere")
	}
	var named, exact, sameName []Entry
	for _, e := range entries {
		if e.Name == name {
			named = append(named, e)
		}
		if e.Database == source.Database() {
			sameName = append(sameName, e)
			if e.HostPort() == source.HostPort() {
				exact = append(exact, e)
			}
		}
	}
	if name != "" {
		if len(named) == 1 {
			return named[0], nil
		}
		return Entry{}, plan.Fail(plan.KindUsage, "name one of them with --pgbouncer-database", "PgBouncer has no database %q; it has %s", name, list(entries))
	}
	for _, found := range [][]Entry{exact, sameName} {
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			return Entry{}, plan.Fail(plan.KindUsage, "name the one that the application uses with --pgbouncer-database",
				"several of PgBouncer's databases point at %s: %s", source, list(found))
		}
	}
	return Entry{}, plan.Fail(plan.KindUsage, "name it with --pgbouncer-database, or give PgBouncer an entry for it",
		"none of PgBouncer's databases points at %s; it has %s", source, list(entries))
}

// list is such as "shop → 10.0.0.5:5432/shop, audit → …".
func list(entries []Entry) string {
	if len(entries) == 0 {
		return "none"
	}
	var parts []string
	for _, e := range entries {
		parts = append(parts, e.Name+" → "+e.Values().String())
	}
	return strings.Join(parts, ", ")
}
