package plan

import (
	"fmt"
	"math"
	"slices"
)

// A tree whose newest partition ends within soon days needs a new one while the sync may still run. One that
// ended more than stale days ago is no longer written to.
const (
	soonDays  = 14
	staleDays = 30
)

func checkPartitions(in input) []Finding {
	roots := slices.DeleteFunc(slices.Clone(in.selection.Roots), func(r Relation) bool { return r.Partition })
	if len(roots) == 0 {
		return nil
	}
	leaves := map[Name]int{}
	for _, r := range in.source.Relations {
		if r.Root != nil && r.Kind != "p" {
			leaves[*r.Root]++
		}
	}
	out := oddLeaves(in)
	out = append(out, endingPartitions(in)...)
	if slices.ContainsFunc(in.source.Extensions, func(e Extension) bool { return e.Name == "pg_partman" }) {
		out = append(out, Finding{
			Severity: Warning, On: Source, Object: "pg_partman",
			Problem: "pg_partman makes and drops partitions by itself\none that it makes while the sync runs is in no publication, and one that it drops is drift: the switch would be refused",
			Fix:     "let it make partitions far enough ahead (part_config.premake, then run_maintenance), and pause its job from pgleap sync to the switch",
		})
	}
	for _, r := range roots {
		out = append(out, Finding{
			Severity: Info, On: Source, Object: r.Name.String(),
			Problem: fmt.Sprintf("%s is published by its %s\na partition that is made while the sync runs is not: pgleap finds it, and refuses the switch until the run is begun anew", said(r.Name), numberOf(leaves[r.Name], "partition")),
			Fix:     "make the partitions that will be needed before pgleap sync",
		})
	}
	return out
}

// oddLeaves are partitions of a tree that is published which cannot be published themselves.
func oddLeaves(in input) []Finding {
	var out []Finding
	leftOut := in.leftOut()
	for _, r := range in.source.Relations {
		if r.Root == nil || r.Kind == "p" || leftOut(r.Name) || r.Extension != "" {
			continue
		}
		f := Finding{Severity: Warning, On: Source, Object: r.Name.String()}
		switch {
		case r.Kind == "f":
			f.Problem = fmt.Sprintf("partition %s of %s is a foreign table\nits rows stay on the remote server: the new server has to reach it, and what is written through either server after the switch is not fenced there", said(r.Name), said(*r.Root))
			f.Fix = "see that the new server reaches the remote one and that nobody writes to it through the old one, or detach the partition"
		case r.Persistence == "u":
			f.Problem = fmt.Sprintf("partition %s of %s is unlogged\nit arrives empty: queries over %s would miss its rows", said(r.Name), said(*r.Root), said(*r.Root))
			f.Fix = "make it logged, which writes all of it to the WAL under an exclusive lock; or let pgleap copy it while writes stand still (--copy-in-switch)"
			f.SQL = "alter table " + r.Name.String() + " set logged;"
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// endingPartitions are trees over time for which somebody will have to make a partition soon.
func endingPartitions(in input) []Finding {
	var out []Finding
	for _, p := range in.source.Definitions.TimePartitions {
		selected := slices.ContainsFunc(in.selection.Roots, func(r Relation) bool { return r.Name == p.Root })
		if !selected || p.Days > soonDays || p.Days < -staleDays {
			continue
		}
		when := fmt.Sprintf("in %s", numberOf(int(math.Ceil(p.Days)), "day"))
		if p.Days <= 0 {
			when = "and that is past"
		}
		consequence := "rows after that day are refused"
		if p.Default {
			consequence = "rows after that day go to the default partition"
		}
		out = append(out, Finding{
			Severity: Warning, On: Source, Object: p.Root.String(),
			Problem: fmt.Sprintf("the newest partition of %s ends on %s, %s: %s\na job or somebody is likely to make the next one while the sync runs; it would be in no publication, and the switch would be refused", said(p.Root), p.Ends, when, consequence),
			Fix:     "make the next partitions before pgleap sync, and pause the job that makes them",
		})
	}
	return out
}

// numberOf writes 1 day, 2 days.
func numberOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(int64(n)) + " " + what + "s"
}
