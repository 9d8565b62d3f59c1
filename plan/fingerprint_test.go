package plan

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pgver"
)

// Fields of Facts that the fingerprint holds. A new field has to be put here, or into volatileFacts, on
// purpose: forgotten, it would let a drifted plan pass or refuse one that is still right.
var (
	factsOfSource = fields("Version SystemID Database Encoding Recovery Settings Schemas Relations Sequences ForeignKeys Extensions RolesUsed")
	factsOfTarget = fields("Version SystemID Database Encoding Recovery")
	volatileFacts = fields(`Side Address User ReadOnly Role Available Roles ExtensionData LargeObjects UserObjects Leftovers
		SlotsUsed SendersUsed WorkersUsed OriginsUsed Prepared Transactions ReachesSource ReachesTarget PgDump Cluster Definitions RoleDetails Trial`)
	volatileOfRelation = fields("OID Identity IdentityUsable IdentityIndex IdentityCandidate IdentityGenerated NoEquality Rows Bytes IndexBytes Changes UniqueIndex Disorder")
	volatileOfStep     = fields("Title Why Hazards Weight Lock Notice Estimate Table ByHand Trouble")
	volatileOfStage    = fields("Title Speed")
	volatileOfOptions  = fields("Jobs SlotTimeout MaxCopyRate MaxRetainedWAL MaxStandbyLag Accept CopyJobs CopySplit CopyWhy Spread")
	volatileOfPlan     = fields("Tool Findings Totals")
)

func fields(s string) []string { return strings.Fields(s) }

// TestFingerprintKnowsEveryField changes one field after the other and looks whether fingerprint and drift
// both tell, or both do not.
func TestFingerprintKnowsEveryField(t *testing.T) {
	for _, c := range []struct {
		of       string
		at       func(*Plan) any
		volatile []string
	}{
		{"source", func(p *Plan) any { return &p.Source }, volatileFacts},
		{"target", func(p *Plan) any { return &p.Target }, append(slices.Clone(volatileFacts), without(factsOfSource, factsOfTarget)...)},
		{"relation", func(p *Plan) any { return &p.Source.Relations[0] }, volatileOfRelation},
		{"column", func(p *Plan) any { return &p.Source.Relations[0].Columns[0] }, nil},
		{"sequence", func(p *Plan) any { return &p.Source.Sequences[0] }, nil},
		{"foreign key", func(p *Plan) any { return &p.Source.ForeignKeys[0] }, nil},
		{"extension", func(p *Plan) any { return &p.Source.Extensions[0] }, nil},
		{"step", func(p *Plan) any { return &p.Stages[0].Steps[0] }, volatileOfStep},
		{"stage", func(p *Plan) any { return &p.Stages[0] }, volatileOfStage},
		{"options", func(p *Plan) any { return &p.Options }, volatileOfOptions},
		{"plan", func(p *Plan) any { return p }, volatileOfPlan},
	} {
		typ := reflect.TypeOf(c.at(new(samplePlan()))).Elem()
		for i := range typ.NumField() {
			name := typ.Field(i).Name
			if c.of == "plan" && typ.Field(i).Type == reflect.TypeFor[Facts]() {
				continue // field by field above
			}
			t.Run(c.of+"/"+name, func(t *testing.T) {
				now := samplePlan()
				change(t, reflect.ValueOf(c.at(&now)).Elem().Field(i))
				expectDrift(t, now, !slices.Contains(c.volatile, name))
			})
		}
	}
}

func expectDrift(t *testing.T, now Plan, want bool) {
	t.Helper()
	saved := samplePlan()
	differs := saved.Fingerprint() != now.Fingerprint()
	sentences := saved.Drift(now)
	if differs != want {
		t.Errorf("fingerprint differs: %v; want %v", differs, want)
	}
	if (len(sentences) > 0) != want {
		t.Errorf("drift %q; want some: %v", sentences, want)
	}
	for _, s := range sentences {
		if strings.Contains(s, "fingerprint") {
			t.Errorf("nobody can act on %q", s)
		}
	}
}

// change gives v a value that it does not have.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 10_000) // of a version: another major
	case reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		change(t, v.Elem())
	case reflect.Struct:
		if v.NumField() > 0 {
			change(t, v.Field(0))
		}
	case reflect.Slice:
		more := reflect.New(v.Type().Elem()).Elem()
		change(t, more)
		v.Set(reflect.Append(v, more))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		change(t, value)
		v.SetMapIndex(reflect.ValueOf("wal_level"), value)
	default:
		t.Fatalf("do not know how to change a %s", v.Kind())
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

func TestFingerprintIgnores(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"a minor update":           func(p *Plan) { p.Source.Version = pgver.Version(130024) },
		"headroom settings":        func(p *Plan) { p.Source.Settings["max_wal_senders"] = "20" },
		"the order of facts":       func(p *Plan) { slices.Reverse(p.Source.Relations); slices.Reverse(p.Source.Schemas) },
		"the order within a batch": func(p *Plan) { slices.Reverse(p.Stages[1].Steps) },
		"our schema": func(p *Plan) {
			p.Source.Schemas = append(p.Source.Schemas, "pgleap")
			p.Source.Relations = append(p.Source.Relations, Relation{Name: Name{"pgleap", "marker"}, Kind: "r", Persistence: "p"})
		},
		"empty for nil": func(p *Plan) { p.Options.Tables = []string{}; p.Source.Relations[0].Parents = []Name{} },
		"what our walk made on the target": func(p *Plan) {
			p.Target.Relations, p.Target.Sequences, p.Target.Extensions = p.Source.Relations, p.Source.Sequences, p.Source.Extensions
			p.Target.Schemas, p.Target.RolesUsed = p.Source.Schemas, p.Source.RolesUsed
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := samplePlan()
			change(&now)
			expectDrift(t, now, false)
		})
	}
}

func TestFingerprintLooksLikeOne(t *testing.T) {
	if got := samplePlan().Fingerprint(); len(got) != 64 || strings.Trim(got, "0123456789abcdef") != "" {
		t.Errorf("fingerprint %q; want 64 hexadecimal digits", got)
	}
}
