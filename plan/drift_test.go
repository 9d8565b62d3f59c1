package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgleap/internal/pgver"
)

func TestDriftSays(t *testing.T) {
	for _, c := range []struct {
		change func(*Plan)
		want   []string
	}{
		{func(*Plan) {}, nil},
		{
			func(p *Plan) {
				p.Source.Relations = append(p.Source.Relations, Relation{Name: Name{"public", "Order"}, Kind: "r"})
			},
			[]string{`table public."Order" was added on the source`},
		},
		{func(p *Plan) { p.Source.Relations = p.Source.Relations[1:] }, []string{"table public.orders was removed on the source"}},
		{func(p *Plan) { p.Source.Relations[1].Persistence = "p" }, []string{"table public.cache changed its persistence from u to p"}},
		{
			func(p *Plan) { p.Source.Relations[0].Columns[0].Type = "numeric(10,2)" },
			[]string{"column public.orders.id changed its type from bigint to numeric(10,2)"},
		},
		{
			func(p *Plan) { p.Source.Relations[0].Columns = p.Source.Relations[0].Columns[:1] },
			[]string{"column public.orders.note was removed on the source"},
		},
		{func(p *Plan) { slices.Reverse(p.Source.Relations[0].Columns) }, []string{"the columns of public.orders stand in another order"}},
		{func(p *Plan) { p.Source.Sequences[0].Increment = -1 }, []string{"sequence public.orders_id_seq changed its increment from 1 to -1"}},
		{func(p *Plan) { p.Source.Sequences[0].OwnedBy = nil }, []string{"sequence public.orders_id_seq changed its owned by from public.orders to nothing"}},
		{func(p *Plan) { p.Source.Extensions[0].Version = "1.7" }, []string{"extension citext changed its version from 1.6 to 1.7"}},
		{func(p *Plan) { p.Source.Settings["wal_level"] = "replica" }, []string{"the source changed its wal_level from logical to replica"}},
		{func(p *Plan) { p.Source.ForeignKeys = nil }, []string{"foreign key lines_order_fk of public.lines was removed on the source"}},
		{func(p *Plan) { p.Target.SystemID = "9" }, []string{"the target is another server: its system identifier was 7301 and is 9"}},
		{func(p *Plan) { p.Target.Version = pgver.Version(170010) }, []string{"the target changed its major from 18 to 17"}},
		{func(p *Plan) { p.Options.MaxWriteStall = time.Second }, []string{"the plan's options changed its max write stall from 5 s to 1 s"}},
		{func(p *Plan) { p.Stages[1].Steps = p.Stages[1].Steps[:1] }, []string{"step finish.index.a is gone"}},
		{func(p *Plan) { p.Stages[1].Steps[0].Do.SQL = "select 1;" }, []string{"step finish.index.b changed: do"}},
		{func(p *Plan) { p.Stages[0].Steps[1].ID = "sync.other" }, []string{"step sync.other is new", "step sync.slot is gone"}},
		{func(p *Plan) { slices.Reverse(p.Stages[0].Steps) }, []string{"the steps of stage publish stand in another order"}},
		{func(p *Plan) { p.Stages = p.Stages[:2] }, []string{"stage switch is gone"}},
		{func(p *Plan) { slices.Reverse(p.Stages) }, []string{"the stages stand in another order"}},
	} {
		now := samplePlan()
		c.change(&now)
		if diff := cmp.Diff(c.want, samplePlan().Drift(now)); diff != "" {
			t.Errorf("drift (-want +got):\n%s", diff)
		}
	}
}
