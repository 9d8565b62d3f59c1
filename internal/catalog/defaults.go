package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// ReadDefaults reads what a session gets that asks for nothing, of the settings that checks compare. The
// sessions of Read cannot tell: what they ask for at their start is their reset value too. q is therefore a
// session of pg.OpenClient. Names that a server does not know, or does not show to this role, are left out.
func ReadDefaults(ctx context.Context, q pg.Querier) (map[string]plan.ServerSetting, error) {
	rows, err := q.Query(ctx, `select s.name, s.setting, coalesce(current_setting(s.name), '') as shown, s.source, s.context = 'postmaster' as restart
		from pg_settings s where s.name = any($1)`, plan.ComparedSettings())
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[struct {
		Name, Setting, Shown, Source string
		Restart                      bool
	}])
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	found := make(map[string]plan.ServerSetting, len(list))
	for _, r := range list {
		found[r.Name] = plan.ServerSetting{Setting: r.Setting, Shown: r.Shown, Source: r.Source, Restart: r.Restart}
	}
	return found, nil
}
