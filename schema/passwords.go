package schema

import (
	"regexp"
	"slices"
	"strings"
)

// secretOption finds the options of a user mapping that hold a secret. sql/objects_other.sql and
// sql/foreign_servers.sql of package catalog know them too.
var secretOption = regexp.MustCompile(`(password|passwd|pwd|passphrase)$|secret|token|credential|(api|access|account|private)_?key`)

// withoutPasswords takes the secrets out of the user mappings: definitions stand in the plan, which people read
// and keep, and in the journal. What is left is made on the target, where the secret is then added by hand.
func withoutPasswords(entries []Entry) []Entry {
	out := slices.Clone(entries)
	for i, e := range out {
		if e.Type == "USER MAPPING" {
			out[i].SQL = withoutSecrets(e.SQL)
		}
	}
	return out
}

// withoutSecrets cuts name and value, with a comma beside them, out of … OPTIONS (name 'value', …).
func withoutSecrets(sql string) string {
	w := words(sql)
	at := indexWords(w, "OPTIONS", "(")
	if at < 0 {
		return sql
	}
	var kept []string
	for i := at + 2; i+1 < len(w) && w[i] != ")"; i++ {
		if w[i] == "," {
			continue
		}
		if !secretOption.MatchString(unquote(w[i])) {
			kept = append(kept, w[i]+" "+w[i+1])
		}
		i++
	}
	head := strings.TrimRight(sql[:optionsAt(sql)], " \n")
	if len(kept) == 0 {
		return head + ";"
	}
	return head + " OPTIONS (\n    " + strings.Join(kept, ",\n    ") + "\n);"
}

// optionsAt is where the word OPTIONS stands outside of strings and quotes.
func optionsAt(sql string) int {
	for _, t := range tokens(sql) {
		if t.kind == tokenWord && strings.EqualFold(sql[t.start:t.end], "OPTIONS") {
			return t.start
		}
	}
	return len(sql)
}
