package catalog

import "testing"

// TestNormalise has, for each rule, a text as an old and as a new major writes it.
func TestNormalise(t *testing.T) {
	for _, c := range [][2]string{
		{
			`CREATE TRIGGER a BEFORE INSERT ON public.t FOR EACH ROW EXECUTE PROCEDURE f(' EXECUTE PROCEDURE ')`,
			`CREATE TRIGGER a BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION f(' EXECUTE PROCEDURE ')`,
		},
		{`CHECK ((merge_action > 0) AND (a = '"user"'))`, `CHECK (("merge_action" > 0) AND (a = '"user"'))`},
		{`double precision default '0.10000000000000001'::double precision`, `double precision default '0.1'::double precision`},
		{`real default '1.00000002e+30'::real`, `real default '1e+30'::real`},
		{`bit(5) default B'01'::"bit"`, `bit(5) default '01'::"bit"`},
		{
			`CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'it''s, [c]'::character varying])::text[])))`,
			`CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('it''s, [c]'::character varying)::text])))`,
		},
	} {
		if older, newer := normalise("constraint", c[0]), normalise("constraint", c[1]); older != newer {
			t.Errorf("differ:\n%s\n%s", older, newer)
		}
	}
	for _, c := range [][2]string{
		{`default 'EXECUTE "a"'`, `default 'EXECUTE a'`},
		{`"A"`, `A`},
		{`'0.1'::double precision`, `'0.2'::double precision`},
		{`B'01'::bit`, `'10'::bit`},
		{`(ARRAY['a'::character varying])::text[]`, `ARRAY[('b'::character varying)::text]`},
	} {
		if normalise("column", c[0]) == normalise("column", c[1]) {
			t.Errorf("taken for the same: %s and %s", c[0], c[1])
		}
	}
}
