package plan

import "fmt"

// spread is how the run that the facts were read for will be laid out.
func (in input) spread() Spread { return in.options.SpreadOf(in.selection, in.source, in.target) }

// lanes is how many there will be.
func (in input) lanes() int { return max(1, len(in.spread().Lanes)) }

func checkLanes(in input) []Finding {
	if in.resumed() || in.selectionError != nil {
		return nil // they are what they are
	}
	s := in.spread()
	n := max(1, len(s.Lanes))
	var out []Finding
	if in.options.Lanes > n {
		out = append(out, Finding{
			Severity: Info, On: Source, Object: "--lanes",
			Problem: fmt.Sprintf("%s of %d that were asked for: foreign keys and partitions leave the %s in %s, and a lane is given whole groups",
				plural(n, "lane"), in.options.Lanes, plural(len(in.selection.Published), "table"), plural(s.Groups, "group")),
			Fix: "nothing is to be done",
		})
	}
	if n == 1 {
		return out
	}
	f := Finding{Severity: Info, On: Source, Object: "lanes", Problem: fmt.Sprintf("the tables are followed on %d lanes, each with a slot and an apply worker of its own: %s\nuntil the cutover what two lanes bring is not there at one moment; the source decodes its WAL for each", n, laneShares(in.selection, s)), Fix: "see that the source has a processor to spare for each lane; --lanes 1 makes one of them"}
	if in.options.Lanes == 0 && in.options.Spread == nil {
		f.Problem += fmt.Sprintf("\nthe source writes %s of WAL a second (%s), and one lane is trusted with %s", HumanBytes(int64(in.source.Cluster.WALBytesPerSecond)), in.source.Cluster.WALBasis, HumanBytes(laneWAL))
	}
	if s.Torn {
		f.Severity = Warning
		f.Problem += "\nforeign keys tie all tables into one group, and lead from lane to lane: while one lane is ahead of the other, a row may be there before the one it refers to, so the keys may have to be checked again; " +
			"and a TRUNCATE of two tables that a key ties STOPS the lanes, which have no part in each other's tables"
		f.Fix = "let nobody truncate tables that others refer to until the cutover, or do with one lane"
	}
	return append(out, f)
}

// laneShares says what each lane has.
func laneShares(sel Selection, s Spread) string {
	text := ""
	for _, l := range lanesOf("", sel.Published, s.Lanes) {
		var bytes int64
		for _, r := range l.Tables {
			bytes += r.Bytes
		}
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%d: %s, %s", l.N, plural(len(l.Tables), "table"), HumanBytes(bytes))
	}
	return text
}

// copies returns how many slots, walsenders and workers the first copy takes at its peak: the subscriptions' own, and one
// for each table that is copied at the same time. Several lanes share the workers that the target has beside theirs: a
// table waits for one, and needs no slot before.
func copies(in input) int {
	parallel, ok := setting(in.target, "max_sync_workers_per_subscription")
	if !ok {
		parallel = 2
	}
	n := in.lanes()
	if n == 1 {
		return 1 + min(parallel, len(in.selection.Published))
	}
	most := min(n*parallel, len(in.selection.Published))
	if workers, ok := setting(in.target, "max_logical_replication_workers"); ok {
		most = min(most, max(1, workers-in.target.WorkersUsed-n))
	}
	return n + most
}

// workersFor is how many workers the target needs: one that copies is enough beside several lanes.
func workersFor(in input) int {
	if n := in.lanes(); n > 1 {
		return n + 1
	}
	return copies(in)
}

// standingFor is standing for as many lanes as there are.
func standingFor(in input) int { return standing + in.lanes() - 1 }
