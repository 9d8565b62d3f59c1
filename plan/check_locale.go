package plan

import (
	"fmt"
	"strings"

	"pgleap/internal/pgver"
)

func checkEncodingCollation(in input) []Finding {
	return append(append(checkEncoding(in), checkLocale(in)...), outdatedCollations(in)...)
}

func checkEncoding(in input) []Finding {
	s, t := in.source.Encoding, in.target.Encoding
	if s == t || s == "" || t == "" {
		return nil
	}
	f := Finding{
		Severity: Warning, On: Target,
		Problem: fmt.Sprintf("the source's database is in %s, the target's in %s\ntext is converted, and a character without a place in %s stops the copy", s, t, t),
		Fix:     "make the target's database with the source's encoding",
		SQL:     fmt.Sprintf("create database %s encoding %s template template0;", QuoteIdent(in.target.Database), QuoteLiteral(s)),
	}
	if s == "SQL_ASCII" {
		f.Severity = Blocker
		f.Problem = fmt.Sprintf("the source's database is SQL_ASCII, which holds any bytes; the target's is %s and refuses what is not valid in it\nthe copy would stop at the first such row", t)
	}
	return []Finding{f}
}

// otherOrder is what a different order of text means, though every index is built anew.
const otherOrder = "indexes are built anew, but ORDER BY, ranges of text, CHECKs that compare it, and where it is not deterministic what is unique, may come out differently; a partition's bounds too"

func checkLocale(in input) []Finding {
	s, t := in.source.Cluster.Locale, in.target.Cluster.Locale
	if s.Collate == "" || t.Collate == "" {
		return nil
	}
	if s.Provider != t.Provider || localeName(s.Collate) != localeName(t.Collate) || localeName(s.Ctype) != localeName(t.Ctype) || localeName(s.Name) != localeName(t.Name) {
		return []Finding{{
			Severity: Warning, On: Target,
			Problem: fmt.Sprintf("the source's database orders text by %s, the target's by %s\n%s", OneLine(s.String()), OneLine(t.String()), otherOrder),
			Fix:     "make the target's database with the source's locale, where its machine has it",
			SQL:     createDatabase(in),
		}}
	}
	if s.Actual != "" && t.Actual != "" && s.Actual != t.Actual {
		return []Finding{{
			Severity: Warning, On: Target,
			Problem: fmt.Sprintf("both databases order text by %s, but the source's machine has version %s of it and the target's %s\n%s", OneLine(s.String()), s.Actual, t.Actual, otherOrder),
			Fix:     "nothing need be done where no text is a partition's bound and no CHECK compares it",
		}}
	}
	return nil
}

// localeName evens out how systems write one and the same locale: en_US.UTF-8, en_US.utf8, en-US.
func localeName(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(s), "-", ""), "_", "")
}

// createDatabase makes the target's database as the source's is; providers are known from 15 on, where libc is
// the default only if template0 says so.
func createDatabase(in input) string {
	l := in.source.Cluster.Locale
	sql := fmt.Sprintf("create database %s template template0 encoding %s lc_collate %s lc_ctype %s",
		QuoteIdent(in.target.Database), QuoteLiteral(in.source.Encoding), QuoteLiteral(l.Collate), QuoteLiteral(l.Ctype))
	if in.target.Version.Has(pgver.LocaleProviders) {
		sql += " locale_provider " + l.Provider
		if l.Name != "" {
			sql += fmt.Sprintf(" %s_locale %s", l.Provider, QuoteLiteral(l.Name))
		}
	}
	return sql + ";"
}

// outdatedCollations finds text on the source that was ordered by a version that the machine no longer has, and
// collations that the target has in another version.
func outdatedCollations(in input) []Finding {
	var out []Finding
	l := in.source.Cluster.Locale
	if l.Recorded != "" && l.Actual != "" && l.Recorded != l.Actual {
		out = append(out, outdated("the database's collation "+OneLine(l.String()), l.Recorded, l.Actual,
			"alter database "+QuoteIdent(in.source.Database)+" refresh collation version;"))
	}
	var icu []string
	for _, c := range in.source.Cluster.Collations {
		if c.Recorded != "" && c.Actual != "" && c.Recorded != c.Actual {
			out = append(out, outdated("collation "+said(c.Name), c.Recorded, c.Actual, "alter collation "+c.Name.String()+" refresh version;"))
		}
		if c.Provider == "icu" {
			icu = append(icu, c.Name.String())
		}
	}
	if s, t := l.ICU, in.target.Cluster.Locale.ICU; len(icu) > 0 && s != "" && t != "" && s != t {
		out = append(out, Finding{
			Severity: Warning, On: Target, Object: "ICU",
			Problem: fmt.Sprintf("columns are ordered by ICU (%s), whose collations are of version %s on the source and %s on the target\n%s", named(icu), s, t, otherOrder),
			Fix:     "nothing need be done where no such column is a partition's bound and no CHECK compares it",
		})
	}
	return out
}

func outdated(what, recorded, actual, refresh string) Finding {
	return Finding{
		Severity: Warning, On: Source, Object: what,
		Problem: fmt.Sprintf("%s was recorded in version %s, and the source's machine now has %s\nindexes on text may be wrong on the source: two rows with one key, which the target would refuse", what, recorded, actual),
		Fix:     "reindex what is ordered by it on the source, then record the version",
		SQL:     refresh,
	}
}
