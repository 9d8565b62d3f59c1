package pipeline

import (
	"strings"
	"testing"

	"pgleap/plan"
)

// TestRefreshConcurrently: only a large view is, and only by an index that allows it.
func TestRefreshConcurrently(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		index string
		want  bool
	}{{concurrentlyFrom, "v_uk", true}, {concurrentlyFrom, "", false}, {concurrentlyFrom - 1, "v_uk", false}} {
		s := refreshStep("refresh.", plan.Relation{Name: plan.Name{Schema: "public", Name: "v"}, Bytes: c.bytes, UniqueIndex: c.index})
		if got := strings.Contains(s.Do.SQL, "concurrently"); got != c.want {
			t.Errorf("%d bytes, index %q: %s", c.bytes, c.index, s.Do.SQL)
		}
	}
}

// TestBuiltOn looks through views, and at partitions through their root.
func TestBuiltOn(t *testing.T) {
	name := func(s string) plan.Name { return plan.Name{Schema: "public", Name: s} }
	source := plan.Facts{Relations: []plan.Relation{
		{Name: name("direct"), Uses: []plan.Name{name("root")}}, {Name: name("through"), Uses: []plan.Name{name("direct"), name("other")}}, {Name: name("beside"), Uses: []plan.Name{name("other")}},
	}}
	root := name("root")
	leaf := []plan.Relation{{Name: name("leaf"), Root: &root}}
	for view, want := range map[string]bool{"direct": true, "through": true, "beside": false} {
		if got := builtOn(source, name(view), leaf); got != want {
			t.Errorf("%s: %v", view, got)
		}
	}
}
