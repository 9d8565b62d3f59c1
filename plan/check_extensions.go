package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func checkExtensions(in input) []Finding {
	out := troublesomeExtensions(in)
	for _, e := range in.source.Extensions {
		versions, ok := in.target.Available[e.Name]
		newest := ""
		for _, v := range versions {
			if newest == "" || compareVersions(v, newest) > 0 {
				newest = v
			}
		}
		switch {
		case !ok:
			out = append(out, Finding{
				Severity: Blocker, On: Target, Object: e.Name,
				Problem: fmt.Sprintf("extension %s %s is not available on the target\neverything that uses it could not be made", e.Name, e.Version),
				Fix:     missingFix(in, e),
			})
		case compareVersions(newest, e.Version) < 0:
			out = append(out, Finding{
				Severity: Warning, On: Target, Object: e.Name,
				Problem: fmt.Sprintf("extension %s is %s on the source, and the target has %s at most\nwhat came later is missing there", e.Name, e.Version, newest),
				Fix:     "install a newer package on the target's machine",
			})
		default:
			out = append(out, newExtension(in, e)...)
		}
	}
	return append(out, installedExtensions(in)...)
}

// removedExtensions have gone from PostgreSQL itself: there is no package to install.
var removedExtensions = map[string]struct{ major, fix string }{
	"adminpack":    {"17", "it served an old administration program: drop it on the source"},
	"old_snapshot": {"17", "it served old_snapshot_threshold, which is gone too: drop it on the source"},
	"chkpass":      {"11", "keep passwords as text, hashed by pgcrypto's crypt(), change the columns to that, and drop it on the source"},
	"timetravel":   {"12", "replace its triggers by functions of your own, and drop it on the source"},
	"plpythonu":    {"15", "Python 2 is gone: make the functions in plpython3u, and drop it on the source"},
	"plpython2u":   {"15", "Python 2 is gone: make the functions in plpython3u, and drop it on the source"},
}

func missingFix(in input, e Extension) string {
	if gone, ok := removedExtensions[e.Name]; ok {
		return "PostgreSQL " + gone.major + " and later do not have it: " + gone.fix
	}
	return fmt.Sprintf("install its package for PostgreSQL %d on the target's machine, or drop it on the source if nothing uses it", in.target.Version.Major())
}

// newExtension tells what CREATE EXTENSION will make, where the target does not have the extension yet.
func newExtension(in input, e Extension) []Finding {
	made, known := in.target.Definitions.ExtensionDefaults[e.Name]
	if !known || slices.ContainsFunc(in.target.Extensions, func(t Extension) bool { return t.Name == e.Name }) {
		return nil
	}
	var out []Finding
	if made.Superuser && !in.target.Role.Superuser {
		out = append(out, Finding{
			Severity: Warning, On: Target, Object: e.Name,
			Problem: fmt.Sprintf("extension %s can be made by a superuser only, and role %s is none on the target\nunless the service lets it, everything that uses the extension could not be made", ident(e.Name), ident(in.target.Role.Name)),
			Fix:     "have a superuser make it on the target before pgleap sync",
			SQL:     makeExtension(e),
		})
	}
	if made.Version != e.Version {
		out = append(out, Finding{
			Severity: Info, On: Target, Object: e.Name,
			Problem: fmt.Sprintf("extension %s %s is made in the target's version, %s", ident(e.Name), e.Version, made.Version),
			Fix:     "nothing is to be done, unless its release notes say otherwise",
		})
	}
	return out
}

func makeExtension(e Extension) string {
	if strings.HasPrefix(e.Schema, "pg_") {
		return "create extension " + QuoteIdent(e.Name) + ";"
	}
	schema := QuoteIdent(e.Schema)
	return fmt.Sprintf("create schema if not exists %s; create extension %s schema %s;", schema, QuoteIdent(e.Name), schema)
}

