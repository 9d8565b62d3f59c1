package plan

import (
	"strings"
	"testing"
	"time"
)

// set gives a server a setting of the configuration file.
func (f *Facts) set(name, setting string) {
	f.setFrom("configuration file", name, setting)
}

func (f *Facts) setFrom(source, name, setting string) {
	if f.Cluster.Settings == nil {
		f.Cluster.Settings = map[string]ServerSetting{}
	}
	f.Cluster.Settings[name] = ServerSetting{Setting: setting, Shown: setting, Source: source, Restart: strings.HasPrefix(name, "shared")}
}

var clusterCases = map[string][]checkCase{
	"encoding-collation": {
		{"ascii", func(s, _ *Facts, _ *Options) { s.Encoding = "SQL_ASCII" }, Blocker, "holds any bytes", "create database shop encoding 'SQL_ASCII' template template0;"},
		{"differs", func(s, _ *Facts, _ *Options) { s.Encoding = "LATIN1" }, Warning, "in LATIN1, the target's in UTF8", "create database shop encoding 'LATIN1' template template0;"},
		{
			"provider", func(s, t *Facts, _ *Options) {
				s.Cluster.Locale = Locale{Provider: "libc", Collate: "en_US.UTF-8", Ctype: "en_US.UTF-8"}
				t.Cluster.Locale = Locale{Provider: "builtin", Collate: "C", Ctype: "C", Name: "C.UTF-8"}
			}, Warning, "orders text by libc en_US.UTF-8, the target's by builtin C.UTF-8\nindexes are built anew",
			"create database shop template template0 encoding 'UTF8' lc_collate 'en_US.UTF-8' lc_ctype 'en_US.UTF-8' locale_provider libc;",
		},
		{"icu", func(s, t *Facts, _ *Options) {
			s.Cluster.Locale = Locale{Provider: "icu", Collate: "C", Ctype: "C", Name: "de"}
			t.Cluster.Locale = Locale{Provider: "libc", Collate: "C", Ctype: "C"}
		}, Warning, "orders text by icu de", "create database shop template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C' locale_provider icu icu_locale 'de';"},
		{"characters", func(s, t *Facts, _ *Options) {
			s.Cluster.Locale = Locale{Provider: "libc", Collate: "C", Ctype: "de_DE"}
			t.Cluster.Locale = Locale{Provider: "libc", Collate: "C", Ctype: "C"}
		}, Warning, "libc C (characters: de_DE)", "create database shop template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'de_DE' locale_provider libc;"},
		{"version", func(s, t *Facts, _ *Options) {
			s.Cluster.Locale = Locale{Provider: "libc", Collate: "en_US.UTF-8", Ctype: "en_US.UTF-8", Actual: "2.28"}
			t.Cluster.Locale = Locale{Provider: "libc", Collate: "en_US.utf8", Ctype: "en_US.utf8", Actual: "2.36"}
		}, Warning, "version 2.28 of it and the target's 2.36", ""},
		{"outdated", func(s, _ *Facts, _ *Options) {
			s.Cluster.Locale = Locale{Provider: "libc", Collate: "en_US", Ctype: "en_US", Recorded: "2.28", Actual: "2.36"}
		}, Warning, "the database's collation libc en_US was recorded in version 2.28", "alter database shop refresh collation version;"},
		{"outdated collation", func(s, _ *Facts, _ *Options) {
			s.Cluster.Collations = []Collation{{Name{"public", "de"}, "icu", "1", "2"}}
		}, Warning, "collation public.de was recorded in version 1", "alter collation public.de refresh version;"},
		{"another icu", func(s, t *Facts, _ *Options) {
			s.Cluster.Collations = []Collation{{Name{"public", "de"}, "icu", "1", "1"}}
			s.Cluster.Locale.ICU, t.Cluster.Locale.ICU = "153.14", "153.120"
		}, Warning, "ordered by ICU (public.de), whose collations are of version 153.14 on the source and 153.120", ""},
		{"icu that nobody uses", func(s, t *Facts, _ *Options) { s.Cluster.Locale.ICU, t.Cluster.Locale.ICU = "153.14", "153.120" }, "", "", ""},
		{"one locale in two spellings", func(s, t *Facts, _ *Options) {
			s.Cluster.Locale = Locale{Provider: "libc", Collate: "en_US.UTF-8", Ctype: "en_US.UTF-8"}
			t.Cluster.Locale = Locale{Provider: "libc", Collate: "en_US.utf8", Ctype: "en_US.utf8"}
		}, "", "", ""},
	},
	"wal-retention": {
		{"no limit", func(s, _ *Facts, _ *Options) {
			s.Settings["max_slot_wal_keep_size"] = "-1"
			s.Cluster.WALBytesPerSecond, s.Cluster.WALBasis = 1<<20, "1 GB in the 17 min since the last checkpoint"
		}, Info, "fills the source's disk, by 3.5 GB an hour (1 GB in the 17 min since the last checkpoint)", ""},
		{"before 13", func(s, _ *Facts, _ *Options) { delete(s.Settings, "max_slot_wal_keep_size") }, Info, "nothing limits the WAL that a slot keeps\n", ""},
		{"more than the limit", func(s, _ *Facts, _ *Options) {
			s.Settings["max_slot_wal_keep_size"], s.Relations[0].Bytes = "10240", 72_000*assumedCopySpeed
			s.Cluster.WALBytesPerSecond, s.Cluster.WALBasis = 1<<20, "measured"
		}, Warning, "max_slot_wal_keep_size is 10 GB, and 74 GB of WAL may come while the target copies, or is away (21 h at 1 MB/s: measured)", "alter system set max_slot_wal_keep_size = '148GB'; select pg_reload_conf();"},
		{"little", func(s, _ *Facts, _ *Options) { s.Settings["max_slot_wal_keep_size"] = "64" }, Warning, "max_slot_wal_keep_size is 64 MB: one large statement", "alter system set max_slot_wal_keep_size = '11GB'; select pg_reload_conf();"},
		{"enough", func(s, _ *Facts, _ *Options) { s.Cluster.WALBytesPerSecond = 1 << 20 }, "", "", ""},
		{"idle", func(s, _ *Facts, _ *Options) { s.Settings["idle_replication_slot_timeout"] = "1800" }, Warning, "idle_replication_slot_timeout is 30 min", "alter system set idle_replication_slot_timeout = 0; select pg_reload_conf();"},
		{"idle for days", func(s, _ *Facts, _ *Options) { s.Settings["idle_replication_slot_timeout"] = "172800" }, Info, "is 2 d", "alter system set idle_replication_slot_timeout = 0; select pg_reload_conf();"},
		{"never idle", func(s, _ *Facts, _ *Options) { s.Settings["idle_replication_slot_timeout"] = "0" }, "", "", ""},
	},
	"timeouts": {
		{"lock", func(_, t *Facts, _ *Options) { t.setFrom("user", "lock_timeout", "5000") }, Warning, "lock_timeout is 5000 for role postgres, which replicates\napply stops", "alter role postgres in database shop set lock_timeout = 0;"},
		{"lock on the source is overridden", func(s, _ *Facts, _ *Options) { s.setFrom("user", "lock_timeout", "5000") }, "", "", ""},
		{"statement is no matter of the workers", func(_, t *Facts, _ *Options) { t.setFrom("user", "statement_timeout", "5000") }, "", "", ""},
		{"transaction", func(s, _ *Facts, _ *Options) { s.setFrom("database", "transaction_timeout", "60000") }, Warning, "transaction_timeout is 60000 for role postgres, which replicates\nthe first copy", "alter role postgres in database shop set transaction_timeout = 0;"},
		{"sender", func(s, _ *Facts, _ *Options) { s.set("wal_sender_timeout", "5000") }, Warning, "wal_sender_timeout is 5 s on the source", "alter system set wal_sender_timeout = '60s'; select pg_reload_conf();"},
		{"endless sender", func(s, _ *Facts, _ *Options) { s.set("wal_sender_timeout", "0") }, Warning, "it holds the slot", "alter system set wal_sender_timeout = '60s'; select pg_reload_conf();"},
		{"receiver", func(_, t *Facts, _ *Options) { t.set("wal_receiver_timeout", "0") }, Warning, "wal_receiver_timeout is 0 on the target", "alter system set wal_receiver_timeout = '60s'; select pg_reload_conf();"},
		{"as by default", func(s, t *Facts, _ *Options) {
			s.set("wal_sender_timeout", "60000")
			t.set("wal_receiver_timeout", "60000")
			t.set("lock_timeout", "0")
			t.set("transaction_timeout", "0")
		}, "", "", ""},
		{"impatient", func(s, _ *Facts, o *Options) {
			o.MaxWriteStall = 5 * time.Second
			s.Cluster.RoleTimeouts = []RoleTimeout{{"app", "lock_timeout", "2s"}, {"", "statement_timeout", "300"}, {"batch", "statement_timeout", "1min"}, {"x", "lock_timeout", "0"}}
		}, Info, "do not wait that long: app (lock_timeout 2s), every role (statement_timeout 300)\n", ""},
	},
	"settings-diff": {
		{
			"several", func(s, t *Facts, _ *Options) {
				s.set("TimeZone", "Europe/Vienna")
				t.setFrom("default", "TimeZone", "GMT")
				s.set("search_path", `"$user", app`)
				t.setFrom("default", "search_path", `"$user", public`)
				s.set("shared_preload_libraries", "pg_stat_statements, auto_explain")
				t.set("shared_preload_libraries", "auto_explain, pg_cron")
				s.set("work_mem", "65536")
				t.setFrom("default", "work_mem", "4096")
			}, Warning, "TimeZone: Europe/Vienna, on the target GMT\nwork_mem: 65536, on the target 4096\nshared_preload_libraries: pg_stat_statements, auto_explain, on the target auto_explain, pg_cron",
			"alter system set search_path = '$user', 'app';\nalter system set TimeZone = 'Europe/Vienna';\nalter system set work_mem = '65536';\n" +
				"alter system set shared_preload_libraries = 'auto_explain', 'pg_cron', 'pg_stat_statements';",
		},
		{"restart", func(s, t *Facts, _ *Options) {
			s.set("shared_buffers", "1000")
			t.set("shared_buffers", "10")
		}, Warning, "shared_buffers", "alter system set shared_buffers = '1000';"},
		{"another default", func(s, t *Facts, _ *Options) {
			s.setFrom("default", "bytea_output", "escape")
			t.setFrom("default", "bytea_output", "hex")
		}, "", "", ""},
		{"a larger target", func(s, t *Facts, _ *Options) {
			s.set("work_mem", "4096")
			t.set("work_mem", "65536")
		}, "", "", ""},
		{"more libraries", func(s, t *Facts, _ *Options) {
			s.set("shared_preload_libraries", "a")
			t.set("shared_preload_libraries", "b, a")
		}, "", "", ""},
		{"of the role", func(s, t *Facts, _ *Options) {
			s.setFrom("user", "search_path", "x")
			t.setFrom("default", "search_path", "y")
		}, "", "", ""},
		{"not shown", func(s, _ *Facts, _ *Options) { s.set("shared_preload_libraries", "a") }, "", "", ""},
	},
	"capacity": {
		{"numbers", func(s, _ *Facts, _ *Options) {
			s.Relations[0].Bytes, s.Relations[1].Bytes, s.Relations[1].IndexBytes = 3<<30, 5<<30, 1<<30
		}, Info, "up to 9 GB (8 GB of rows, 1 GB of indexes; the largest table is public.b with 5 GB)", "half as much again…"},
		{"checkpoints", func(s, t *Facts, _ *Options) { s.Relations[0].Bytes, t.Settings["max_wal_size"] = 212<<30, "1024" }, Warning, "max_wal_size is 1 GB: the first copy forces the target to about 424 checkpoints", "alter system set max_wal_size = '10GB'; select pg_reload_conf();"},
		{"small", func(s, t *Facts, _ *Options) { s.Relations[0].Bytes, t.Settings["max_wal_size"] = 1<<29, "32" }, "", "", ""},
		{"resumed", func(s, t *Facts, _ *Options) { s.Relations[0].Bytes = 212 << 30; own(s, t) }, "", "", ""},
	},
}

func TestSettingDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"5000": 5 * time.Second, "5s": 5 * time.Second, "1.5 min": 90 * time.Second, "2h": 2 * time.Hour, "0": 0, "500us": 500 * time.Microsecond} {
		if got, ok := settingDuration(text); !ok || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "x", "5 weeks", "s"} {
		if got, ok := settingDuration(text); ok {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}
