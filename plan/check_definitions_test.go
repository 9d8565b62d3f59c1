package plan

func at(n int64) *int64 { return &n }

// sequence adds public.s, which stands at last, to the source.
func sequence(s *Facts, q Sequence, p SequencePosition) {
	q.Name, p.Name = Name{"public", "s"}, Name{"public", "s"}
	s.Sequences = append(s.Sequences, q)
	s.Definitions.SequencePositions = append(s.Definitions.SequencePositions, p)
}

func bigSequence() Sequence {
	return Sequence{Type: "bigint", Start: 1, Increment: 1, Min: 1, Max: 1<<63 - 1}
}

func matview(s *Facts, m Relation) {
	m.Name, m.Kind, m.Persistence = Name{"public", "m"}, "m", "p"
	s.Relations = append(s.Relations, m)
}

// tree makes public.b and public.c partitions of public.a.
func tree(s *Facts) {
	root := s.Relations[0].Name
	s.Relations[0].Kind = "p"
	for i := range s.Relations[1:] {
		s.Relations[1+i].Partition, s.Relations[1+i].Root, s.Relations[1+i].Parents = true, &root, []Name{root}
	}
}

func switched(s *Facts, kind, enabled string) {
	s.Definitions.Switched = append(s.Definitions.Switched, SwitchedTrigger{kind, Name{"public", "a"}, "x", enabled})
}

func eventTrigger(s *Facts, e EventTrigger) {
	e.Name = "e"
	s.Definitions.EventTriggers = append(s.Definitions.EventTriggers, e)
}

// calls adds a function that finds app.helper by a search_path only.
func calls(s *Facts, u FunctionUse) {
	u.Function = "app.f(integer)"
	if u.Bare == nil && u.Kind != "" {
		u.Bare, u.Schemas = []string{"helper"}, []string{"app"}
	}
	if u.On.Name == "" {
		u.On = Name{"public", "a"}
	}
	s.Definitions.Functions = append(s.Definitions.Functions, u)
}

func removed(s *Facts, kind, member, uses string) {
	s.Definitions.Removed = append(s.Definitions.Removed, RemovedUse{kind, Name{"public", "a"}, member, uses})
}

// reads adds a view over a column of pg_stat_bgwriter, which the target has without it.
func reads(s, t *Facts, column string) {
	s.Definitions.SystemUses = append(s.Definitions.SystemUses, SystemUse{View: Name{"public", "v"}, Kind: "v", Relation: Name{"pg_catalog", "pg_stat_bgwriter"}, Column: column})
	t.Definitions.SystemColumns = map[string][]string{"pg_catalog.pg_stat_bgwriter": {"buffers_clean"}}
}

func columnOf(s *Facts, c Column) { s.Relations[0].Columns = append(s.Relations[0].Columns, c) }

