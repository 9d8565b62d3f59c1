package plan

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Change is one thing that is not as it was when the plan was last read.
type Change struct {
	Kind ChangeKind `json:"kind"`
	Text string     `json:"text"`
}

// ChangeKind says what a change is about.
type ChangeKind string

// The kinds of changes, in the order in which a reviewer reads them. A saved plan with a ChangedPlan is refused
// by sync; the others are for people.
const (
	ChangedPlan     ChangeKind = "plan"
	ChangedFinding  ChangeKind = "finding"
	ChangedAccepted ChangeKind = "acceptance"
	ChangedSetting  ChangeKind = "setting"
	ChangedEstimate ChangeKind = "estimate"
	ChangedSize     ChangeKind = "size"
)

// Diff says in sentences what has changed between the plan p, which was read by people, and now. None means
// that nothing has that matters.
func (p Plan) Diff(now Plan) []Change {
	var d changes
	if len(now.Stages) == 0 && len(p.Stages) > 0 {
		d.say(ChangedPlan, "the steps cannot be planned now: something blocks, see the findings")
		now.Stages, now.Totals = p.Stages, nil
	}
	for _, s := range p.Drift(now) {
		d.say(ChangedPlan, "%s", s)
	}
	d.findings(p.Findings, now.Findings)
	d.choices(p.Options, now.Options)
	for _, side := range []struct {
		of      Side
		was, is Facts
	}{{Source, p.Source, now.Source}, {Target, p.Target, now.Target}} {
		d.server(side.of, side.was, side.is)
	}
	d.estimates(p.Totals, now.Totals)
	d.sizes(p.Source, now.Source)
	return d
}

type changes []Change

func (d *changes) say(kind ChangeKind, format string, args ...any) {
	*d = append(*d, Change{kind, OneLine(fmt.Sprintf(format, args...))})
}

