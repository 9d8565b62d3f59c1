package sync

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// Retained is the WAL that the source keeps for one of the run's slots.
type Retained struct {
	Slot   string
	Bytes  int64
	Safe   *int64 // 13+, where max_slot_wal_keep_size limits it: what may still be written before the slot is in danger
	Status string // 13+: reserved, extended, unreserved, lost
}

// ReadRetained reads it for the slots of the run's lanes and those of first copies to its target, the one that keeps most first.
func ReadRetained(ctx context.Context, s *pg.Source, run plan.RunID) ([]Retained, error) {
	status := `null::int8, ''`
	if s.Version().Has(pgver.SlotWALStatus) {
		status = `l.safe_wal_size, coalesce(l.wal_status, '')`
	}
	// Before 14 a copy's slot is a temporary one, whose name does not hold the target's system identifier: it is known by
	// its walsender.
	rows, err := s.Query(ctx, `select l.slot_name::text, coalesce((pg_current_wal_lsn() - l.restart_lsn)::int8, 0), `+status+`
from pg_replication_slots l where l.database = current_database() and (l.slot_name ~ $1 or `+syncSlots(run)+`
  or l.slot_name like 'pg\_%\_sync\_%' and exists (select from pg_stat_activity a where a.pid = l.active_pid and a.application_name ~ $1))
order by 2 desc, 1`, run.LanePattern())
	if err != nil {
		return nil, fmt.Errorf("read the WAL that is kept: %w", err)
	}
	kept, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Retained])
	if err != nil {
		return nil, fmt.Errorf("read the WAL that is kept: %w", err)
	}
	return kept, nil
}

// Standby is a physical standby that streams from the source.
type Standby struct {
	Name   string
	Behind int64 // bytes of WAL that it has not replayed
}

// ReadStandbys reads them, the one that is farthest behind first. One that never replays, such as pg_receivewal, is
// none. Hidden is how many there may be beside them that the role may not look at, for want of pg_monitor; the run's own
// walsenders are known by their name, because a slot has no process while a table of it is copied.
func ReadStandbys(ctx context.Context, s *pg.Source, run plan.RunID) (standbys []Standby, hidden int, err error) {
	rows, err := s.Query(ctx, `select coalesce(nullif(r.application_name, ''), host(r.client_addr), 'pid ' || r.pid), case when r.state is not null then greatest((pg_current_wal_lsn() - r.replay_lsn)::int8, 0) end
from pg_stat_replication r where (r.state is null or r.state = 'streaming' and r.replay_lsn is not null)
  and not exists (select from pg_replication_slots l where l.active_pid = r.pid and l.slot_type = 'logical')
  and coalesce(r.application_name, '') !~ $1 and coalesce(r.application_name, '') not like 'pgleap/%'
order by 2 desc nulls last, 1`, run.LanePattern())
	if err != nil {
		return nil, 0, fmt.Errorf("read how far the standbys are: %w", err)
	}
	var name string
	var behind *int64
	if _, err = pgx.ForEachRow(rows, []any{&name, &behind}, func() error {
		if behind == nil {
			hidden++
		} else {
			standbys = append(standbys, Standby{name, *behind})
		}
		return nil
	}); err != nil {
		return nil, 0, fmt.Errorf("read how far the standbys are: %w", err)
	}
	return standbys, hidden, nil
}
