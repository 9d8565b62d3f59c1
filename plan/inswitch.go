package plan

import (
	"fmt"
	"slices"
	"time"

	"pgleap/internal/pgver"
)

// LargeObjects is what is known of the large objects of a database. All of it is volatile.
type LargeObjects struct {
	Bytes      int64    `json:"bytes,omitempty"`        // their lengths; where these cannot be read, of the file that holds them all
	Owners     []string `json:"owners,omitempty"`       // sorted
	Unreadable int64    `json:"unreadable,omitempty"`   // those that the connected role may not read
	Example    int64    `json:"example_oid,omitempty"`  // one of them
	ExampleOf  string   `json:"example_role,omitempty"` // its owner
}

// What a copy inside the switch may be expected to do at least: about what was measured on two cores with six
// times as much to do as they could. A network in between and many indexes are to fit in.
const (
	copyRate        = 10 << 20 // bytes of a table and its indexes, in a second
	largeObjectRate = 8 << 20  // bytes of large objects, in a second
	copyEach        = 5 * time.Millisecond
	largeObjectEach = 200 * time.Microsecond
)

// InSwitch returns the tables whose rows are copied while writes stand still.
func (s Selection) InSwitch(o Options) []Relation {
	if !o.CopyInSwitch {
		return nil
	}
	return slices.Concat(s.Unlogged, s.Copied)
}

// CopyEstimate is how long the copy of a table in the switch may take.
func CopyEstimate(r Relation) Estimate {
	bytes := r.Bytes + r.IndexBytes
	return Estimate{
		Seconds: copyEach.Seconds() + float64(bytes)/copyRate,
		Basis:   fmt.Sprintf("%s with indexes, at %s/s, which is low", HumanBytes(bytes), HumanBytes(copyRate)),
	}
}

// LargeObjectsEstimate is how long the copy of all large objects in the switch may take.
func LargeObjectsEstimate(source Facts) Estimate {
	n, bytes := source.LargeObjects, source.Definitions.LargeObjects.Bytes
	if n == 0 {
		return Estimate{Seconds: copyEach.Seconds(), Basis: "there are none now"}
	}
	return Estimate{
		Seconds: copyEach.Seconds() + float64(bytes)/largeObjectRate + float64(n)*largeObjectEach.Seconds(),
		Basis:   fmt.Sprintf("%s large objects, %s at %s/s, which is low", thousands(n), HumanBytes(bytes), HumanBytes(largeObjectRate)),
	}
}

// CopyEstimateOf adds up everything that is copied in the switch.
func CopyEstimateOf(source Facts, s Selection, o Options) time.Duration {
	if !o.CopyInSwitch {
		return 0
	}
	sum := LargeObjectsEstimate(source).Seconds
	for _, r := range s.InSwitch(o) {
		sum += CopyEstimate(r).Seconds
	}
	return seconds(sum)
}

// copied says which tables are copied in the switch because they cannot be published. Their foreign keys are made
// on the target while they are empty there: one that published rows refer to must be there before.
func (c chooser) copied(f Facts, o Options) map[Name]bool {
	out := map[Name]bool{}
	if !o.CopyInSwitch || o.AllTables {
		return out
	}
	empty := map[Name]bool{} // without rows on the target until the switch
	tables := map[Name]Relation{}
	for _, r := range f.Relations {
		if !c.kept[r.Name] || !r.IsTable() {
			continue
		}
		tables[r.Name] = r
		out[r.Name] = r.Published() && !publishable(r, f.Version, o)
		empty[r.Name] = out[r.Name] || !r.Published()
	}
	for again := true; again; {
		again = false
		for _, k := range f.ForeignKeys {
			if !c.kept[k.From] || empty[k.From] {
				continue
			}
			for name, r := range tables {
				if out[name] && r.Under(k.To) {
					out[name], empty[name], again = false, false, true
				}
			}
		}
	}
	return out
}

// Under tells whether r is the relation of that name, or one of its partitions.
func (r Relation) Under(n Name) bool {
	return r.Name == n || r.Root != nil && *r.Root == n || slices.Contains(r.Parents, n)
}

// publishable tells whether updates and deletes of the table can reach the target: with the identity that it has,
// or with the one that --set-replica-identity gives it.
func publishable(r Relation, v pgver.Version, o Options) bool {
	if r.IdentityUsable && len(r.IdentityGenerated) == 0 && (r.Identity != "f" || r.PrimaryKey != "" || len(r.NoEquality) == 0) {
		return true
	}
	_, mended := identityRepair(v, r)
	return o.SetReplicaIdentity && mended
}

// asBegun puts the tables of s where begun has them: a table that lost its key since is published all the same.
func (s Selection) asBegun(begun Selection) Selection {
	was := map[Name]string{}
	for _, r := range begun.Published {
		was[r.Name] = "published"
	}
	for _, r := range begun.Copied {
		was[r.Name] = "copied"
	}
	var published, copied []Relation
	for _, r := range s.Published {
		if was[r.Name] == "copied" {
			copied = append(copied, r)
		} else {
			published = append(published, r)
		}
	}
	for _, r := range s.Copied {
		if was[r.Name] == "published" {
			published = append(published, r)
		} else {
			copied = append(copied, r)
		}
	}
	s.Published, s.Copied = published, copied
	return s
}

// CopyLevels orders tables that are copied into a target where foreign keys hold: first those that refer to no
// other table, then those whose tables are there already. Those of the first level can be copied beside the drain.
// What refers to itself in a circle of tables is left over.
func CopyLevels(tables []Relation, keys []ForeignKey) (levels [][]Relation, circle []Relation) {
	rest := slices.Clone(tables)
	there := func(n Name) bool {
		return !slices.ContainsFunc(rest, func(r Relation) bool { return r.Under(n) })
	}
	for first := true; len(rest) > 0; first = false {
		var level, later []Relation
		for _, r := range rest {
			ready := true
			for _, k := range keys {
				if r.Under(k.From) && !r.Under(k.To) && (first || !there(k.To)) {
					ready = false
				}
			}
			if ready {
				level = append(level, r)
			} else {
				later = append(later, r)
			}
		}
		if len(level) == 0 && !first {
			return levels, rest
		}
		levels, rest = append(levels, level), later
	}
	return levels, nil
}
