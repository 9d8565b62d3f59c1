package catalog

import (
	"regexp"
	"strconv"
	"strings"
)

// rule evens out one difference in how the majors write the same definition.
type rule struct {
	why   string
	apply func(definition string) string
}

// rules are all the differences that are known. What is left out of the queries is told at Objects.
var rules = []rule{
	{
		"quote_ident quotes every word that is a keyword of that major: 18 quotes more of them than 10",
		unquoteWords,
	},
	{
		"CREATE TRIGGER … EXECUTE FUNCTION was written EXECUTE PROCEDURE until 11",
		func(d string) string {
			return executeProcedure.ReplaceAllStringFunc(d, func(m string) string {
				if m[0] == '\'' {
					return m
				}
				return " EXECUTE FUNCTION "
			})
		},
	},
	{
		"a bit string's default is written B'0'::bit by 10, and read back as '0'::bit",
		func(d string) string { return bitLiteral.ReplaceAllString(d, "$1::bit") },
	},
	{
		"floats are written with 17 digits until 11 and with the fewest that are exact from 12 on",
		shortFloats,
	},
	{
		"x in ('a', 'b') over varchar is written with one cast around the array, and read back with one at each element",
		castElements,
	},
}

// normalise writes a definition as it would read on any major.
func normalise(kind, definition string) string {
	if kind == "type" { // labels are literals of any text
		return definition
	}
	for _, r := range rules {
		definition = r.apply(definition)
	}
	return definition
}

// executeProcedure and quotedWord fit strings too, so that what stands within one is passed over.
var executeProcedure = regexp.MustCompile(`'(?:[^']|'')*'| EXECUTE PROCEDURE `)

var quotedWord = regexp.MustCompile(`'(?:[^']|'')*'|"(?:[^"]|"")*"`)

var plainWord = regexp.MustCompile(`^"[a-z_][a-z0-9_]*"$`)

// unquoteWords takes the quotes off identifiers that need none but for being a keyword; strings stay.
func unquoteWords(s string) string {
	return quotedWord.ReplaceAllStringFunc(s, func(m string) string {
		if plainWord.MatchString(m) {
			return m[1 : len(m)-1]
		}
		return m
	})
}

// bitLiteral comes after unquoteWords has taken the quotes off "bit".
var bitLiteral = regexp.MustCompile(`\bB('[01]*')::bit\b`)

var floatLiteral = regexp.MustCompile(`'(-?[0-9.]+(?:e[-+]?[0-9]+)?)'::(double precision|real)`)

func shortFloats(s string) string {
	return floatLiteral.ReplaceAllStringFunc(s, func(m string) string {
		part := floatLiteral.FindStringSubmatch(m)
		bits := 64
		if part[2] == "real" {
			bits = 32
		}
		f, err := strconv.ParseFloat(part[1], bits)
		if err != nil {
			return m
		}
		return "'" + strconv.FormatFloat(f, 'g', -1, bits) + "'::" + part[2]
	})
}

// castArray is (ARRAY[…])::type[] with elements that hold no brackets of their own.
var castArray = regexp.MustCompile(`\(ARRAY\[((?:'(?:[^']|'')*'|[^'\[\]])*)\]\)::([a-z][a-z ]*)\[\]`)

var element = regexp.MustCompile(`(?:'(?:[^']|'')*'|[^',])+`)

// castElements writes (ARRAY['a'::x, 'b'::x])::text[] as ARRAY[('a'::x)::text, ('b'::x)::text].
func castElements(s string) string {
	return castArray.ReplaceAllStringFunc(s, func(m string) string {
		part := castArray.FindStringSubmatch(m)
		elements := element.FindAllString(part[1], -1)
		for i, e := range elements {
			elements[i] = "(" + strings.TrimSpace(e) + ")::" + part[2]
		}
		return "ARRAY[" + strings.Join(elements, ", ") + "]"
	})
}
