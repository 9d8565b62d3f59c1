package plan

// plain takes superuser from a role; what else it may do stays.
func plain(r *Role) { r.Name, r.Superuser, r.MemberOf = "mover", false, []string{"app", "mover"} }

var privilegeCases = map[string][]checkCase{
	"privileges": {
		{"a plain role with all it needs", func(s, t *Facts, _ *Options) { plain(&s.Role); plain(&t.Role) }, "", "", ""},
		{"replication", func(s, _ *Facts, _ *Options) { plain(&s.Role); s.Role.Replication = false }, Blocker, "role mover has no REPLICATION", "alter role mover replication;"},
		{"replication on rds", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Role.Replication, s.Roles = false, append(s.Roles, "rds_replication")
		}, Blocker, "no REPLICATION", "grant rds_replication to mover;"},
		{"create on the source", func(s, _ *Facts, _ *Options) { plain(&s.Role); s.Role.CreateOnDatabase = false }, Blocker, "could not make the publication", "grant create on database shop to mover;"},
		{"all tables", func(s, _ *Facts, o *Options) { plain(&s.Role); o.AllTables = true }, Blocker, "only one may publish all tables", ""},
		{"one table not owned", func(s, _ *Facts, _ *Options) { plain(&s.Role); s.Role.NotOwned = []string{"public.a"} }, Blocker, "role mover does not own public.a of app", "grant app to mover;"},
		{"tables not owned", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Role.NotOwned = []string{"public.a", "public.b", "public.c"}
		}, Blocker, "public.a and 2 more tables of app", "grant app to mover;"},
		{"not owned, left out", func(s, _ *Facts, o *Options) {
			plain(&s.Role)
			s.Role.NotOwned, o.ExcludeTables = []string{"public.a"}, []string{"a"}
		}, "", "", ""},
		{"not readable", func(s, _ *Facts, _ *Options) { plain(&s.Role); s.Role.NotReadable = []string{"public.a"} }, Blocker, "may not read public.a", "grant usage on schema public to mover; grant select on public.a to mover;"},
		{"filtered", func(s, _ *Facts, _ *Options) { plain(&s.Role); s.Role.Filtered = []string{"public.a"} }, Blocker, "row level security hides rows of public.a", "alter role mover bypassrls;"},
		{"sequence", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Sequences, s.Role.SequencesNotReadable = []Sequence{{Name: Name{"public", "S"}}}, []string{`public."S"`}
		}, Blocker, `may not read sequence public."S"`, `grant usage on schema public to mover; grant select on sequence public."S" to mover;`},
		{"a superuser may everything", func(s, _ *Facts, _ *Options) { s.Role.NotOwned = []string{"public.a"} }, "", "", ""},
		{"subscription on 16", func(_, t *Facts, _ *Options) { plain(&t.Role); t.Role.CreateSubscription = false }, Blocker, "may not make a subscription", "grant pg_create_subscription to mover;"},
		{"subscription on 15", func(_, t *Facts, _ *Options) {
			plain(&t.Role)
			t.Version, t.Role.CreateSubscription = version(15), false
		}, Blocker, "in PostgreSQL 15 only one may", "alter role mover superuser;"},
		{"create on the target", func(_, t *Facts, _ *Options) { plain(&t.Role); t.Role.CreateOnDatabase = false }, Blocker, "may not create in the target's database", "grant create on database shop to mover;"},
		{"owners on the target", func(_, t *Facts, _ *Options) { plain(&t.Role); t.Role.MemberOf = []string{"mover"} }, Blocker, "role mover is not a member of app", "grant app to mover;"},
	},
	"roles": {
		{"missing", func(_, t *Facts, _ *Options) { t.Roles = []string{"postgres"} }, Blocker, "role app is missing on the target", "create role app;"},
		{"odd name", func(s, _ *Facts, _ *Options) { s.RolesUsed = []string{"Odd Role"} }, Blocker, `role "Odd Role" is missing`, `create role "Odd Role";`},
		{"not used", func(s, _ *Facts, _ *Options) { s.Roles = append(s.Roles, "idle") }, "", "", ""},
	},
}
