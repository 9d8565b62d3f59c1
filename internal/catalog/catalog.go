// Package catalog reads plan.Facts from a server: everything a judgement needs, and no judgement.
//
// Every query is about all objects at once, so the number of round trips does not grow with the database.
// Names come from the catalogs as they are, never through a cast to regclass, whose text depends on the
// search path. What differs between majors is put into the {{marks}} of a query.
package catalog

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

//go:embed sql
var files embed.FS

// settings are those that checks look at. Settings that pgleap's own sessions override, such as the timeouts,
// are left out: their value here is ours.
var settings = []string{
	"wal_level", "max_replication_slots", "max_wal_senders", "max_worker_processes", "max_logical_replication_workers",
	"max_sync_workers_per_subscription", "max_active_replication_origins", "max_slot_wal_keep_size", "idle_replication_slot_timeout",
	"logical_decoding_work_mem", "wal_sender_timeout", "max_prepared_transactions", "max_locks_per_transaction", "max_connections",
	"server_encoding", "lc_collate", "lc_ctype", "synchronous_standby_names", "synchronous_commit", "autovacuum",
	"track_commit_timestamp", "password_encryption", "block_size", "max_wal_size",
	"shared_buffers", "maintenance_work_mem",
}

// Read reads the facts of one server as they concern run. It needs no superuser; it changes nothing, takes no
// lock above ACCESS SHARE (until 17 ROW EXCLUSIVE on sequences, which stops no nextval) and does not wait for one
// that somebody holds.
func Read(ctx context.Context, q pg.Querier, side plan.Side, run plan.RunID) (plan.Facts, error) {
	r := &reader{ctx: ctx, q: q, run: run, facts: plan.Facts{Side: side}}
	if a, ok := q.(interface{ Address() pg.Address }); ok {
		r.facts.Address = a.Address().HostPort()
	}
	steps := []func() error{
		r.server, r.settings, r.role, r.schemas, r.relations, r.inheritance, r.columns, r.identity, r.disorder, r.views, r.sizes,
		r.sequences, r.foreignKeys, r.extensions, r.roles, r.owners, r.leftovers, r.sessions,
		r.cluster, r.definitions, r.roleDetails,
	}
	if side == plan.Target {
		steps = append(steps, r.target)
	} else {
		steps = append(steps, r.extensionData)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return plan.Facts{}, fmt.Errorf("read the %s: %w", side, err)
		}
	}
	return r.facts, nil
}

// reader gathers the facts; relations are found by their oid while it works.
type reader struct {
	ctx   context.Context //nolint:containedctx // lives as long as one call of Read
	q     pg.Querier
	run   plan.RunID
	facts plan.Facts
	marks *strings.Replacer
	index map[uint32]int // oid → place in facts.Relations
}

// relation returns the relation with that oid, or nil for one that is not the user's.
func (r *reader) relation(oid int64) *plan.Relation {
	if i, ok := r.index[uint32(oid)]; ok {
		return &r.facts.Relations[i]
	}
	return nil
}

// marksOf returns what stands for the {{marks}} on a server of version v.
func marksOf(v pgver.Version) *strings.Replacer {
	oids, generated, keys, written, set := "false", "''", "i.indnatts", "true", "'member'"
	if !v.Has(pgver.RelationOIDs) {
		oids = "c.relhasoids"
	}
	if v.Has(pgver.GeneratedColumns) {
		generated = "a.attgenerated"
	}
	if v.Has(pgver.IndexInclude) {
		keys = "i.indnkeyatts"
	}
	if v.Has(pgver.ConstraintParents) {
		written = "k.conparentid = 0"
	}
	if v.Has(pgver.SetOption) {
		set = "'set'"
	}
	marks := []string{"{{may_set}}", set, "{{oids}}", oids, "{{generated}}", generated, "{{keys}}", keys, "{{written}}", written}
	return strings.NewReplacer(slices.Concat(marks, roleMarks(v), clusterMarks(v), definitionMarks(v))...)
}

// query runs sql/<name>.sql and returns its rows, matched to T's fields by their names.
func query[T any](r *reader, name string, args ...any) ([]T, error) {
	text, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		return nil, err
	}
	sql := string(text)
	if r.marks != nil {
		sql = r.marks.Replace(sql)
	}
	return collect(r, name, sql, pgx.RowToStructByName[T], args...)
}

// list runs a short query with one column.
func list[T any](r *reader, name, sql string, args ...any) ([]T, error) {
	return collect(r, name, sql, pgx.RowTo[T], args...)
}

func collect[T any](r *reader, name, sql string, row pgx.RowToFunc[T], args ...any) ([]T, error) {
	rows, err := r.q.Query(r.ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out, err := pgx.CollectRows(rows, row)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// one is query for exactly one row.
func one[T any](r *reader, name string) (T, error) {
	rows, err := query[T](r, name)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%s: %d rows instead of one", name, len(rows))
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return rows[0], nil
}

// rowToPair reads two texts.
func rowToPair(row pgx.CollectableRow) (p [2]string, err error) {
	err = row.Scan(&p[0], &p[1])
	return p, err
}
