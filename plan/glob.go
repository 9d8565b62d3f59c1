package plan

import (
	"errors"
	"unicode"
)

// glob is a name with wildcards.
type glob []globRune

// globRune is a character, or a wildcard.
type globRune struct {
	char rune
	wild bool // char is * or ?
}

// parseGlob reads one name: "…" keeps letters and wildcards as they are, a doubled quote in it is one quote.
func parseGlob(text string) (glob, error) {
	var g glob
	quoted := false
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		c := runes[i]
		switch {
		case c == '"' && quoted && i+1 < len(runes) && runes[i+1] == '"':
			g = append(g, globRune{char: '"'})
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
			g = append(g, globRune{char: c})
		case c == '*' || c == '?':
			g = append(g, globRune{char: c, wild: true})
		default:
			g = append(g, globRune{char: unicode.ToLower(c)})
		}
	}
	if quoted {
		return nil, errors.New("a double quote is not closed")
	}
	if len(g) == 0 {
		return nil, errors.New("a name is missing")
	}
	return g, nil
}

// match tells whether the whole of name fits, in time proportional to its length times the glob's.
func (g glob) match(name string) bool {
	runes := []rune(name)
	at, star, retry := 0, -1, 0
	for i := 0; i < len(runes); {
		switch {
		case at < len(g) && g[at].wild && g[at].char == '*':
			star, retry = at, i
			at++
		case at < len(g) && (g[at].wild || g[at].char == runes[i]):
			at++
			i++
		case star >= 0: // let the last star take one character more
			retry++
			at, i = star+1, retry
		default:
			return false
		}
	}
	for at < len(g) && g[at].wild && g[at].char == '*' {
		at++
	}
	return at == len(g)
}
