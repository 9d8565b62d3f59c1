package plan

import (
	"strings"
	"testing"
)

// TestChooseCopy: streams where this machine is near, and every reason that holds is told.
func TestChooseCopy(t *testing.T) {
	n := func(name string) Name { return Name{"public", name} }
	few := Selection{Published: []Relation{{Name: n("a"), Bytes: 100 << 20}, {Name: n("b"), Bytes: 90 << 20}}}
	many := Selection{Published: make([]Relation, manyTables+1)}
	for _, c := range []struct {
		name           string
		source, target float64
		sel            Selection
		way            CopyWay
		says           string
		not            string
	}{
		{"near", 0.0002, 0.0003, few, CopyStream, "0.2 ms and 0.3 ms", "order"},
		{"far from the source", 0.012, 0.0003, few, CopyServer, "to the source takes 12 ms", ""},
		{"far from the target", 0.0002, 0.003, few, CopyServer, "to the target takes 3 ms", ""},
		{"not measured", 0, 0.0003, few, CopyServer, "was not measured", ""},
		{"in no order", 0.0002, 0.0003, Selection{Published: []Relation{{Name: n("a"), Bytes: 100 << 20, Disorder: true}, {Name: n("b"), Bytes: 90 << 20}}}, CopyStream, "the keys of 1 table (100 MB) are in no order", "most of it"},
		{"one large table", 0.0002, 0.0003, Selection{Published: []Relation{{Name: n("a"), Bytes: 900 << 20}, {Name: n("b"), Bytes: 100 << 20}}}, CopyStream, "public.a is most of it (900 MB of 1 GB)", ""},
		{"many tables", 0.0002, 0.0003, many, CopyStream, "each of the 501 tables", "most of it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, g := Facts{Side: Source}, Facts{Side: Target}
			s.Cluster.RoundTrip, g.Cluster.RoundTrip = c.source, c.target
			way, why := ChooseCopy(s, g, c.sel)
			if way != c.way || !strings.Contains(why, c.says) || c.not != "" && strings.Contains(why, c.not) {
				t.Errorf("%s because %s", way, why)
			}
		})
	}
}
