// Package docs carries the documents whose SQL is tried: a rehearsal makes its roles with it.
package docs

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed privileges.md
var privileges string

// Privileges returns the SQL of docs/privileges.md that stands between "```sql name" and "```".
func Privileges(name string) (string, error) {
	_, after, found := strings.Cut(privileges, "\n```sql "+name+"\n")
	sql, _, ended := strings.Cut(after, "\n```\n")
	if !found || !ended {
		return "", fmt.Errorf("docs/privileges.md has no SQL with the name %s", name)
	}
	return sql, nil
}
