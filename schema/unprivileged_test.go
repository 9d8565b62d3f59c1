package schema

import (
	"strings"
	"testing"

	"pgleap/plan"
)

func TestUnprivileged(t *testing.T) {
	entries := []Entry{
		{Type: "SCHEMA", Name: "public", Owner: "postgres", SQL: "ALTER SCHEMA public OWNER TO postgres;", Section: Pre},
		{Type: "SCHEMA", Name: "Odd", Owner: "boss", SQL: `CREATE SCHEMA "Odd";`, Section: Pre},
		{Type: "COMMENT", Name: "EXTENSION citext", SQL: "COMMENT ON EXTENSION citext IS 'x';", Section: Pre},
		{Type: "TABLE", Name: "t", Schema: "Odd", SQL: `CREATE TABLE "Odd".t ();`, Section: Pre},
		{
			Type: "ACL", Name: "TABLE t", Schema: "Odd", Section: Post,
			SQL: "SET SESSION AUTHORIZATION clerk;\nGRANT SELECT ON TABLE \"Odd\".t TO \"SET SESSION AUTHORIZATION x\";\nRESET SESSION AUTHORIZATION;",
		},
	}
	lodgers := []plan.Lodger{
		{SchemaRole: plan.SchemaRole{Schema: "Odd", Role: "A"}},
		{SchemaRole: plan.SchemaRole{Schema: "Odd", Role: "b"}, Keeps: true},
		{SchemaRole: plan.SchemaRole{Schema: "public", Role: "b"}},
	}
	target := plan.Facts{Role: plan.Role{Name: "upgrade", Superusers: []string{"postgres"}}}
	const want = `pre ACL: GRANT CREATE ON SCHEMA public TO b;
pre SCHEMA: CREATE SCHEMA "Odd";
pre ACL: GRANT CREATE ON SCHEMA "Odd" TO "A";
pre ACL: GRANT CREATE ON SCHEMA "Odd" TO b;
pre TABLE: CREATE TABLE "Odd".t ();
post ACL: SET ROLE clerk;
GRANT SELECT ON TABLE "Odd".t TO "SET SESSION AUTHORIZATION x";
RESET ROLE;
post ACL: REVOKE CREATE ON SCHEMA "Odd" FROM "A";
post ACL: REVOKE CREATE ON SCHEMA public FROM b;
`
	if got := listing(Unprivileged(entries, target, lodgers)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := listing(Unprivileged(entries, plan.Facts{Role: plan.Role{Superuser: true}}, lodgers)); got != listing(entries) {
		t.Errorf("a superuser loads something else:\n%s", got)
	}
	if got := listing(Unprivileged(entries[:1], plan.Facts{}, nil)); got != listing(entries[:1]) {
		t.Errorf("schema public is not given to a role that is no superuser of the target:\n%s", got)
	}
}

func listing(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(string(e.Section) + " " + e.Type + ": " + e.SQL + "\n")
	}
	return b.String()
}
