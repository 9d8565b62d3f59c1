package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgleap/internal/pgver"
)

// nearby is the longest round trip, in seconds, at which rows that travel over this machine are as quick as those that go
// from server to server: within a data centre.
const nearby = 0.002

// ChooseCopy says how the first copy is made where the operator does not, and why.
//
// Measured, 15 → 17 on two cores: streams are never slower than PostgreSQL's own copy when this machine is near; several
// times as fast over keys in no order, and where there are thousands of tables. From afar every row would travel twice over
// the slow way, and this machine must stay up.
func ChooseCopy(source, target Facts, sel Selection) (CopyWay, string) {
	for _, s := range []Facts{source, target} {
		switch trip := s.Cluster.RoundTrip; {
		case trip == 0:
			return CopyServer, fmt.Sprintf("how far this machine is from the %s was not measured: the rows go from server to server", s.Side)
		case trip > nearby:
			return CopyServer, fmt.Sprintf("a round trip from this machine to the %s takes %s: the rows go from server to server, not over it", s.Side, tripTime(trip))
		}
	}
	why := []string{fmt.Sprintf("this machine is near both servers (%s and %s for a round trip)", tripTime(source.Cluster.RoundTrip), tripTime(target.Cluster.RoundTrip))}
	var total, disorder int64
	var random int
	var largest Relation
	for _, r := range sel.Published {
		total += r.Bytes
		if r.Disorder {
			random, disorder = random+1, disorder+r.Bytes
		}
		if r.Bytes > largest.Bytes {
			largest = r
		}
	}
	if disorder > total/20 {
		why = append(why, fmt.Sprintf("the keys of %s (%s) are in no order, and much slower to keep up while rows come than to build afterwards", plural(random, "table"), HumanBytes(disorder)))
	}
	if largest.Bytes > total/3*2 && len(sel.Published) > 1 {
		why = append(why, fmt.Sprintf("%s is most of it (%s of %s), and PostgreSQL's own copy would leave it to one worker", OneLine(largest.Name.String()), HumanBytes(largest.Bytes), HumanBytes(total)))
	}
	if len(sel.Published) > manyTables {
		why = append(why, fmt.Sprintf("PostgreSQL's own copy starts a worker for each of the %d tables", len(sel.Published)))
	}
	return CopyStream, strings.Join(why, "; ")
}

// ChooseLateKeys returns the tables whose primary key is made behind their rows, although PostgreSQL's own copy needs it as
// soon as they are there: the large ones with values in no order, which take half of the copy's time. Before 14 a worker
// that finds no key begins its copy anew; and a partition's key belongs to its root's.
func ChooseLateKeys(target Facts, o Options, sel Selection) []Name {
	tables := []Name{}
	for _, r := range sel.Published {
		if o.Copy == CopyServer && target.Version.Has(pgver.CopyThenCatchUp) && r.Disorder && r.Bytes >= lateKeyTable &&
			r.Identity == "d" && r.PrimaryKey != "" && len(r.Parents) == 0 && !parent(sel, r.Name) {
			tables = append(tables, r.Name)
		}
	}
	return tables
}

// lateKeyTable is from how many bytes on a key is worth it: its copy takes long enough for somebody to wait behind it.
const lateKeyTable = 64 << 20

func parent(sel Selection, table Name) bool {
	return slices.ContainsFunc(sel.Published, func(r Relation) bool { return slices.Contains(r.Parents, table) })
}

// manyTables is from when on the start of a worker for each table is most of the time.
const manyTables = 500

func tripTime(seconds float64) string {
	return HumanDuration(time.Duration(seconds * float64(time.Second)))
}