// troublesome are extensions that do something behind the tables which logical replication does not see.
var troublesome = map[string]struct {
	severity    Severity
	consequence string
	fix         string
}{
	"timescaledb": {Blocker, "its chunks are partitions of its own, kept in its own catalog, which is neither dumped nor replicated: the target would have tables without their chunks", "move the database with the tools of its maker, or turn the hypertables into ordinary partitioned tables first"},
	"citus":       {Blocker, "the rows of distributed tables are on other servers: the target would have none of them", "move the cluster with the tools of its maker, or undistribute the tables first"},
	"bdr":         {Blocker, "other nodes write into the tables: a fence on this one would not stop them", "take the node out of its group first"},
	"orioledb":    {Blocker, "rows in tables of its access method are not decoded: the target would have none of them", "give the tables the access method heap first"},
	"pglogical":   {Warning, "its nodes, sets and subscriptions are neither dumped nor replicated, and its slots stay on the old server", "end its replication before the switch, or make it again on the target"},
	"spock":       {Warning, "its nodes, sets and subscriptions are neither dumped nor replicated, and other nodes may write into the tables behind the fence", "end its replication before the switch, or make it again on the target"},
	"pg_partman":  {Warning, "what it keeps in part_config does not move by itself, and its job changes partitions while the sync runs", "pause its job from pgleap sync to the switch, and copy part_config and part_config_sub by hand"},
	"pg_squeeze":  {Warning, "it gives a table another file, in which a snapshot that was taken before sees no row: a table that it works on while its rows are copied in streams arrives empty", "pause its workers (squeeze.stop_worker) until pgleap sync has ended, or copy with --copy server"},
	"pg_repack":   {Warning, "a pg_repack that is under way when pgleap sync begins gives its table a file in which the copy's snapshot does not see the latest changes", "let no pg_repack run when pgleap sync begins"},
	"pg_cron":     {Warning, "its jobs do not move by themselves; those that are made on the target run there at once, before the switch too, and those of the old server run on after it and meet the fence", "make the jobs on the target after the switch, and unschedule those of the old server then"},
}

func troublesomeExtensions(in input) []Finding {
	var out []Finding
	for _, e := range in.source.Extensions {
		if t, ok := troublesome[e.Name]; ok {
			out = append(out, Finding{
				Severity: t.severity, On: Source, Object: e.Name,
				Problem: fmt.Sprintf("extension %s is in use\n%s", ident(e.Name), t.consequence), Fix: t.fix,
			})
		}
		made := in.target.Definitions.ExtensionDefaults[e.Name].Version
		if strings.HasPrefix(e.Name, "postgis") && made != "" && firstPart(made) != firstPart(e.Version) {
			out = append(out, Finding{
				Severity: Warning, On: Source, Object: e.Name,
				Problem: fmt.Sprintf("extension %s is %s here and %s on the target\nfrom one major to the next it drops functions and moves parts into extensions of their own (rasters with 3.0): definitions that use them cannot be made, and values may be written otherwise", ident(e.Name), e.Version, made),
				Fix:     "update it on the source first, as far as its package goes, and see that the trial load of pgleap check passes",
			})
		}
	}
	return out
}

// firstPart is the 3 of 3.1.4.
func firstPart(version string) string {
	part, _, _ := strings.Cut(version, ".")
	return part
}

// installedExtensions looks at those that the target's database has already: from its template, or from a
// managed service.
func installedExtensions(in input) []Finding {
	var out []Finding
	for _, t := range in.target.Extensions {
		for _, s := range in.source.Extensions {
			if s.Name == t.Name && s.Schema != t.Schema {
				out = append(out, Finding{
					Severity: Warning, On: Target, Object: t.Name,
					Problem: fmt.Sprintf("extension %s is in schema %s on the source and in schema %s on the target\nnames that say the schema would not be found", t.Name, s.Schema, t.Schema),
					Fix:     "drop it on the target: the upgrade makes it again",
					SQL:     "drop extension " + QuoteIdent(t.Name) + ";",
				})
			}
		}
	}
	return out
}

func checkExtensionData(in input) []Finding {
	var out []Finding
	for _, t := range in.source.ExtensionData {
		f := Finding{Severity: Warning, On: Source, Object: t.Name.String()}
		if t.Config {
			f.Problem = fmt.Sprintf("%s of extension %s holds rows of yours\ntables of extensions are not replicated: CREATE EXTENSION makes it without these rows, they would be MISSING on the target", said(t.Name), ident(t.Extension))
			f.Fix = `copy them by hand (\copy in psql) once pgleap sync has made the extension on the target, and again what has changed until the switch: the table is not fenced`
		} else {
			f.Problem = fmt.Sprintf("%s was added to extension %s and holds rows\ntables of extensions are neither dumped nor replicated: unless CREATE EXTENSION makes it and its rows, both would be MISSING on the target", said(t.Name), ident(t.Extension))
			f.Fix = "take it out of the extension, then it moves like any other table; leave it only where the extension's own script fills it"
			f.SQL = "alter extension " + QuoteIdent(t.Extension) + " drop table " + t.Name.String() + ";"
		}
		out = append(out, f)
	}
	return out
}

// compareVersions orders 1.9 before 1.10; runs of digits count as numbers.
func compareVersions(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	}
	return slices.CompareFunc(split(a), split(b), func(x, y string) int {
		m, err1 := strconv.Atoi(x)
		n, err2 := strconv.Atoi(y)
		if err1 == nil && err2 == nil {
			return m - n
		}
		return strings.Compare(x, y)
	})
}
