package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgleap/internal/pgver"
)

// defaultStall is --max-write-stall where nothing was said.
const defaultStall = 5 * time.Second

// allowance is the part of the budget that the copies of the switch may take; locks, drain and sequences need the
// rest.
func (in input) allowance() time.Duration {
	if in.options.MaxWriteStall == 0 {
		return defaultStall / 2
	}
	return in.options.MaxWriteStall / 2
}

// fits tells whether what one check is about can be copied in the switch. Where everything together is too much,
// those are told that are too much by themselves, or all if none is.
func (in input) fits(part time.Duration) bool {
	total := CopyEstimateOf(in.source, in.selection, in.options)
	if total <= in.allowance() {
		return true
	}
	alone := false
	for _, e := range []time.Duration{sumOf(in.selection.Unlogged), sumOf(in.selection.Copied), seconds(LargeObjectsEstimate(in.source).Seconds)} {
		alone = alone || e > in.allowance()
	}
	return alone && part <= in.allowance()
}

func sumOf(tables []Relation) time.Duration {
	sum := 0.0
	for _, r := range tables {
		sum += CopyEstimate(r).Seconds
	}
	return seconds(sum)
}

// tooMuch is the blocker for a part that does not fit. what is a sentence's beginning.
func (in input) tooMuch(what, object string, part time.Duration, mend string) Finding {
	total := CopyEstimateOf(in.source, in.selection, in.options)
	text := fmt.Sprintf("%s: about %s", what, HumanDuration(part))
	if HumanDuration(total) != HumanDuration(part) {
		text += fmt.Sprintf(", %s with all that is copied", HumanDuration(total))
	}
	return Finding{
		Severity: Blocker, On: Source, Object: object,
		Problem: fmt.Sprintf("%s, and half of --max-write-stall is %s\nwrites would stand still for longer than they may, and the switch would be undone", text, HumanDuration(in.allowance())),
		Fix:     fmt.Sprintf("%s; or let writes stand still for longer: --max-write-stall %s", mend, (2*total).Truncate(time.Second)+time.Second),
	}
}

// copiedText is said of everything that fits.
func copiedText(bytes int64, e Estimate) string {
	return fmt.Sprintf("will be copied in the switch: %s, about %s", HumanBytes(bytes), HumanDuration(seconds(e.Seconds).Round(100*time.Microsecond)))
}

func copiedFinding(in input, r Relation, why string) Finding {
	f := Finding{
		Severity: Info, On: Source, Object: r.Name.String(),
		Problem: said(r.Name) + " " + why + ": it " + copiedText(r.Bytes+r.IndexBytes, CopyEstimate(r)),
		Fix:     "nothing to do; it is judged again at the cutover, as large as it is then",
	}
	for _, k := range in.source.ForeignKeys {
		published := slices.ContainsFunc(in.selection.Published, func(p Relation) bool { return p.Under(k.To) })
		if r.Under(k.From) && published && in.source.Version.Has(pgver.PublishTruncate) {
			f.Severity = Warning
			f.Problem += fmt.Sprintf("\nits foreign key %s is on the target before its rows: a TRUNCATE of %s would travel there alone, be refused, and stop replication", ident(k.Name), said(k.To))
			f.Fix = "do without TRUNCATE of " + said(k.To) + " until the cutover is over; the copy itself needs nothing"
			break
		}
	}
	return f
}

func tooMuchTables(in input, tables []Relation, kind, mend string) Finding {
	largest := slices.MaxFunc(tables, func(a, b Relation) int { return int(min(max(a.Bytes+a.IndexBytes-b.Bytes-b.IndexBytes, -1), 1)) })
	var bytes int64
	for _, r := range tables {
		bytes += r.Bytes + r.IndexBytes
	}
	what := fmt.Sprintf("%s: %s are to be copied in the switch", said(largest.Name), HumanBytes(bytes))
	if len(tables) > 1 {
		what = fmt.Sprintf("%d %s, the largest is %s: %s are to be copied in the switch", len(tables), kind, said(largest.Name), HumanBytes(bytes))
	}
	return in.tooMuch(what, largest.Name.String(), sumOf(tables), mend)
}

func checkUnlogged(in input) []Finding {
	var out []Finding
	if in.options.CopyInSwitch {
		if part := sumOf(in.selection.Unlogged); len(in.selection.Unlogged) > 0 && !in.fits(part) {
			return append(inCircle(in, in.selection.Unlogged),
				tooMuchTables(in, in.selection.Unlogged, "unlogged tables", "make it logged before the run is begun (alter table … set logged), or leave --copy-in-switch out, then they arrive empty"))
		}
		for _, r := range in.selection.Unlogged {
			out = append(out, copiedFinding(in, r, "is unlogged"))
		}
		return append(inCircle(in, in.selection.Unlogged), out...)
	}
	for _, r := range in.selection.Unlogged {
		out = append(out, Finding{
			Severity: Warning, On: Source, Object: r.Name.String(),
			Problem: said(r.Name) + " is unlogged: its definition moves, its rows do not",
			Fix:     withCopy(in) + "let the application fill it again, or make it logged, which writes all of it to the WAL under an exclusive lock",
			SQL:     "alter table " + r.Name.String() + " set logged;",
		})
	}
	return out
}

// copiedTables is the part of replica-identity that is about tables without one that are copied in the switch.
func copiedTables(in input) []Finding {
	tables := in.selection.Copied
	if len(tables) == 0 {
		return nil
	}
	if part := sumOf(tables); !in.fits(part) {
		return append(inCircle(in, tables), tooMuchTables(in, tables, "tables without a usable replica identity", "give it a primary key or a replica identity (--set-replica-identity), or leave it out with --exclude-tables"))
	}
	var out []Finding
	for _, r := range tables {
		out = append(out, copiedFinding(in, r, "has no usable replica identity"))
	}
	return append(inCircle(in, tables), out...)
}

