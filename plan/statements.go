package plan

import (
	"regexp"
	"strings"
)

// dollarQuote begins, and ends, a text that holds anything. A dollar within a name stands behind a letter.
var dollarQuote = regexp.MustCompile(`^\$[a-z_]*\$`)

// Statements splits text that pgleap itself wrote into its statements: at each semicolon that ends a line and
// stands outside of quotes. Names may hold anything, a semicolon and a newline included.
func Statements(sql string) []string {
	var out []string
	var quote byte
	start := 0
	for i := 0; i < len(sql); i++ {
		switch c := sql[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '$':
			tag := dollarQuote.FindString(sql[i:])
			if end := strings.Index(sql[i+len(tag):], tag); tag != "" && end >= 0 {
				i += len(tag) + end + len(tag) - 1
			}
		case c == ';' && (i+1 == len(sql) || sql[i+1] == '\n'):
			out = appendStatement(out, sql[start:i])
			start = i + 1
		}
	}
	return appendStatement(out, sql[start:])
}

func appendStatement(out []string, s string) []string {
	if s = strings.TrimSpace(s); s != "" {
		out = append(out, s)
	}
	return out
}
