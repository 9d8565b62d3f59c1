package schema

import "testing"

// TestAsIndex: a key becomes an index and a constraint that uses it; what is no plain key stays.
func TestAsIndex(t *testing.T) {
	for _, c := range []struct{ sql, index, constraint string }{
		{
			"ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);",
			"CREATE UNIQUE INDEX orders_pkey ON public.orders USING btree (id);",
			"ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey;",
		},
		{
			"ALTER TABLE ONLY \"my s\".\"ADD (x)\"\n    ADD CONSTRAINT \"a \"\"key\"\"\" UNIQUE NULLS NOT DISTINCT (\"a)\", b) INCLUDE (c) WITH (fillfactor='70') DEFERRABLE INITIALLY DEFERRED;\n\nALTER TABLE ONLY \"my s\".\"ADD (x)\" REPLICA IDENTITY USING INDEX \"a \"\"key\"\"\";",
			"CREATE UNIQUE INDEX \"a \"\"key\"\"\" ON \"my s\".\"ADD (x)\" USING btree (\"a)\", b) INCLUDE (c) NULLS NOT DISTINCT WITH (fillfactor='70');",
			"ALTER TABLE ONLY \"my s\".\"ADD (x)\"\n    ADD CONSTRAINT \"a \"\"key\"\"\" UNIQUE USING INDEX \"a \"\"key\"\"\" DEFERRABLE INITIALLY DEFERRED;\n\nALTER TABLE ONLY \"my s\".\"ADD (x)\" REPLICA IDENTITY USING INDEX \"a \"\"key\"\"\";",
		},
		{"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k EXCLUDE USING gist (r WITH &&);", "", ""},
		{"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (id, during WITHOUT OVERLAPS);", "", ""},
		{"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k UNIQUE (a) USING INDEX TABLESPACE fast;", "", ""},
		{"SET default_tablespace = fast;\n\nALTER TABLE ONLY public.t\n    ADD CONSTRAINT k UNIQUE (a);", "", ""},
	} {
		index, constraint, ok := asIndex(Entry{Type: "CONSTRAINT", Schema: "public", Name: "t k", Section: Post, SQL: c.sql})
		switch {
		case ok != (c.index != ""):
			t.Errorf("%s: %v", c.sql, ok)
		case ok && (index.SQL != c.index || constraint.SQL != c.constraint):
			t.Errorf("%s\n%s\n%s", c.sql, index.SQL, constraint.SQL)
		case !ok && constraint.SQL != c.sql:
			t.Errorf("%s became %s", c.sql, constraint.SQL)
		}
	}
}
