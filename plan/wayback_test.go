package plan

import (
	"strings"
	"testing"
)

// TestWayBack: healthy servers have a way back; everything that stands in the way is named, on its side.
func TestWayBack(t *testing.T) {
	switched := func(kind, state string) func(s, t *Facts, o *Options) {
		return func(s, _ *Facts, _ *Options) {
			s.Definitions.Switched = []SwitchedTrigger{{Kind: kind, Table: Name{"public", "a"}, Name: "audit", Enabled: state}}
		}
	}
	for name, c := range map[string]struct {
		change  func(s, t *Facts, o *Options)
		on      Side
		problem string
		fix     string
	}{
		"healthy":           {func(_, _ *Facts, _ *Options) {}, "", "", ""},
		"an ordinary rule":  {switched("rule", "A"), "", "", ""},
		"a disabled one":    {switched("trigger", "D"), "", "", ""},
		"always":            {switched("trigger", "A"), Source, "trigger audit of public.a is ENABLE ALWAYS", "enable trigger"},
		"replica":           {switched("trigger", "R"), Source, "ENABLE REPLICA", "enable trigger"},
		"of what stays":     {func(s, t *Facts, o *Options) { switched("trigger", "A")(s, t, o); o.ExcludeTables = []string{"a"} }, "", "", ""},
		"copied":            {func(_, _ *Facts, o *Options) { o.CopyInSwitch = true }, Source, "--copy-in-switch", "replica identity"},
		"the target's WAL":  {func(_, t *Facts, _ *Options) { t.Settings["wal_level"] = "replica" }, Target, "wal_level of the target is replica", "RESTART the target"},
		"slots":             {func(_, t *Facts, _ *Options) { t.SlotsUsed = 10 }, Target, "10 of 10 replication slots", "max_replication_slots"},
		"walsenders":        {func(_, t *Facts, _ *Options) { t.SendersUsed = 10 }, Target, "walsenders", "max_wal_senders"},
		"workers":           {func(s, _ *Facts, _ *Options) { s.WorkersUsed = 4 }, Source, "4 of 4 logical replication workers", "RESTART the source"},
		"origins":           {func(s, _ *Facts, _ *Options) { s.OriginsUsed = 10 }, Source, "replication origins", "max_replication_slots"},
		"origins of 18":     {func(s, _ *Facts, _ *Options) { s.OriginsUsed, s.Version = 10, 180001 }, Source, "replication origins", "max_active_replication_origins"},
		"no superuser":      {func(s, _ *Facts, _ *Options) { s.Role = Role{Name: "Up", Replication: true} }, Source, `role "Up" is not a superuser on the source`, "superuser"},
		"no superuser, 16":  {func(s, _ *Facts, _ *Options) { s.Role, s.Version = Role{Name: "up"}, 160001 }, Source, "may not make a subscription", "grant pg_create_subscription to up;"},
		"a plain role":      {func(s, _ *Facts, _ *Options) { s.Role, s.Version = Role{Name: "up", CreateSubscription: true}, 160001 }, "", "", ""},
		"cannot replicate":  {func(_, t *Facts, _ *Options) { t.Role = Role{Name: "up", CreateOnDatabase: true} }, Target, "has no REPLICATION on the target", "alter role up replication;"},
		"cannot publish":    {func(_, t *Facts, _ *Options) { t.Role = Role{Name: "up", Replication: true} }, Target, "may not make a publication", "grant create on database shop to up;"},
		"accepted, as ever": {func(_, _ *Facts, o *Options) { o.CopyInSwitch, o.Accept = true, []string{"reverse-ready"} }, Source, "--copy-in-switch", "leave --copy-in-switch out"},
	} {
		t.Run(name, func(t *testing.T) {
			s, target := healthy()
			var o Options
			c.change(&s, &target, &o)
			found := WayBack(s, target, o)
			if c.problem == "" {
				if len(found) > 0 {
					t.Errorf("said %+v; want nothing", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("%d findings; want one: %+v", len(found), found)
			}
			f := found[0]
			if f.On != c.on || f.Severity != Warning || f.Check != "reverse-ready" || !strings.Contains(f.Problem, c.problem) || !strings.Contains(f.Fix+f.SQL, c.fix) {
				t.Errorf("%+v", f)
			}
			if f.Accepted != (len(o.Accept) > 0) {
				t.Errorf("accepted: %t", f.Accepted)
			}
		})
	}
}

// TestDirection: what is written for a cutover reads right for a rollback.
func TestDirection(t *testing.T) {
	text := "the source is writable again, the target follows: run pgleap cutover; the old server"
	if got := Forward.Words(text); got != text {
		t.Errorf("forward: %s", got)
	}
	if got, want := Backward.Words(text), "the target is writable again, the source follows: run pgleap rollback; the new server"; got != want {
		t.Errorf("backward: %s", got)
	}
	if Forward.Lane("shop").Object() != "pgleap_shop" || Backward.Lane("shop").Object() != "pgleap_shop_back" || Backward.Turned() != Forward || Forward.From() != Backward.To() {
		t.Error("the directions are not each other's opposite")
	}
}
