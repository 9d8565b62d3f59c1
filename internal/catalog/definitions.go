package catalog

import (
	"cmp"
	"slices"
	"strings"

	"pgleap/internal/pgver"
	"pgleap/plan"
)

// definitions reads what checks want to know of definitions, and of what is no table.
func (r *reader) definitions() error {
	steps := []func() error{r.largeObjects, r.uniqueIndexes}
	if r.facts.Side == plan.Source {
		steps = append(steps, r.concurrentMatViews, r.sequencePositions, r.timePartitions, r.switchedTriggers, r.eventTriggers, r.invalidObjects,
			r.removedUses, r.systemUses, r.functionUses, r.typeUses)
	} else {
		steps = append(steps, r.extensionDefaults, r.systemColumns)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// definitionMarks are the marks of the queries over definitions.
func definitionMarks(v pgver.Version) []string {
	position, enforced, first := "pg_sequence_last_value(s.oid)", "true", "8"
	if v.Has(pgver.SequenceData) {
		position = "(select d.last_value from pg_get_sequence_data(s.oid) d where d.is_called)"
	}
	if v.Has(pgver.NotEnforced) {
		enforced = "k.conenforced"
	}
	if v.Has(pgver.RelationOIDs) {
		first = "7" // there is one system column less
	}
	return []string{"{{position}}", position, "{{enforced}}", enforced, "{{first_column}}", first}
}

func (r *reader) concurrentMatViews() (err error) {
	r.facts.Definitions.ConcurrentMatViews, err = query[plan.Name](r, "definitions_matviews")
	return err
}

// sequencesAtOnce bounds how many sequences one statement holds its locks on.
const sequencesAtOnce = 1000

func (r *reader) sequencePositions() error {
	for after := int64(0); ; {
		rows, err := query[struct {
			OID                                                      int64
			Schema, Name, TableSchema, TableName, Column, ColumnType string
			Readable, Busy                                           bool
			Last                                                     *int64
		}](r, "definitions_sequences", after, sequencesAtOnce)
		if err != nil {
			return err
		}
		for _, s := range rows {
			p := plan.SequencePosition{
				Name: plan.Name{Schema: s.Schema, Name: s.Name}, Last: s.Last, Unreadable: !s.Readable, Busy: s.Busy, Column: s.Column, ColumnType: s.ColumnType,
			}
			if s.TableName != "" {
				p.Table = &plan.Name{Schema: s.TableSchema, Name: s.TableName}
			}
			r.facts.Definitions.SequencePositions = append(r.facts.Definitions.SequencePositions, p)
			after = s.OID
		}
		if len(rows) < sequencesAtOnce {
			break
		}
	}
	slices.SortFunc(r.facts.Definitions.SequencePositions, func(a, b plan.SequencePosition) int {
		return cmp.Or(strings.Compare(a.Name.Schema, b.Name.Schema), strings.Compare(a.Name.Name, b.Name.Name))
	})
	return nil
}

func (r *reader) timePartitions() error {
	rows, err := query[struct {
		Schema, Name, Ends string
		Days               float64
		HasDefault         bool
	}](r, "definitions_partitions")
	for _, p := range rows {
		r.facts.Definitions.TimePartitions = append(r.facts.Definitions.TimePartitions, plan.TimePartitions{
			Root: plan.Name{Schema: p.Schema, Name: p.Name}, Ends: p.Ends, Days: p.Days, Default: p.HasDefault,
		})
	}
	return err
}

func (r *reader) switchedTriggers() error {
	rows, err := query[struct{ Kind, Schema, Relation, Name, Enabled string }](r, "definitions_triggers")
	for _, t := range rows {
		r.facts.Definitions.Switched = append(r.facts.Definitions.Switched, plan.SwitchedTrigger{
			Kind: t.Kind, Table: plan.Name{Schema: t.Schema, Name: t.Relation}, Name: t.Name, Enabled: t.Enabled,
		})
	}
	return err
}

func (r *reader) eventTriggers() (err error) {
	r.facts.Definitions.EventTriggers, err = query[plan.EventTrigger](r, "definitions_event_triggers")
	return err
}

func (r *reader) invalidObjects() error {
	rows, err := query[struct {
		Kind, Schema, Relation, Name string
		IsUnique, Running            bool
	}](r, "definitions_invalid")
	for _, o := range rows {
		r.facts.Definitions.Invalid = append(r.facts.Definitions.Invalid, plan.InvalidObject{
			Kind: o.Kind, Table: plan.Name{Schema: o.Schema, Name: o.Relation}, Name: o.Name, Unique: o.IsUnique, Running: o.Running,
		})
	}
	return err
}

func (r *reader) removedUses() error {
	rows, err := query[struct{ Kind, Schema, Name, Member, Uses string }](r, "definitions_removed")
	for _, u := range rows {
		r.facts.Definitions.Removed = append(r.facts.Definitions.Removed, plan.RemovedUse{
			Kind: u.Kind, Name: plan.Name{Schema: u.Schema, Name: u.Name}, Member: u.Member, Uses: u.Uses,
		})
	}
	return err
}

func (r *reader) systemUses() error {
	rows, err := query[struct{ Schema, Name, Kind, RelationSchema, Relation, Column, Extension string }](r, "definitions_system_uses")
	for _, u := range rows {
		r.facts.Definitions.SystemUses = append(r.facts.Definitions.SystemUses, plan.SystemUse{
			View: plan.Name{Schema: u.Schema, Name: u.Name}, Kind: u.Kind, Relation: plan.Name{Schema: u.RelationSchema, Name: u.Relation},
			Column: u.Column, Extension: u.Extension,
		})
	}
	return err
}

func (r *reader) typeUses() error {
	rows, err := query[struct {
		Type, Schema, Relation, Column string
		Enum                           bool
	}](r, "definitions_type_uses")
	for _, u := range rows {
		r.facts.Definitions.TypeUses = append(r.facts.Definitions.TypeUses, plan.TypeUse{
			Type: u.Type, Enum: u.Enum, Table: plan.Name{Schema: u.Schema, Name: u.Relation}, Column: u.Column,
		})
	}
	return err
}

func (r *reader) extensionDefaults() error {
	rows, err := query[struct {
		Name, Version string
		Superuser     bool
	}](r, "definitions_extensions")
	r.facts.Definitions.ExtensionDefaults = map[string]plan.ExtensionDefault{}
	for _, e := range rows {
		r.facts.Definitions.ExtensionDefaults[e.Name] = plan.ExtensionDefault{Version: e.Version, Superuser: e.Superuser}
	}
	return err
}

// systemColumns reads what PostgreSQL's own relations and casts are on the target.
func (r *reader) systemColumns() error {
	rows, err := query[struct {
		Relation string
		Columns  []string
	}](r, "definitions_system_columns")
	if err != nil {
		return err
	}
	r.facts.Definitions.SystemColumns = map[string][]string{}
	for _, c := range rows {
		r.facts.Definitions.SystemColumns[c.Relation] = c.Columns
	}
	r.facts.Definitions.SystemCasts, err = list[string](r, "casts",
		"select format_type(castsource, null) || ' as ' || format_type(casttarget, null) from pg_cast where oid < 16384 order by 1")
	return err
}
