package plan

// installed adds an extension to the source that the target has too.
func installed(s, t *Facts, name, version string, made ExtensionDefault) {
	s.Extensions = append(s.Extensions, Extension{name, version, "public"})
	t.Available[name] = []string{made.Version}
	t.Definitions.ExtensionDefaults = map[string]ExtensionDefault{name: made}
}

var extensionCases = map[string][]checkCase{
	"extensions": {
		{"missing", func(s, _ *Facts, _ *Options) {
			s.Extensions = append(s.Extensions, Extension{"postgis", "3.1", "public"})
		}, Blocker, "extension postgis 3.1 is not available", "its package for PostgreSQL 18…"},
		{"older", func(s, t *Facts, _ *Options) {
			s.Extensions = append(s.Extensions, Extension{"x", "1.10", "public"})
			t.Available["x"] = []string{"1.2", "1.9"}
		}, Warning, "extension x is 1.10 on the source, and the target has 1.9 at most", ""},
		{"newer", func(s, t *Facts, _ *Options) {
			s.Extensions = append(s.Extensions, Extension{"x", "1.9", "public"})
			t.Available["x"] = []string{"1.10", "1.2"}
		}, "", "", ""},
		{"elsewhere", func(s, t *Facts, _ *Options) {
			s.Extensions = append(s.Extensions, Extension{"x", "1", "public"})
			t.Extensions, t.Available["x"] = []Extension{{"x", "1", "ext"}}, []string{"1"}
		}, Warning, "in schema public on the source and in schema ext", "drop extension x;"},
		{"gone from PostgreSQL", func(s, _ *Facts, _ *Options) {
			s.Extensions = append(s.Extensions, Extension{"adminpack", "2.1", "pg_catalog"})
		}, Blocker, "extension adminpack 2.1 is not available", "PostgreSQL 17 and later do not have it…"},
		{"another version", func(s, t *Facts, _ *Options) {
			installed(s, t, "citext", "1.4", ExtensionDefault{Version: "1.6"})
		}, Info, "extension citext 1.4 is made in the target's version, 1.6", ""},
		{"made already", func(s, t *Facts, _ *Options) {
			installed(s, t, "citext", "1.4", ExtensionDefault{Version: "1.6", Superuser: true})
			t.Extensions, t.Role.Superuser = s.Extensions, false
		}, "", "", ""},
		{"for superusers", func(s, t *Facts, _ *Options) {
			installed(s, t, "file_fdw", "1.0", ExtensionDefault{Version: "1.0", Superuser: true})
			t.Role.Superuser = false
		}, Warning, "extension file_fdw can be made by a superuser only, and role postgres is none", "create schema if not exists public; create extension file_fdw schema public;"},
		{"for superusers, in pg_catalog", func(s, t *Facts, _ *Options) {
			installed(s, t, "plpython3u", "1.0", ExtensionDefault{Version: "1.0", Superuser: true})
			s.Extensions[1].Schema, t.Role.Superuser = "pg_catalog", false
		}, Warning, "extension plpython3u can be made by a superuser only", "create extension plpython3u;"},
		{"for superusers, and one it is", func(s, t *Facts, _ *Options) {
			installed(s, t, "file_fdw", "1.0", ExtensionDefault{Version: "1.0", Superuser: true})
		}, "", "", ""},
		{"timescaledb", func(s, t *Facts, _ *Options) {
			installed(s, t, "timescaledb", "2.1", ExtensionDefault{Version: "2.1"})
		}, Blocker, "extension timescaledb is in use\nits chunks", ""},
		{"citus", func(s, t *Facts, _ *Options) {
			installed(s, t, "citus", "12", ExtensionDefault{Version: "12"})
		}, Blocker, "extension citus is in use\nthe rows of distributed tables", ""},
		{"pg_cron", func(s, t *Facts, _ *Options) {
			installed(s, t, "pg_cron", "1.4", ExtensionDefault{Version: "1.4"})
		}, Warning, "extension pg_cron is in use\nits jobs do not move", ""},
		{"postgis jumps", func(s, t *Facts, _ *Options) {
			installed(s, t, "postgis", "2.5.1", ExtensionDefault{Version: "3.4.0"})
		}, Warning, "extension postgis is 2.5.1 here and 3.4.0 on the target\nfrom one major to the next", ""},
		{"postgis walks", func(s, t *Facts, _ *Options) {
			installed(s, t, "postgis", "3.1.4", ExtensionDefault{Version: "3.4.0"})
		}, Info, "extension postgis 3.1.4 is made in the target's version, 3.4.0", ""},
	},
}
