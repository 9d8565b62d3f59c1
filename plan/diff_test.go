package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgleap/internal/pgver"
)

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Plan)
		kind   ChangeKind // "" is nothing
		says   []string
	}{
		"nothing":                      {func(*Plan) {}, "", nil},
		"rows and counters":            {func(p *Plan) { p.Source.Relations[0].Rows += 500; p.Source.SlotsUsed++ }, "", nil},
		"a finding whose number moves": {func(p *Plan) { p.Findings[0].Problem += ", 12 rows" }, "", nil},
		"a little more":                {func(p *Plan) { p.Totals.Copy.Seconds *= 1.1; p.Source.Relations[0].Bytes += 1 << 30 }, "", nil},
		"milliseconds":                 {func(p *Plan) { p.Totals.Stall.Seconds *= 1.5 }, "", nil},
		"a column":                     {func(p *Plan) { p.Source.Relations[0].Columns[1].Type = "jsonb" }, ChangedPlan, []string{"public.orders.note", "jsonb"}},
		"a statement":                  {func(p *Plan) { p.Stages[0].Steps[0].Do.SQL += " " }, ChangedPlan, []string{"step sync.publication changed"}},
		"an option that binds":         {func(p *Plan) { p.Options.SequenceMargin = 7 }, ChangedPlan, []string{"sequence margin from 100 to 7"}},
		"an option that does not":      {func(p *Plan) { p.Options.Jobs = 8 }, ChangedSetting, []string{"--jobs was 2 and is 8"}},
		"a limit":                      {func(p *Plan) { p.Options.MaxRetainedWAL = 20 << 30 }, ChangedSetting, []string{"--max-retained-wal was not said and is 20 GB"}},
		"a timeout":                    {func(p *Plan) { p.Options.SlotTimeout = time.Hour }, ChangedSetting, []string{"--slot-timeout was 1 min and is 1 h"}},
		"a setting":                    {func(p *Plan) { p.Source.Settings["max_wal_senders"] = "20" }, ChangedSetting, []string{"max_wal_senders on the source was 10 and is 20"}},
		"a minor update":               {func(p *Plan) { p.Source.Version = pgver.Version(130024) }, ChangedSetting, []string{"the source was PostgreSQL 13.23 and is 13.24"}},
		"a finding that came": {func(p *Plan) {
			p.Findings = append(p.Findings, Finding{Check: "locks", Severity: Blocker, On: Source, Problem: "too few locks\nreally"})
		}, ChangedFinding, []string{"new blocker locks: too few locks"}},
		"a finding that went":             {func(p *Plan) { p.Findings = p.Findings[:1] }, ChangedFinding, []string{"gone: blocker replica-identity", "public.audit_log"}},
		"a second one of the same":        {func(p *Plan) { p.Findings = append(p.Findings, p.Findings[0]) }, ChangedFinding, []string{"new warning unlogged-tables"}},
		"a finding that is worse":         {func(p *Plan) { p.Findings[0].Severity = Blocker }, ChangedFinding, []string{"unlogged-tables was a warning and is a blocker"}},
		"an acceptance":                   {func(p *Plan) { p.Findings[0].Accepted = true }, ChangedAccepted, []string{"accepted now: unlogged-tables"}},
		"the estimate of the copy":        {func(p *Plan) { p.Totals.Copy = Estimate{4800, "424 GB"} }, ChangedEstimate, []string{"the first copy", "40 min", "1 h 20 min", "424 GB"}},
		"the WAL":                         {func(p *Plan) { p.Totals.RetainedWAL *= 2 }, ChangedEstimate, []string{"12 GB", "24 GB"}},
		"a table that grew":               {func(p *Plan) { p.Source.Relations[0].Bytes *= 2 }, ChangedSize, []string{"public.orders was 213 GB with its indexes and is 425 GB"}},
		"nothing can be planned any more": {func(p *Plan) { p.Stages, p.Totals = nil, nil }, ChangedPlan, []string{"the steps cannot be planned now"}},
	} {
		t.Run(name, func(t *testing.T) {
			old, now := samplePlan(), samplePlan()
			change := c.change
			change(&now)
			list := old.Diff(now)
			text := strings.Join(keys(list, func(c Change) string { return c.Text }), "\n")
			if c.kind == "" && len(list) > 0 {
				t.Fatalf("changes where nothing matters:\n%s", text)
			}
			if c.kind != "" && !slices.ContainsFunc(list, func(x Change) bool { return x.Kind == c.kind }) {
				t.Errorf("no change of kind %s:\n%s", c.kind, text)
			}
			for _, want := range c.says {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not said:\n%s", want, text)
				}
			}
			if Binding(list) != (c.kind == ChangedPlan) || Binding(list) != (old.Fingerprint() != now.Fingerprint()) {
				t.Errorf("binding: %v; the fingerprint differs: %v", Binding(list), old.Fingerprint() != now.Fingerprint())
			}
		})
	}
}

func TestDiffNamesTheLargestOnly(t *testing.T) {
	old, now := samplePlan(), samplePlan()
	for i := range 30 {
		r := Relation{Name: Name{"public", "t" + string(rune('A'+i))}, Kind: "r", Persistence: "p", Bytes: 1 << 30}
		old.Source.Relations = append(old.Source.Relations, r)
		r.Bytes += int64(i+1) << 30
		now.Source.Relations = append(now.Source.Relations, r)
	}
	list := old.Diff(now)
	if last := list[len(list)-1].Text; last != "and 20 more tables" {
		t.Errorf("the last change is %q", last)
	}
}

func TestWriteChanges(t *testing.T) {
	for _, c := range []struct {
		list []Change
		want string
	}{
		{nil, "nothing that matters has changed since old.json\n"},
		{[]Change{{ChangedSize, "t grew"}}, "changed since old.json\n  size        t grew\nwhat will be done is the same: pgleap sync --plan takes the old plan\n"},
		{[]Change{{ChangedPlan, "x"}}, "changed since old.json\n  plan        x\npgleap sync --plan would refuse the old plan: make a new one with pgleap plan --out, and have it read\n"},
	} {
		var b strings.Builder
		if err := WriteChanges(&b, "old.json", c.list); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want {
			t.Errorf("got  %q\nwant %q", b.String(), c.want)
		}
	}
}
