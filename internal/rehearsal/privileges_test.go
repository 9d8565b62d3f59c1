package rehearsal

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"pgleap/internal/pgver"
	"pgleap/plan"
)

// TestDocumentedRolesAreTried: no SQL to paste stands in the document that a rehearsal does not run.
func TestDocumentedRolesAreTried(t *testing.T) {
	text, err := os.ReadFile("../../docs/privileges.md")
	if err != nil {
		t.Fatal(err)
	}
	var tried strings.Builder
	for _, role := range []Role{RoleDocumented, RoleService} {
		s := &Stage{config: Config{Role: role}}
		for _, side := range []plan.Side{plan.Source, plan.Target} {
			sql, err := s.upgradeRoleSQL(Server{Side: side, Database: "Odd", major: pgver.Version(170000)})
			if err != nil || strings.Contains(sql, "shop") {
				t.Errorf("%s on the %s: %q, %v", role, side, sql, err)
			}
			tried.WriteString(strings.ReplaceAll(sql, `"Odd"`, "shop"))
		}
	}
	blocks := regexp.MustCompile("(?s)\n```(\\S*) ?(\\S*)\n(.*?)\n```\n").FindAllStringSubmatch(string(text), -1)
	for _, b := range blocks {
		if b[1] != "sql" || !strings.Contains(tried.String(), b[3]) {
			t.Errorf("nobody tries block %q", b[2])
		}
	}
	if len(blocks) != 4 {
		t.Errorf("%d blocks", len(blocks))
	}
}