// inCircle finds tables whose foreign keys no order of copies satisfies, where they cannot be switched off.
func inCircle(in input, tables []Relation) []Finding {
	if in.target.Role.Superuser {
		return nil
	}
	_, circle := CopyLevels(in.selection.InSwitch(in.options), in.source.ForeignKeys)
	var out []Finding
	for _, r := range circle {
		if slices.ContainsFunc(tables, func(t Relation) bool { return t.Name == r.Name }) {
			out = append(out, Finding{
				Severity: Blocker, On: Source, Object: r.Name.String(),
				Problem: fmt.Sprintf("%s is to be copied in the switch, and its foreign keys run in a circle\nrole %s may not switch them off on the target, so neither table could be the first", said(r.Name), ident(in.target.Role.Name)),
				Fix:     "connect to the target as a superuser, or leave --copy-in-switch out",
			})
		}
	}
	return out
}

// copyInstead proposes the copy in the switch for a table that cannot be published and is small.
func copyInstead(in input, r Relation) string {
	if in.options.CopyInSwitch || in.resumed() || r.Bytes == 0 || seconds(CopyEstimate(r).Seconds) > in.allowance() {
		return ""
	}
	return "copy it while writes stand still (--copy-in-switch, about " + HumanDuration(seconds(CopyEstimate(r).Seconds).Round(time.Millisecond)) + "), or "
}

// withCopy names the flag: on a run that has begun it comes too late.
func withCopy(in input) string {
	if in.resumed() {
		return "begin anew with --copy-in-switch (pgleap abort, then pgleap sync), "
	}
	return "copy them while writes stand still (--copy-in-switch), "
}

func checkLargeObjects(in input) []Finding {
	n, details := in.source.LargeObjects, in.source.Definitions.LargeObjects
	if !in.options.CopyInSwitch {
		if n == 0 {
			return nil
		}
		return []Finding{{
			Severity: Blocker, On: Source,
			Problem: fmt.Sprintf("the database has %s\nlogical replication does not carry them: they would be MISSING on the target", largeObjects(n)),
			Fix:     withCopy(in) + "move them into bytea columns, or remove those that nothing refers to any more (vacuumlo finds them)",
		}}
	}
	out := largeObjectObstacles(in)
	if n == 0 {
		return out
	}
	e := LargeObjectsEstimate(in.source)
	if !in.fits(seconds(e.Seconds)) {
		return append(out, in.tooMuch(fmt.Sprintf("%s, %s, are to be copied in the switch", largeObjects(n), HumanBytes(details.Bytes)), "", seconds(e.Seconds),
			"remove those that nothing refers to (vacuumlo finds them; vacuum full pg_largeobject gives their room back), or move them into bytea columns"))
	}
	return append(out, Finding{
		Severity: Info, On: Source,
		Problem: fmt.Sprintf("the database has %s: they %s%s", largeObjects(n), copiedText(details.Bytes, e), unlocked(in)),
		Fix:     "nothing to do; they are judged again at the cutover, as many as there are then",
	})
}

// unlocked says what a source role that is no superuser cannot prevent.
func unlocked(in input) string {
	if in.source.Role.Superuser {
		return ""
	}
	return "\nonly a superuser can keep others from changing large objects meanwhile; what was changed after the copy is told after the switch"
}

func largeObjects(n int64) string {
	if n == 1 {
		return "1 large object"
	}
	return thousands(n) + " large objects"
}

// largeObjectObstacles are what keeps large objects from being copied, however few they are.
func largeObjectObstacles(in input) []Finding {
	var out []Finding
	details := in.source.Definitions.LargeObjects
	if details.Unreadable > 0 {
		name := QuoteIdent(in.source.Role.Name)
		out = append(out, Finding{
			Severity: Blocker, On: Source, Object: fmt.Sprintf("large object %d", details.Example),
			Problem: fmt.Sprintf("role %s may not read %s of the large objects, such as %d of %s\nthey could not be copied", name, thousands(details.Unreadable), details.Example, ident(details.ExampleOf)),
			Fix:     fmt.Sprintf("make it a member of their owners; or grant select on each of them, or set lo_compat_privileges = on for %s", name),
			SQL:     fmt.Sprintf("grant %s to %s;", QuoteIdent(details.ExampleOf), name),
		})
	}
	if in.target.LargeObjects > 0 && !in.resumed() {
		out = append(out, Finding{
			Severity: Blocker, On: Target,
			Problem: fmt.Sprintf("the target has %s already\nthose that arrive bear the numbers they have on the source, and would collide with them", largeObjects(in.target.LargeObjects)),
			Fix:     "take an empty database, or remove them",
			SQL:     "select lo_unlink(oid) from pg_largeobject_metadata;",
		})
	}
	var missing []string
	for _, o := range details.Owners {
		if !slices.Contains(in.target.Roles, o) && !slices.Contains(in.source.RolesUsed, o) {
			missing = append(missing, ident(o))
		}
	}
	if len(missing) > 0 {
		out = append(out, Finding{
			Severity: Blocker, On: Target, Object: missing[0],
			Problem: fmt.Sprintf("large objects belong to %s, which the target does not have\nthey could not be given their owner", strings.Join(missing, ", ")),
			Fix:     "create the role on the target, or give them to another one on the source (alter large object … owner to …)",
		})
	}
	return out
}
