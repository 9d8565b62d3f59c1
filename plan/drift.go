package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Drift says in sentences what differs between the saved plan p and now, a plan made from the servers as
// they are. No sentence means that both have the same fingerprint, and p may be carried out.
func (p Plan) Drift(now Plan) []string {
	a, b := settled(essence(p)), settled(essence(now))
	var d drift
	d.field("the plan", "format", a.Format, b.Format)
	d.field("the plan", "run", a.Run, b.Run)
	d.options(a.Options, b.Options)
	d.field("the plan", "lanes", a.Lanes, b.Lanes)
	d.server(Source, a.Source.serverEssence, b.Source.serverEssence)
	d.server(Target, a.Target, b.Target)
	d.source(a.Source, b.Source)
	d.stages(a.Stages, b.Stages)
	d.stages(a.Back, b.Back)
	if len(d) == 0 && p.Fingerprint() != now.Fingerprint() {
		d.say("the plan's fingerprint changed from %.12s to %.12s", p.Fingerprint(), now.Fingerprint())
	}
	return d
}

// drift collects the sentences.
type drift []string

func (d *drift) say(format string, args ...any) {
	*d = append(*d, OneLine(fmt.Sprintf(format, args...)))
}

// field compares one value of something that is on both sides.
func (d *drift) field(of, name string, was, is any) {
	if reflect.DeepEqual(was, is) {
		return
	}
	d.say("%s changed its %s from %s to %s", of, name, shown(was), shown(is))
}

// fields compares two structs of one type, field by field; fields that are named in except are left to the
// caller.
func (d *drift) fields(of string, was, is any, except ...string) {
	a, b := reflect.ValueOf(was), reflect.ValueOf(is)
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if !slices.Contains(except, f.Name) {
			d.field(of, words(f.Name), a.Field(i).Interface(), b.Field(i).Interface())
		}
	}
}

func (d *drift) options(was, is Options) { d.fields("the plan's options", was, is) }

func (d *drift) server(side Side, was, is serverEssence) {
	if was.SystemID != is.SystemID {
		d.say("the %s is another server: its system identifier was %s and is %s", side, was.SystemID, is.SystemID)
	}
	d.fields("the "+string(side), was, is, "SystemID")
}

func (d *drift) source(was, is sourceEssence) {
	for _, name := range essentialSettings {
		d.field("the source", name, was.Settings[name], is.Settings[name])
	}
	same := func(s string) string { return s }
	compare(d, "schema", was.Schemas, is.Schemas, same, nil)
	compare(d, "extension", was.Extensions, is.Extensions, func(e Extension) string { return e.Name },
		func(of string, was, is Extension) { d.fields(of, was, is, "Name") })
	compare(d, "", was.Relations, is.Relations, relationTitle, d.relation)
	compare(d, "sequence", was.Sequences, is.Sequences, func(s Sequence) string { return s.Name.String() },
		func(of string, was, is Sequence) { d.fields(of, was, is, "Name") })
	compare(d, "foreign key", was.ForeignKeys, is.ForeignKeys, func(k ForeignKey) string { return QuoteIdent(k.Name) + " of " + k.From.String() },
		func(of string, was, is ForeignKey) { d.fields(of, was, is, "Name", "From") })
	compare(d, "the use of role", was.RolesUsed, is.RolesUsed, same, nil)
}

// compare names what of a list came, went or differs. Each calls changed, where it is given, for what is in
// both lists.
func compare[T any](d *drift, kind string, was, is []T, title func(T) string, changed func(of string, was, is T)) {
	label := func(v T) string { return strings.TrimSpace(kind + " " + title(v)) }
	before, after := map[string]T{}, map[string]T{}
	for _, v := range was {
		before[title(v)] = v
	}
	for _, v := range is {
		after[title(v)] = v
	}
	for _, v := range was {
		other, ok := after[title(v)]
		if !ok {
			d.say("%s was removed on the source", label(v))
		} else if changed != nil {
			changed(label(v), v, other)
		}
	}
	for _, v := range is {
		if _, ok := before[title(v)]; !ok {
			d.say("%s was added on the source", label(v))
		}
	}
}

func relationTitle(r Relation) string {
	kind := map[string]string{"r": "table", "p": "partitioned table", "m": "materialized view", "f": "foreign table", "v": "view"}[r.Kind]
	if kind == "" {
		kind = "relation"
	}
	return kind + " " + r.Name.String()
}

func (d *drift) relation(of string, was, is Relation) {
	d.fields(of, was, is, "Name", "Kind", "Columns")
	table := was.Name.String() + "."
	compare(d, "column", was.Columns, is.Columns, func(c Column) string { return table + QuoteIdent(c.Name) },
		func(of string, was, is Column) { d.fields(of, was, is, "Name") })
	d.order("the columns of "+was.Name.String(), keys(was.Columns, columnName), keys(is.Columns, columnName))
}

func columnName(c Column) string { return c.Name }

func (d *drift) stages(was, is []stageEssence) {
	id := func(s stageEssence) string { return string(s.ID) }
	after := map[StageID]stageEssence{}
	for _, s := range is {
		after[s.ID] = s
	}
	before := map[StageID]bool{}
	for _, s := range was {
		before[s.ID] = true
		if other, ok := after[s.ID]; ok {
			d.stage(s, other)
		} else {
			d.say("stage %s is gone", s.ID)
		}
	}
	for _, s := range is {
		if !before[s.ID] {
			d.say("stage %s is new", s.ID)
		}
	}
	d.order("the stages", keys(was, id), keys(is, id))
}

func (d *drift) stage(was, is stageEssence) {
	d.fields("stage "+string(was.ID), was, is, "ID", "Steps")
	before, after := map[StepID]stepEssence{}, map[StepID]stepEssence{}
	for _, s := range was.Steps {
		before[s.ID] = s
	}
	for _, s := range is.Steps {
		after[s.ID] = s
		if _, ok := before[s.ID]; !ok {
			d.say("step %s is new", s.ID)
		}
	}
	for _, s := range was.Steps {
		if other, ok := after[s.ID]; ok {
			d.step(s, other)
		} else {
			d.say("step %s is gone", s.ID)
		}
	}
	id := func(s stepEssence) string { return string(s.ID) }
	d.order("the steps of stage "+string(was.ID), keys(was.Steps, id), keys(is.Steps, id))
}

// step tells only what of a step changed: its statements may be long.
func (d *drift) step(was, is stepEssence) {
	var changed []string
	a, b := reflect.ValueOf(was), reflect.ValueOf(is)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			changed = append(changed, words(a.Type().Field(i).Name))
		}
	}
	if len(changed) > 0 {
		d.say("step %s changed: %s", was.ID, strings.Join(changed, ", "))
	}
}

// order says that the same things stand in another order; what came or went was said already.
func (d *drift) order(of string, was, is []string) {
	if !slices.Equal(was, is) && maps.Equal(counts(was), counts(is)) {
		d.say("%s stand in another order", of)
	}
}

func keys[T any](list []T, key func(T) string) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, key(v))
	}
	return out
}

func counts(list []string) map[string]int {
	n := map[string]int{}
	for _, s := range list {
		n[s]++
	}
	return n
}
