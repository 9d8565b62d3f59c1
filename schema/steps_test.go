package schema

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgleap/plan"
)

func post(kind, name, sql string) Entry {
	return Entry{Name: name, Type: kind, Schema: "public", Owner: "o", SQL: sql, Section: Post}
}

// finishEntries are in pg_dump's order.
var finishEntries = []Entry{
	{Name: "t", Type: "TABLE", Schema: "public", SQL: "CREATE TABLE public.t ();", Section: Pre},
	post("CONSTRAINT", "t t_key", "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_key UNIQUE (a);"),
	post("CONSTRAINT", "t t_pkey", "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);"),
	post("CONSTRAINT", "u odd", `ALTER TABLE ONLY public."T""b" ADD CONSTRAINT odd EXCLUDE (a WITH =) WHERE ("PRIMARY" = 'REPLICA IDENTITY USING INDEX PRIMARY KEY');`),
	post("INDEX", "t_i", "CREATE INDEX t_i ON public.t USING btree (a);"),
	post("COMMENT", "INDEX t_i", "COMMENT ON INDEX public.t_i IS 'x';"),
	post("INDEX", "t_i", "CREATE INDEX t_i ON ONLY public.t USING btree (b);"),
	post("INDEX", "identity", "CREATE UNIQUE INDEX identity ON public.u USING btree (b);\n\nALTER TABLE ONLY public.u REPLICA IDENTITY USING INDEX identity;"),
	post("INDEX ATTACH", "t_1_i", "ALTER INDEX public.t_i ATTACH PARTITION public.t_1_i;"),
	post("RULE", "t r", "CREATE RULE r AS ON DELETE TO public.t DO ALSO (SELECT 1; SELECT 2);"),
	post("TRIGGER", "t always", "CREATE TRIGGER always BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f();\n\nALTER TABLE public.t ENABLE ALWAYS TRIGGER always;"),
	post("COMMENT", "TRIGGER always ON t", "COMMENT ON TRIGGER always ON public.t IS 'x';"),
	post("TRIGGER", "t_1 always", "ALTER TABLE public.t_1 DISABLE TRIGGER always;"),
	post("TRIGGER", "u always", "CREATE TRIGGER always BEFORE INSERT ON public.u FOR EACH ROW EXECUTE FUNCTION public.f('ENABLE ALWAYS TRIGGER');"),
	post("FK CONSTRAINT", "t t_fkey", "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_fkey FOREIGN KEY (a) REFERENCES public.u(a);"),
	post("FK CONSTRAINT", "u t_fkey", "ALTER TABLE ONLY public.u\n    ADD CONSTRAINT t_fkey FOREIGN KEY (a) REFERENCES public.u(a);"),
	post("ACL", "TABLE t", "GRANT SELECT ON TABLE public.t TO a;"),
	post("EVENT TRIGGER", "e", "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.e();"),
	post("COMMENT", "EVENT TRIGGER e", "COMMENT ON EVENT TRIGGER e IS 'x';"),
}

func outline(steps []plan.Step) []string {
	var list []string
	for _, s := range steps {
		list = append(list, fmt.Sprintf("%s | %s | %s | %d", s.ID, s.Title, s.Batch, s.Weight))
	}
	return list
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSteps(t *testing.T) {
	same(t, outline(DefinitionSteps(finishEntries)), []string{
		"schema.definitions.001 | create table public.t |  | 0",
		"schema.identity.001 | create constraint public.t t_pkey … index public.identity (2 objects) |  | 0",
	})
	sizes := map[plan.Name]int64{{Schema: "public", Name: "t"}: 7, {Schema: "public", Name: `T"b`}: 8}
	matviews := []plan.Relation{
		{Name: plan.Name{Schema: "public", Name: "deep\nview"}, Populated: true, Depth: 1},
		{Name: plan.Name{Schema: "public", Name: "empty"}},
		{Name: plan.Name{Schema: "public", Name: "flat"}, Populated: true},
	}
	same(t, outline(FinishSteps(finishEntries, sizes, matviews)), []string{
		"finish.index.public.t_key | create constraint public.t t_key | indexes | 7",
		"finish.index.public.u odd | create constraint public.u odd | indexes | 8",
		"finish.index.public.t_i | create index public.t_i | indexes | 7",
		"finish.index.public.t_i.2 | create index public.t_i | indexes | 7",
		"finish.definitions.001 | set comment on INDEX public.t_i |  | 0",
		"finish.definitions.002 | attach index public.t_1_i … trigger public.u always (3 objects) |  | 0",
		"finish.foreign-key.public.t_fkey | create foreign key public.t t_fkey | foreign-keys | 7",
		"finish.foreign-key.public.t_fkey.2 | create foreign key public.u t_fkey | foreign-keys | 0",
		"finish.definitions.003 | set privileges on TABLE public.t |  | 0",
		"finish.refresh.public.flat | refresh materialized view public.flat |  | 0",
		"finish.refresh.public.deep view | refresh materialized view public.deep view |  | 0",
		"finish.event-triggers.001 | create event trigger public.e … comment on EVENT TRIGGER public.e (2 objects) |  | 0",
	})
	same(t, outline(DeferredSteps(finishEntries)), []string{
		"switch.triggers.001 | create trigger public.t always … trigger public.t_1 always (3 objects) |  | 0",
	})
	same(t, DeferredTriggers(finishEntries), []string{"comment trigger always on public.t", "trigger always on public.t"})
}

// TestStepsHoldEverything: no entry is lost and none is done twice, however they are grouped.
func TestStepsHoldEverything(t *testing.T) {
	var entries []Entry
	for i := range 120 {
		e := finishEntries[i%len(finishEntries)]
		e.SQL += fmt.Sprintf(" /* %d */", i)
		entries = append(entries, e)
	}
	steps := slices.Concat(DefinitionSteps(entries), FinishSteps(entries, nil, nil), DeferredSteps(entries))
	all := ""
	ids := map[plan.StepID]bool{}
	for _, s := range steps {
		if ids[s.ID] {
			t.Errorf("two steps %s", s.ID)
		}
		ids[s.ID] = true
		if !s.Recorded || s.On != plan.Target || s.Probe != "" {
			t.Errorf("%s: not a recorded step of the target", s.ID)
		}
		all += s.Do.SQL
	}
	for i := range entries {
		if n := strings.Count(all, fmt.Sprintf("/* %d */", i)); n != 1 {
			t.Errorf("entry %d is there %d times", i, n)
		}
	}
}
