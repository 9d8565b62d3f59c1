package plan

// plain takes superuser from a role; what else it may do stays.
func plain(r *Role) {
	r.Name, r.Superuser, r.MemberOf, r.CanSet = "mover", false, []string{"app", "mover"}, []string{"app", "mover"}
	r.Superusers, r.DatabaseOwner, r.PublicOwner, r.OwnsPublic = []string{"postgres"}, "postgres", "pg_database_owner", true
}

// owns adds something of a role to the source.
func owns(s *Facts, owner, schema, object string) {
	s.RoleDetails.Owned = append(s.RoleDetails.Owned, Ownership{owner, schema, object})
}

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
		{"one table not owned", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Role.NotOwned, s.Role.CanSet = []string{"public.a"}, nil
		}, Blocker, "role mover does not own public.a of app", "grant app to mover;"},
		{"owned, not inherited", func(s, _ *Facts, _ *Options) { plain(&s.Role); s.Role.NotOwned = []string{"public.a"} }, Blocker, "role mover does not own public.a of app", "alter role mover inherit;"},
		{"not owned, on 16", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Version, s.Role.NotOwned = version(16), []string{"public.a"}
		}, Blocker, "role mover does not own public.a of app", "grant app to mover with inherit true, set true;"},
		{"tables not owned", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Role.NotOwned, s.Role.CanSet = []string{"public.a", "public.b", "public.c"}, nil
		}, Blocker, "public.a and 2 more tables of app", "grant app to mover;"},
		{"not owned, left out", func(s, _ *Facts, o *Options) {
			plain(&s.Role)
			s.Role.NotOwned, o.ExcludeTables = []string{"public.a"}, []string{"a"}
		}, "", "", ""},
		{"not readable", func(s, _ *Facts, _ *Options) { plain(&s.Role); s.Role.NotReadable = []string{"public.a"} }, Blocker, "may not read public.a", "grant usage on schema public to mover; grant select on public.a to mover;"},
		{"roots are fenced, too", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Relations = append(s.Relations, Relation{Name: Name{"public", "root"}, Kind: "p", Persistence: "p", Owner: "other"})
			s.Role.NotOwned = []string{"public.root"}
		}, Blocker, "does not own public.root of other", "grant other to mover;"},
		{"tables of a superuser", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Relations[0].Owner, s.Role.NotOwned = "postgres", []string{"public.a"}
		}, Blocker, "postgres is a superuser, and a member of it as mighty", ""},
		{"filtered until it is a member", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Role.NotOwned, s.Role.Filtered, s.Role.CanSet = []string{"public.a"}, []string{"public.a"}, nil
		}, Blocker, "does not own public.a", "grant app to mover;"},
		{"filtered for members too", func(s, _ *Facts, _ *Options) {
			plain(&s.Role)
			s.Role.NotOwned, s.Role.Filtered, s.RoleDetails.Forced = []string{"public.a"}, []string{"public.a"}, []string{"public.a"}
		}, Blocker, "row level security hides rows of public.a", "alter role mover bypassrls;"},
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
		{"owners on the target", func(_, t *Facts, _ *Options) { plain(&t.Role); t.Role.MemberOf, t.Role.CanSet = nil, nil }, Blocker, "role mover is not a member of app, to whom table public.a belongs", "grant app to mover with inherit true, set true;"},
		{"owners on 15", func(_, t *Facts, _ *Options) {
			plain(&t.Role)
			t.Version, t.Role.MemberOf, t.Role.CanSet = version(15), nil, nil
		}, Blocker, "role mover is not a member of app", "grant app to mover;"},
		{"without inherit", func(_, t *Facts, _ *Options) { plain(&t.Role); t.Role.MemberOf = nil }, Blocker, "member of app without its privileges", "grant app to mover with inherit true, set true;"},
		{"without inherit on 15", func(_, t *Facts, _ *Options) {
			plain(&t.Role)
			t.Version, t.Role.MemberOf = version(15), nil
		}, Blocker, "member of app without its privileges", "alter role mover inherit;"},
		{"without set", func(_, t *Facts, _ *Options) { plain(&t.Role); t.Role.CanSet = nil }, Blocker, "may not SET ROLE to it", "grant app to mover with inherit true, set true;"},
		{"who owns functions only", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			owns(s, "other", "public", "function public.f")
			t.Roles = append(t.Roles, "other")
		}, Blocker, "role mover is not a member of other, to whom function public.f belongs", "grant other to mover with inherit true, set true;"},
		{"who owns in a schema that is left out", func(s, t *Facts, o *Options) {
			plain(&t.Role)
			owns(s, "other", "Aside", "function f")
			s.Schemas, t.Roles, o.Schemas = append(s.Schemas, "Aside"), append(t.Roles, "other"), []string{"public"}
		}, "", "", ""},
		{"who owns a schema", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			s.Schemas, s.RoleDetails.SchemaOwners = append(s.Schemas, "Odd"), map[string]string{"Odd": "other", "public": "app"}
			t.Roles = append(t.Roles, "other")
		}, Blocker, `to whom schema "Odd" belongs`, "grant other to mover with inherit true, set true;"},
		{"who passed a privilege on", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			s.RoleDetails.Grantors, t.Roles = []string{"other"}, append(t.Roles, "other")
		}, Blocker, "to whom a privilege that was passed on belongs", "grant other to mover with inherit true, set true;"},
		{"objects of a superuser", func(s, t *Facts, _ *Options) { plain(&t.Role); owns(s, "postgres", "public", "function public.f") }, Blocker, "function public.f belongs to postgres, a superuser of the target", ""},
		{"public", func(_, t *Facts, _ *Options) { plain(&t.Role); t.Role.OwnsPublic = false }, Blocker, "does not own schema public", "alter database shop owner to mover;"},
		{"public of a plain owner", func(_, t *Facts, _ *Options) {
			plain(&t.Role)
			t.Role.OwnsPublic, t.Role.DatabaseOwner = false, "boss"
		}, Blocker, "does not own schema public", "grant boss to mover with inherit true, set true;"},
		{"public of a role", func(_, t *Facts, _ *Options) {
			plain(&t.Role)
			t.Role.OwnsPublic, t.Role.PublicOwner = false, "boss"
		}, Blocker, "does not own schema public", "grant boss to mover with inherit true, set true;"},
		{"public of a superuser", func(_, t *Facts, _ *Options) {
			plain(&t.Role)
			t.Role.OwnsPublic, t.Role.PublicOwner = false, "postgres"
		}, Blocker, "does not own schema public", "alter schema public owner to mover;"},
		{"a tablespace", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			s.RoleDetails.Tablespaces, t.Role.NoTablespaces = []string{"Fast", "slow"}, []string{"Fast"}
		}, Blocker, `may not create in tablespace "Fast"`, `grant create on tablespace "Fast" to mover;`},
		{"a foreign data wrapper", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			s.RoleDetails.Wrappers, t.Role.NoWrappers = []string{"postgres_fdw"}, []string{"postgres_fdw"}
		}, Blocker, "may not use foreign data wrapper postgres_fdw", "grant usage on foreign data wrapper postgres_fdw to mover;"},
		{"an event trigger", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			s.RoleDetails.Powerful = []Powerful{{"", "event trigger e", "only a superuser may make an event trigger"}}
		}, Blocker, "event trigger e: only a superuser", ""},
		{"an event trigger, on a service", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			t.Role.MemberOf = append(t.Role.MemberOf, "rds_superuser")
			s.RoleDetails.Powerful = []Powerful{{"", "event trigger e", "only a superuser may make an event trigger"}}
		}, Warning, "event trigger e: only a superuser", ""},
		{"an event trigger, as a superuser", func(s, _ *Facts, _ *Options) { s.RoleDetails.Powerful = []Powerful{{"", "event trigger e", "why"}} }, "", "", ""},
		{"policies for owners too", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			t.Role.BypassRLS, s.RoleDetails.Forced = false, []string{"public.a", "public.b"}
		}, Blocker, "row level security of public.a and 1 more holds for its owner too", "alter role mover bypassrls;"},
		{"an owner without a right", func(s, t *Facts, _ *Options) {
			plain(&t.Role)
			s.RoleDetails.OwnerLacks = []OwnerLacks{{Name{"public", "a"}, "app", []string{"insert", "truncate"}}}
		}, Blocker, "owner app of public.a may not insert, truncate", "grant insert, truncate on public.a to app;"},
		{"an owner without a right, as a superuser", func(s, _ *Facts, _ *Options) {
			s.RoleDetails.OwnerLacks = []OwnerLacks{{Name{"public", "a"}, "app", []string{"insert"}}}
		}, "", "", ""},
	},
	"roles": {
		{"missing", func(_, t *Facts, _ *Options) { t.Roles = []string{"postgres"} }, Blocker, "role app is missing on the target", "create role app;"},
		{"odd name", func(s, _ *Facts, _ *Options) { s.RolesUsed = []string{"Odd Role"} }, Blocker, `role "Odd Role" is missing`, `create role "Odd Role";`},
		{"not used", func(s, _ *Facts, _ *Options) { s.Roles = append(s.Roles, "idle") }, "", "", ""},
	},
}
