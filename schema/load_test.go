package schema

import (
	"context"
	"errors"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// failing are entries that a new version refuses, and what is to be said of each.
var failing = map[string]struct {
	entry         Entry
	object, sql   string
	at            string // what stands at the position; "" for none
	message, hint string
}{
	"role": {
		entry:  Entry{Name: "t", Type: "TABLE", Schema: "public", SQL: "CREATE TABLE public.t ();\n\nALTER TABLE public.t OWNER TO \"Who\";"},
		object: "table public.t", sql: `ALTER TABLE public.t OWNER TO "Who"`, message: `role "Who" does not exist`, hint: `create role "Who";`,
	},
	"type": {
		entry:  Entry{Name: "t", Type: "TABLE", Schema: "public", SQL: "CREATE TABLE public.t (\n    ä text,\n    b abstime\n);"},
		object: "table public.t", sql: "CREATE TABLE public.t (\n    ä text,\n    b abstime\n)", at: "abstime", message: `type "abstime" does not exist`, hint: "the new version has no type abstime",
	},
	"syntax": { // found before the first statement is carried out
		entry:  Entry{Name: "t r", Type: "RULE", Schema: "public", SQL: "CREATE RULE r AS ON INSERT TO public.t DO ALSO (SELECT 1; SELEKT 2);"},
		object: "rule public.t r", sql: "CREATE RULE r AS ON INSERT TO public.t DO ALSO (SELECT 1; SELEKT 2)", at: "SELEKT", message: "syntax error", hint: "--exclude-tables",
	},
	"function": {
		entry:  Entry{Name: "v", Type: "VIEW", Schema: "public", SQL: "CREATE VIEW public.v AS\n SELECT unk(1) AS a;"},
		object: "view public.v", sql: "CREATE VIEW public.v AS\n SELECT unk(1) AS a", at: "unk", message: "function unk(integer) does not exist", hint: "name its schema",
	},
	"extension": {
		entry:  Entry{Name: "adminpack", Type: "EXTENSION", SQL: "CREATE EXTENSION IF NOT EXISTS adminpack WITH SCHEMA pg_catalog;"},
		object: "extension adminpack", sql: "CREATE EXTENSION IF NOT EXISTS adminpack WITH SCHEMA pg_catalog", message: `extension "adminpack" is not available`, hint: "install the files of extension adminpack",
	},
	"comment": {
		entry:  Entry{Name: "FUNCTION f()", Type: "COMMENT", Schema: "public", SQL: "COMMENT ON FUNCTION public.f() IS '-- TABLE public.not_me\n';"},
		object: "comment on function public.f()", sql: "COMMENT ON FUNCTION public.f() IS '-- TABLE public.not_me\n'", message: "function public.f() does not exist", hint: "change the definition",
	},
}

// TestLoadNamesTheStatement: the entry, its statement alone, the place in it and the mend are told, wherever in a
// step the failing statement stands and whether or not the server says where.
func TestLoadNamesTheStatement(t *testing.T) {
	before := Entry{Name: "été \"x\";", Type: "TABLE", Schema: "public", SQL: `CREATE TABLE public."été ""x"";" (a text DEFAULT 'ü;' /* ; */);` + "\n\n\n" + `ALTER TABLE public."été ""x"";" OWNER TO postgres;`, Section: Pre}
	after := Entry{Name: "after", Type: "TABLE", Schema: "public", SQL: "CREATE TABLE public.after ();", Section: Pre}
	for name, c := range failing {
		t.Run(name, func(t *testing.T) {
			target := openTarget(t, database(t, 18))
			c.entry.Section = Pre
			steps := DefinitionSteps([]Entry{before, c.entry, after})
			if len(steps) != 1 {
				t.Fatalf("%d steps", len(steps))
			}
			loaded := target.InTransaction(t.Context(), func() error { return Load(t.Context(), target, plan.StageSchema, steps[0]) })
			_, sent := target.Exec(t.Context(), steps[0].Do.SQL)
			for way, err := range map[string]error{"Load": loaded, "Explain": Explain(plan.StageSchema, steps[0], sent)} {
				if way == "Explain" && c.at == "" {
					continue // without a position only Load can know
				}
				var e *plan.StepError
				if !errors.As(err, &e) {
					t.Fatalf("%s: not a StepError: %v", way, err)
				}
				if e.Object != c.object || e.SQL != c.sql || e.Step != steps[0].ID || e.Stage != plan.StageSchema || e.On != plan.Target {
					t.Errorf("%s: got %q: %q", way, e.Object, e.SQL)
				}
				if !strings.Contains(e.Error(), c.message) || !strings.Contains(e.Hint, c.hint) {
					t.Errorf("%s: %v", way, e)
				}
				if c.at == "" && e.Position != 0 || c.at != "" && !strings.HasPrefix(string([]rune(e.SQL)[max(e.Position-1, 0):]), c.at) {
					t.Errorf("%s: position %d", way, e.Position)
				}
			}
			var left int
			if err := target.QueryRow(t.Context(), "select count(*) from pg_class where relnamespace = 'public'::regnamespace").Scan(&left); err != nil || left != 0 {
				t.Errorf("%d relations left behind: %v", left, err)
			}
		})
	}
}

// TestLoadInterrupted: what the operator stopped is no fault of a definition.
func TestLoadInterrupted(t *testing.T) {
	target := openTarget(t, database(t, 18))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Load(ctx, target, plan.StageSchema, plan.Step{ID: "x", Do: plan.Action{SQL: "-- TABLE a\nselect 1;"}})
	var e *plan.StepError
	if !errors.Is(err, context.Canceled) || errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
}

// TestSessionSettings are taken by every major that can be a target.
func TestSessionSettings(t *testing.T) {
	for _, major := range []int{10, 13, 15, 17, 18} {
		s, err := pg.OpenTarget(t.Context(), database(t, major), pg.Options{Verb: "test"})
		if err != nil {
			t.Fatal(err)
		}
		execute(t, s.Session, SessionSettings())
		var path string
		if err := s.QueryRow(t.Context(), "show search_path").Scan(&path); err != nil || path != "" {
			t.Errorf("%d: search_path %q, %v", major, path, err)
		}
		s.Close()
	}
}