// findings are the same when check, side and object are: their words may hold a number that moves.
func (d *changes) findings(was, is []Finding) {
	before, after := keyed(was), keyed(is)
	for _, k := range slices.Sorted(maps.Keys(after)) {
		f := after[k]
		first, _ := problemLines(f)
		old, known := before[k]
		switch {
		case !known:
			d.say(ChangedFinding, "new %s %s: %s", f.Severity, f.Check, first)
		case old.Severity != f.Severity:
			d.say(ChangedFinding, "%s was a %s and is a %s: %s", f.Check, old.Severity, f.Severity, first)
		case f.Accepted && !old.Accepted:
			d.say(ChangedAccepted, "accepted now: %s: %s", f.Check, first)
		case !f.Accepted && old.Accepted:
			d.say(ChangedAccepted, "not accepted any more: %s: %s", f.Check, first)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if _, there := after[k]; !there {
			first, _ := problemLines(before[k])
			d.say(ChangedFinding, "gone: %s %s: %s", before[k].Severity, before[k].Check, first)
		}
	}
}

// keyed finds a finding by what it is about; several of one check on one object are counted.
func keyed(list []Finding) map[string]Finding {
	out, seen := map[string]Finding{}, map[string]int{}
	for _, f := range list {
		k := strings.Join([]string{f.Check, string(f.On), f.Object}, "\x00")
		seen[k]++
		out[fmt.Sprintf("%s\x00%06d", k, seen[k])] = f
	}
	return out
}

// choices are the options that do not bind a saved plan.
func (d *changes) choices(was, is Options) {
	for _, c := range []struct {
		name    string
		was, is any
	}{
		{"--jobs", was.Jobs, is.Jobs},
		{"--slot-timeout", was.SlotTimeout, is.SlotTimeout},
		{"--max-copy-rate", limited(was.MaxCopyRate), limited(is.MaxCopyRate)},
		{"--max-retained-wal", limited(was.MaxRetainedWAL), limited(is.MaxRetainedWAL)},
		{"--max-standby-lag", limited(was.MaxStandbyLag), limited(is.MaxStandbyLag)},
		{"--accept", slices.Sorted(slices.Values(was.Accept)), slices.Sorted(slices.Values(is.Accept))},
	} {
		if a, b := shown(c.was), shown(c.is); a != b {
			d.say(ChangedSetting, "%s was %s and is %s", c.name, a, b)
		}
	}
}

// limited is a limit in bytes as it is read: 0 was not said, and below 0 is none.
func limited(n int64) string {
	switch {
	case n == 0:
		return "not said"
	case n < 0:
		return "none"
	}
	return HumanBytes(n)
}

// server tells of a minor update, of the settings, and of the pg_dump that is used.
func (d *changes) server(side Side, was, is Facts) {
	if was.Version != is.Version && was.Version.Major() == is.Version.Major() {
		d.say(ChangedSetting, "the %s was PostgreSQL %s and is %s", side, was.Version, is.Version)
	}
	names := slices.Sorted(maps.Keys(was.Settings))
	for name := range is.Settings {
		if _, known := was.Settings[name]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		a, hadIt := was.Settings[name]
		b, hasIt := is.Settings[name]
		if a != b && hadIt && hasIt && !slices.Contains(essentialSettings, name) {
			d.say(ChangedSetting, "%s on the %s was %s and is %s", name, side, shown(a), shown(b))
		}
	}
	if was.PgDump != nil && is.PgDump != nil && was.PgDump.Version != is.PgDump.Version {
		d.say(ChangedSetting, "pg_dump was %s and is %s", shown(was.PgDump.Version), shown(is.PgDump.Version))
	}
}

// A number has moved when it is off by more than a fifth, and by more than what nobody cares for.
const (
	moved        = 0.2
	movedSeconds = 5.0
	movedStall   = 0.25
	movedBytes   = 16 << 20
	mostMoved    = 10 // tables that are named
)

func hasMoved(was, is, least float64) bool {
	return math.Abs(is-was) > least && math.Abs(is-was) > moved*min(was, is)
}

func (d *changes) estimates(was, is *Totals) {
	if was == nil || is == nil {
		return
	}
	for _, e := range []struct {
		of      string
		was, is Estimate
		least   float64
	}{
		{"the first copy", was.Copy, is.Copy, movedSeconds},
		{"the index builds", was.Index, is.Index, movedSeconds},
		{"ANALYZE", was.Analyze, is.Analyze, movedSeconds},
		{"the stop of the writes", was.Stall, is.Stall, movedStall},
	} {
		if hasMoved(e.was.Seconds, e.is.Seconds, e.least) {
			d.say(ChangedEstimate, "%s was estimated at %s and is at %s now: %s", e.of, humanSeconds(e.was.Seconds), humanSeconds(e.is.Seconds), e.is.Basis)
		}
	}
	if hasMoved(float64(was.RetainedWAL), float64(is.RetainedWAL), movedBytes) {
		d.say(ChangedEstimate, "the WAL that the source will keep was estimated at %s and is at %s now: %s", HumanBytes(was.RetainedWAL), HumanBytes(is.RetainedWAL), is.WALBasis)
	}
}

// sizes names the tables that grew or shrank the most, and the database.
func (d *changes) sizes(was, is Facts) {
	before := map[Name]Relation{}
	var wasAll, isAll int64
	for _, r := range was.Relations {
		before[r.Name] = r
		wasAll += r.Bytes + r.IndexBytes
	}
	var list []Relation
	for _, r := range is.Relations {
		isAll += r.Bytes + r.IndexBytes
		if old, ok := before[r.Name]; ok && hasMoved(float64(old.Bytes+old.IndexBytes), float64(r.Bytes+r.IndexBytes), movedBytes) {
			list = append(list, r)
		}
	}
	if hasMoved(float64(wasAll), float64(isAll), movedBytes) {
		d.say(ChangedSize, "the tables of the source, with their indexes, were %s and are %s", HumanBytes(wasAll), HumanBytes(isAll))
	}
	by := func(r Relation) int64 {
		old := before[r.Name]
		return max(r.Bytes+r.IndexBytes-old.Bytes-old.IndexBytes, old.Bytes+old.IndexBytes-r.Bytes-r.IndexBytes)
	}
	slices.SortStableFunc(list, func(a, b Relation) int { return cmp.Compare(by(b), by(a)) })
	for i, r := range list {
		if i == mostMoved {
			d.say(ChangedSize, "and %d more tables", len(list)-i)
			break
		}
		old := before[r.Name]
		d.say(ChangedSize, "%s was %s with its indexes and is %s", r.Name, HumanBytes(old.Bytes+old.IndexBytes), HumanBytes(r.Bytes+r.IndexBytes))
	}
}

// WriteChanges prints what Diff found; since names the plan that it was compared with.
func WriteChanges(w io.Writer, since string, list []Change) error {
	text := fmt.Sprintf("nothing that matters has changed since %s\n", since)
	if len(list) > 0 {
		var b strings.Builder
		fmt.Fprintf(&b, "changed since %s\n", since)
		for _, c := range list {
			fmt.Fprintf(&b, "  %s  %s\n", pad(string(c.Kind), len(ChangedAccepted)), c.Text)
		}
		if Binding(list) {
			b.WriteString("pgleap sync --plan would refuse the old plan: make a new one with pgleap plan --out, and have it read\n")
		} else {
			b.WriteString("what will be done is the same: pgleap sync --plan takes the old plan\n")
		}
		text = b.String()
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write the changes: %w", err)
	}
	return nil
}

// Binding tells whether a saved plan is refused because of the changes.
func Binding(list []Change) bool {
	return slices.ContainsFunc(list, func(c Change) bool { return c.Kind == ChangedPlan })
}