var definitionCases = map[string][]checkCase{
	"matviews": {
		{"filled", func(s, _ *Facts, _ *Options) { matview(s, Relation{Populated: true, Bytes: 5 << 20}) }, Warning, "materialized view public.m (5 MB) is filled on the target once", "refresh materialized view public.m;"},
		{"concurrently", func(s, _ *Facts, _ *Options) {
			matview(s, Relation{Populated: true, Bytes: 5 << 30})
			s.Definitions.ConcurrentMatViews = []Name{{"public", "m"}}
		}, Warning, "materialized view public.m (5 GB) is filled", "refresh materialized view concurrently public.m;"},
		{"large, without an index", func(s, _ *Facts, _ *Options) { matview(s, Relation{Populated: true, Bytes: 5 << 30}) }, Warning, "public.m (5 GB) has no unique index over plain columns\nit cannot be refreshed concurrently", ""},
		{"refreshed", func(s, _ *Facts, o *Options) {
			matview(s, Relation{Populated: true, Bytes: 5 << 20})
			o.RefreshMatViews = true
		}, Info, "refreshed right before the switch", ""},
		{"empty", func(s, _ *Facts, _ *Options) { matview(s, Relation{}) }, Info, "public.m holds nothing: it was never filled", ""},
		{"left out", func(s, _ *Facts, o *Options) { matview(s, Relation{Populated: true}); o.ExcludeTables = []string{"m"} }, "", "", ""},
	},
	"sequences": {
		{"at its end", func(s, _ *Facts, _ *Options) {
			q := bigSequence()
			q.Type, q.Max = "integer", 1<<31-1
			sequence(s, q, SequencePosition{Last: at(2_000_000_000)})
		}, Warning, "sequence public.s has used 93 % of its values: 147,483,647 are left", "alter sequence public.s as bigint;"},
		{"of a narrow column", func(s, _ *Facts, _ *Options) {
			sequence(s, bigSequence(), SequencePosition{Last: at(2_000_000_000), Table: &Name{"public", "a"}, Column: "id", ColumnType: "integer"})
		}, Warning, "column public.a.id is integer, and its sequence public.s has used 93 % of what fits into it", "alter table public.a alter column id type bigint;"},
		{"both narrow", func(s, _ *Facts, _ *Options) {
			q := bigSequence()
			q.Type, q.Max = "smallint", 1<<15-1
			sequence(s, q, SequencePosition{Last: at(32_000), Table: &Name{"public", "a"}, Column: "id", ColumnType: "smallint"})
		}, Warning, "has used 97 %", "alter table public.a alter column id type bigint;\nalter sequence public.s as bigint;"},
		{"downwards", func(s, _ *Facts, _ *Options) {
			sequence(s, Sequence{Type: "bigint", Increment: -1, Min: -1000, Max: -1}, SequencePosition{Last: at(-900)})
		}, Warning, "sequence public.s has used 89 % of its values: 100 are left", ""},
		{"far from it", func(s, _ *Facts, _ *Options) { sequence(s, bigSequence(), SequencePosition{Last: at(2_000_000_000)}) }, "", "", ""},
		{"round and round", func(s, _ *Facts, _ *Options) {
			sequence(s, Sequence{Type: "bigint", Increment: 1, Min: 1, Max: 100, Cycle: true}, SequencePosition{Last: at(99)})
		}, Info, "begins again at its end (CYCLE)\nhow often it is called", ""},
		{"round, with a margin", func(s, _ *Facts, o *Options) {
			sequence(s, Sequence{Type: "bigint", Increment: 1, Min: 1, Max: 100, Cycle: true}, SequencePosition{Last: at(9)})
			o.SequenceMargin = 1000
		}, Warning, "(CYCLE)\nit gets no margin (--sequence-margin 1000), and how often", ""},
		{"never called", func(s, _ *Facts, _ *Options) { sequence(s, bigSequence(), SequencePosition{}) }, Info, "never called, and carried over as that: public.s", ""},
		{"not readable", func(s, _ *Facts, _ *Options) { sequence(s, bigSequence(), SequencePosition{Unreadable: true}) }, Warning, "role postgres may not read where sequence public.s stands\nthat it was never called cannot be told", "grant select on sequence public.s to postgres;"},
		{"locked", func(s, _ *Facts, _ *Options) { sequence(s, bigSequence(), SequencePosition{Busy: true}) }, Info, "somebody has locked sequence public.s", ""},
		{"not known", func(s, _ *Facts, _ *Options) { s.Sequences = []Sequence{bigSequence()} }, "", "", ""},
	},
	"generated-columns": {
		{"stored", func(s, _ *Facts, _ *Options) { columnOf(s, Column{Name: "g", Generated: "s"}) }, Info, "public.a has generated columns (g): they are not replicated", ""},
		{"virtual", func(s, _ *Facts, _ *Options) { columnOf(s, Column{Name: "g", Generated: "v"}) }, Info, "public.a has virtual columns (g)", ""},
		{"by the clock", func(s, _ *Facts, _ *Options) {
			columnOf(s, Column{Name: "g", Generated: "s"})
			calls(s, FunctionUse{Kind: "generated column", Member: "g", Changing: []string{"helper", "now"}})
		}, Warning, "generated column g of public.a calls app.f(integer), which is declared immutable and depends on helper and now\nthe target computes", ""},
		{"of another table", func(s, _ *Facts, _ *Options) {
			calls(s, FunctionUse{Kind: "generated column", On: Name{"public", "b"}, Member: "g"})
		}, "", "", ""},
	},
	"partitions": {
		{"a tree", func(s, _ *Facts, _ *Options) { tree(s) }, Info, "public.a is published by its 2 partitions\na partition that is made while the sync runs is not", ""},
		{"unlogged", func(s, _ *Facts, _ *Options) { tree(s); s.Relations[1].Persistence = "u" }, Warning, "partition public.b of public.a is unlogged\nit arrives empty", "alter table public.b set logged;"},
		{"foreign", func(s, _ *Facts, _ *Options) { tree(s); s.Relations[1].Kind = "f" }, Warning, "partition public.b of public.a is a foreign table", ""},
		{"ends soon", func(s, _ *Facts, _ *Options) {
			tree(s)
			s.Definitions.TimePartitions = []TimePartitions{{Name{"public", "a"}, "2026-12-01", 2.5, false}}
		}, Warning, "the newest partition of public.a ends on 2026-12-01, in 3 days: rows after that day are refused", ""},
		{"has ended", func(s, _ *Facts, _ *Options) {
			tree(s)
			s.Definitions.TimePartitions = []TimePartitions{{Name{"public", "a"}, "2026-12-01", -2.5, true}}
		}, Warning, "ends on 2026-12-01, and that is past: rows after that day go to the default partition", ""},
		{"pg_partman", func(s, t *Facts, _ *Options) {
			tree(s)
			installed(s, t, "pg_partman", "5", ExtensionDefault{Version: "5"})
		}, Warning, "pg_partman makes and drops partitions by itself", ""},
		{"left out", func(s, _ *Facts, o *Options) {
			tree(s)
			s.Relations = append(s.Relations, Relation{Name: Name{"public", "d"}, Kind: "r", Persistence: "p", IdentityUsable: true})
			o.Tables = []string{"d"}
			s.Definitions.TimePartitions = []TimePartitions{{Name{"public", "a"}, "2026-12-01", 2, false}}
		}, "", "", ""},
	},
	"always-triggers": {
		{"always", func(s, _ *Facts, _ *Options) { switched(s, "trigger", "A") }, Info, "trigger x of public.a is ENABLE ALWAYS: it fires for replicated rows too", ""},
		{"replica", func(s, _ *Facts, _ *Options) { switched(s, "trigger", "R") }, Info, "ENABLE REPLICA", ""},
		{"a rule", func(s, _ *Facts, _ *Options) { switched(s, "rule", "A") }, Info, "neither the first copy nor apply looks at rules", ""},
		{"disabled", func(s, _ *Facts, _ *Options) { switched(s, "trigger", "D") }, "", "", ""},
		{"left out", func(s, _ *Facts, o *Options) { switched(s, "trigger", "A"); o.ExcludeTables = []string{"a"} }, "", "", ""},
	},
	"event-triggers": {
		{"any", func(s, _ *Facts, _ *Options) { eventTrigger(s, EventTrigger{Event: "ddl_command_start", Enabled: "O"}) }, Warning, "event trigger e (ddl_command_start) fires for pgleap's own statements too", "alter event trigger e disable;"},
		{"ours", func(s, _ *Facts, _ *Options) {
			eventTrigger(s, EventTrigger{Event: "sql_drop", Enabled: "A", Tags: []string{"DROP TABLE", "DROP SCHEMA"}})
		}, Warning, "event trigger e (sql_drop)", "alter event trigger e disable;"},
		{"not ours", func(s, _ *Facts, _ *Options) {
			eventTrigger(s, EventTrigger{Event: "sql_drop", Enabled: "O", Tags: []string{"DROP TABLE"}})
		}, Info, "event trigger e fires for none of pgleap's own statements", ""},
		{"disabled", func(s, _ *Facts, _ *Options) { eventTrigger(s, EventTrigger{Event: "sql_drop", Enabled: "D"}) }, Info, "event trigger e is disabled, and stays so", ""},
		{"replica", func(s, _ *Facts, _ *Options) { eventTrigger(s, EventTrigger{Event: "sql_drop", Enabled: "R"}) }, Info, "ENABLE REPLICA", ""},
		{"login", func(s, _ *Facts, _ *Options) { eventTrigger(s, EventTrigger{Event: "login", Enabled: "O"}) }, Warning, "event trigger e fires at every login", ""},
		{"without superuser", func(s, t *Facts, _ *Options) {
			eventTrigger(s, EventTrigger{Event: "sql_drop", Enabled: "D"})
			t.Role.Superuser = false
		}, Warning, "event trigger e can be made by a superuser only", "drop event trigger e; -- on the source"},
	},
	"search-path-functions": {
		{"check", func(s, _ *Facts, _ *Options) { calls(s, FunctionUse{Kind: "check constraint", Member: "k"}) }, Blocker, "app.f(integer) needs a search_path to find helper; it is used by check constraint k of public.a\nwithout one the first copy and apply fail", "alter function app.f(integer) set search_path = app;"},
		{"index", func(s, _ *Facts, _ *Options) { calls(s, FunctionUse{Kind: "index", Member: "i"}) }, Blocker, "used by index i of public.a\nwithout one the index cannot be built, or apply stops once it is there. From PostgreSQL 17 on", "alter function app.f(integer) set search_path = app;"},
		{"index to 16", func(s, t *Facts, _ *Options) {
			t.Version = version(16)
			calls(s, FunctionUse{Kind: "index", Member: "i", Bare: []string{"helper"}, Schemas: []string{"App", "x"}})
		}, Blocker, "apply stops once it is there", `alter function app.f(integer) set search_path = "App", x;`},
		{"twice", func(s, _ *Facts, _ *Options) {
			calls(s, FunctionUse{Kind: "domain", On: Name{"public", "d"}})
			calls(s, FunctionUse{Kind: "statistics", Member: "st"})
		}, Blocker, "used by domain public.d and statistics st of public.a\nwithout one the first copy and apply fail on each row, and replication stops; ANALYZE fails", "alter function app.f(integer) set search_path = app;"},
		{"partition key", func(s, _ *Facts, _ *Options) { calls(s, FunctionUse{Kind: "partition key"}) }, Blocker, "partition key of public.a", "alter function app.f(integer) set search_path = app;"},
		{"through another", func(s, _ *Facts, _ *Options) {
			calls(s, FunctionUse{Kind: "check constraint", Member: "k", Through: "app.g()"})
		}, Blocker, "app.f(integer), by way of app.g(), needs", "alter function app.g() set search_path = app;"},
		{"unsure", func(s, _ *Facts, _ *Options) {
			calls(s, FunctionUse{Kind: "check constraint", Member: "k", Unsure: true})
		}, Warning, "needs a search_path", "alter function app.f(integer) set search_path = app;"},
		{"of an extension", func(s, _ *Facts, _ *Options) {
			calls(s, FunctionUse{Kind: "index", Member: "i", Extension: "earthdistance"})
		}, Warning, "needs a search_path", ""},
		{"a materialized view", func(s, _ *Facts, _ *Options) {
			matview(s, Relation{Populated: true})
			calls(s, FunctionUse{Kind: "materialized view", On: Name{"public", "m"}})
		}, Blocker, "materialized view public.m\nwithout one the materialized view cannot be filled", "alter function app.f(integer) set search_path = app;"},
		{"one that is empty", func(s, _ *Facts, _ *Options) {
			matview(s, Relation{})
			calls(s, FunctionUse{Kind: "materialized view", On: Name{"public", "m"}})
		}, Warning, "materialized view public.m", "alter function app.f(integer) set search_path = app;"},
		{"left out", func(s, _ *Facts, o *Options) {
			calls(s, FunctionUse{Kind: "index", Member: "i"})
			o.ExcludeTables = []string{"a"}
		}, "", "", ""},
		{"needs none", func(s, _ *Facts, _ *Options) { calls(s, FunctionUse{}) }, "", "", ""},
	},
	"removed-features": {
		{"with oids", func(s, _ *Facts, _ *Options) { s.Relations[0].WithOIDs = true }, Blocker, "public.a is made WITH OIDS", "alter table public.a set without oids;"},
		{"abstime", func(s, _ *Facts, _ *Options) { removed(s, "column", "at", "abstime") }, Blocker, "column public.a.at is of type abstime\nPostgreSQL 12 and later have no such type", "alter table public.a alter column at type timestamptz;"},
		{"tinterval", func(s, _ *Facts, _ *Options) { removed(s, "column", "at", "tinterval") }, Blocker, "is of type tinterval", ""},
		{"a domain", func(s, _ *Facts, _ *Options) { removed(s, "domain", "", "reltime") }, Blocker, "domain public.a stands on type reltime", ""},
		{"a function", func(s, _ *Facts, _ *Options) { removed(s, "function", "abstime", "abstime") }, Blocker, "function public.a(abstime) takes or returns abstime", "drop function public.a(abstime);"},
		{"abstime to 11", func(s, t *Facts, _ *Options) {
			s.Version, t.Version = version(10), version(11)
			removed(s, "column", "at", "abstime")
		}, "", "", ""},
		{"postfix", func(s, _ *Facts, _ *Options) {
			s.Definitions.Removed = []RemovedUse{{"postfix operator", Name{"app", "!!"}, "bigint", ""}}
		}, Blocker, "app.!! (bigint, none) is a postfix operator", "drop operator app.!! (bigint, none);"},
		{"postfix to 13", func(s, t *Facts, _ *Options) { t.Version = version(13); removed(s, "postfix operator", "bigint", "") }, "", "", ""},
		{"an aggregate", func(s, _ *Facts, _ *Options) { removed(s, "aggregate", "anyelement", "array_append") }, Blocker, "aggregate public.a(anyelement) is built on array_append(anyarray, …)", ""},
		{"an aggregate to 13", func(s, t *Facts, _ *Options) {
			t.Version = version(13)
			removed(s, "aggregate", "anyelement", "array_append")
		}, "", "", ""},
		{"a cast", func(s, t *Facts, _ *Options) {
			s.Definitions.Removed = []RemovedUse{{"cast", Name{"", "integer"}, "bytea", ""}}
			t.Definitions.SystemCasts = []string{"integer as bytea"}
		}, Blocker, "cast (integer as bytea) is your own on the source, and PostgreSQL 18 has one itself", "drop cast (integer as bytea);"},
		{"a cast of its own", func(s, _ *Facts, _ *Options) { removed(s, "cast", "bytea", "") }, "", "", ""},
		{"a view", func(s, t *Facts, _ *Options) { reads(s, t, "buffers_checkpoint") }, Blocker, "view public.v reads pg_catalog.pg_stat_bgwriter, which on the target has no buffers_checkpoint any more", ""},
		{"a view over what is there", func(s, t *Facts, _ *Options) { reads(s, t, "buffers_clean") }, "", "", ""},
		{"a view over what is gone", func(s, t *Facts, _ *Options) {
			reads(s, t, "x")
			t.Definitions.SystemColumns = map[string][]string{"pg_catalog.pg_class": {"oid"}}
		}, Blocker, "pg_catalog.pg_stat_bgwriter, which on the target is gone", ""},
		{"a plan that was read back", func(s, t *Facts, _ *Options) { reads(s, t, "x"); t.Definitions.SystemColumns = nil }, "", "", ""},
		{"statements", func(s, t *Facts, _ *Options) {
			s.Definitions.SystemUses = []SystemUse{{Name{"public", "v"}, "v", Name{"public", "pg_stat_statements"}, "total_time", "pg_stat_statements"}}
			t.Definitions.ExtensionDefaults = map[string]ExtensionDefault{"pg_stat_statements": {Version: "1.10"}}
		}, Blocker, "view public.v reads public.pg_stat_statements, which on the target has no total_time any more", ""},
		{"statements, nearly as old", func(s, t *Facts, _ *Options) {
			s.Definitions.SystemUses = []SystemUse{{Name{"public", "v"}, "v", Name{"public", "pg_stat_statements"}, "blk_read_time", "pg_stat_statements"}}
			t.Definitions.ExtensionDefaults = map[string]ExtensionDefault{"pg_stat_statements": {Version: "1.10"}}
		}, "", "", ""},
		{"regclass", func(s, _ *Facts, _ *Options) { columnOf(s, Column{Name: "c", Type: "regclass[]"}) }, Warning, "column public.a.c is of type regclass[]: it travels as a name", ""},
		{"regproc", func(s, _ *Facts, _ *Options) { columnOf(s, Column{Name: "c", Type: "regproc[]"}) }, Warning, "a name that several functions", "alter table public.a alter column c type regprocedure[];"},
		{"regtype", func(s, _ *Facts, _ *Options) { columnOf(s, Column{Name: "c", Type: "regtype"}) }, Info, "column public.a.c is of type regtype", ""},
		{"a type of the user's", func(s, _ *Facts, _ *Options) { columnOf(s, Column{Name: "c", Type: "region"}) }, "", "", ""},
	},
	"invalid-objects": {
		{"an index", func(s, _ *Facts, _ *Options) {
			s.Definitions.Invalid = []InvalidObject{{Kind: "index", Table: Name{"public", "a"}, Name: "i"}}
		}, Warning, "index i of public.a is not valid", "drop index concurrently public.i;"},
		{"a unique one", func(s, _ *Facts, _ *Options) {
			s.Definitions.Invalid = []InvalidObject{{Kind: "index", Table: Name{"public", "a"}, Name: "i", Unique: true}}
		}, Warning, "nothing there would keep values unique", "drop index concurrently public.i;"},
		{"one that is built", func(s, _ *Facts, _ *Options) {
			s.Definitions.Invalid = []InvalidObject{{Kind: "index", Table: Name{"public", "a"}, Name: "i", Running: true}}
		}, Warning, "index i of public.a is just being built", ""},
		{"a constraint", func(s, _ *Facts, _ *Options) {
			s.Definitions.Invalid = []InvalidObject{{Kind: "foreign key", Table: Name{"public", "a"}, Name: "k"}}
		}, Warning, "foreign key k of public.a was never validated (NOT VALID), and stays so", "alter table public.a validate constraint k;"},
		{"of a domain", func(s, _ *Facts, _ *Options) {
			s.Definitions.Invalid = []InvalidObject{{Kind: "domain constraint", Table: Name{"public", "d"}, Name: "k"}}
		}, Warning, "domain constraint k of public.d was never validated", "alter domain public.d validate constraint k;"},
		{"a foreign key that is off", func(s, _ *Facts, _ *Options) { switched(s, "foreign key", "D") }, Warning, "the triggers of foreign key x of public.a are disabled", "alter table public.a enable trigger all;"},
		{"a disabled trigger", func(s, _ *Facts, _ *Options) { switched(s, "trigger", "D") }, Info, "trigger x of public.a is disabled, and stays so", ""},
		{"always", func(s, _ *Facts, _ *Options) { switched(s, "trigger", "A") }, "", "", ""},
		{"left out", func(s, _ *Facts, o *Options) {
			s.Definitions.Invalid = []InvalidObject{{Kind: "index", Table: Name{"public", "a"}, Name: "i"}}
			o.ExcludeTables = []string{"a"}
		}, "", "", ""},
	},
}
