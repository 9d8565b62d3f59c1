package catalog

import (
	"maps"
	"slices"
	"strings"
)

// knownNames are the names of the users' relations, functions and types, each with the schemas that have it.
// A name that pg_catalog has too is not among them: it is found without a search_path.
type knownNames map[string]map[string][]string

// bodyNames is what a scan of a function's body finds.
type bodyNames struct {
	bare     map[string][]string // unqualified names of the users', with their schemas
	calls    []string            // functions that are called with their schema
	changing []string            // tables that are read, and functions that answer differently each time
	unsure   bool
}

// scanBody looks for names in the body of a function in SQL or PL/pgSQL. It is no parser: it takes a word for a
// relation, a function or a type only where nothing else can stand, so it rather misses one than invents one.
func scanBody(body string, known knownNames) bodyNames {
	s := bodyScan{tokens: tokens(body), known: known, found: bodyNames{bare: map[string][]string{}}, changing: map[string]bool{}, calls: map[string]bool{}}
	s.found.unsure = strings.Contains(strings.ToLower(body), "search_path")
	s.local = s.locals()
	for i, t := range s.tokens {
		switch {
		case t.text == "(" && !t.quoted:
			s.open = append(s.open, s.at(i-1).text)
		case t.text == ")" && !t.quoted && len(s.open) > 0:
			s.open = s.open[:len(s.open)-1]
		case t.word:
			s.word(i)
		}
	}
	s.found.calls, s.found.changing = slices.Sorted(maps.Keys(s.calls)), slices.Sorted(maps.Keys(s.changing))
	return s.found
}

type bodyScan struct {
	tokens          []token
	known           knownNames
	found           bodyNames
	local           map[string]bool // common table expressions
	open            []string        // what stands before each parenthesis that is open
	calls, changing map[string]bool
}

func (s *bodyScan) at(i int) token {
	if i < 0 || i >= len(s.tokens) {
		return token{}
	}
	return s.tokens[i]
}

// locals are names that the body makes itself: with name as (…).
func (s *bodyScan) locals() map[string]bool {
	local := map[string]bool{}
	for i, t := range s.tokens {
		next := s.at(i + 2).text
		if t.word && (s.at(i-1).is("with", "recursive") || s.at(i+1).is("as") && (next == "(" || next == "materialized" || next == "not")) {
			local[t.text] = true
		}
	}
	return local
}

// word judges the word at i by what stands around it.
func (s *bodyScan) word(i int) {
	t := s.tokens[i]
	if t.is("temp", "temporary") {
		s.found.unsure = true
	}
	qualified := s.at(i-1).text == "." && s.at(i-2).word
	before := s.at(i - 1)
	place := i - 1
	if qualified {
		place = i - 3
		before = s.at(place)
	}
	calls := s.at(i+1).text == "("
	if timeWords[t.text] && !t.quoted || calls && changingFunctions[t.text] {
		s.changing[t.text] = true
	}
	if s.at(i+1).text == "." {
		// the table of a column's type: helper.id%type
		if !qualified && s.at(i+3).text == "%" && s.at(i+4).is("type") {
			s.use("relation", t.text)
		}
		return
	}
	switch {
	case s.relationPlace(place, before) && (!calls || before.is("into")):
		if len(s.known["relation"][t.text]) > 0 && !s.local[t.text] {
			s.changing[t.text] = true
			if !qualified {
				s.use("relation", t.text)
			}
		}
	case s.at(i+1).text == "%" && s.at(i+2).is("rowtype") && !qualified:
		s.use("relation", t.text)
	case calls && qualified:
		s.calls[t.text] = true
	case calls && s.callPlace(before):
		s.use("function", t.text)
	case !qualified && s.typePlace(i):
		s.use("type", t.text)
	}
}

func (s *bodyScan) use(kind, name string) {
	if schemas := s.known[kind][name]; len(schemas) > 0 && !s.local[name] {
		s.found.bare[name] = schemas
	}
}

// relationPlace tells whether only a relation can stand behind the word at i.
func (s *bodyScan) relationPlace(i int, before token) bool {
	switch {
	case before.is("from"):
		// extract(year from x), a is distinct from b
		inner := ""
		if len(s.open) > 0 {
			inner = s.open[len(s.open)-1]
		}
		return !slices.Contains([]string{"extract", "substring", "trim", "overlay", "position"}, inner) && !s.at(i-1).is("distinct")
	case before.is("into"):
		return s.at(i-1).is("insert", "merge")
	case before.is("update"):
		return !s.at(i-1).is("for", "do", "key")
	}
	return before.is("join", "only", "table", "truncate")
}

// callPlace tells whether an expression can begin behind the token.
func (s *bodyScan) callPlace(before token) bool {
	if !before.word {
		return before.text != ")" && before.text != "]" && before.text != "."
	}
	return !before.quoted && beforeExpression[before.text]
}

// typePlace tells whether only a type can stand at i: x::name, cast(x as name), and in declare: variable name;
func (s *bodyScan) typePlace(i int) bool {
	before := s.at(i - 1)
	switch {
	case before.text == ":":
		return s.at(i-2).text == ":"
	case before.is("as"):
		return len(s.open) > 0 && s.open[len(s.open)-1] == "cast"
	case before.word && s.at(i-2).text == "declare":
		return true
	}
	return false
}

// token is a word, folded as PostgreSQL folds it, or one other character. Strings and comments are none.
type token struct {
	text         string
	word, quoted bool
}

func (t token) is(words ...string) bool { return t.word && !t.quoted && slices.Contains(words, t.text) }

func tokens(body string) []token {
	var out []token
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case strings.HasPrefix(body[i:], "--"):
			i = after(body, i, "\n")
		case strings.HasPrefix(body[i:], "/*"):
			i = afterComment(body, i)
		case c == '\'':
			i = afterString(body, i, i > 0 && (body[i-1] == 'e' || body[i-1] == 'E'))
			out = append(out, token{text: "'"})
		case c == '"':
			end := afterString(body, i, false)
			out = append(out, token{text: strings.ReplaceAll(strings.Trim(body[i:end], `"`), `""`, `"`), word: true, quoted: true})
			i = end
		case c == '$' && dollarTag(body[i:]) != "":
			tag := dollarTag(body[i:])
			i = after(body, i+len(tag), tag)
			out = append(out, token{text: "'"})
		case isWord(c):
			end := i
			for end < len(body) && (isWord(body[end]) || body[end] >= '0' && body[end] <= '9' || body[end] == '$') {
				end++
			}
			out = append(out, token{text: strings.ToLower(body[i:end]), word: true})
			i = end
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		default:
			out = append(out, token{text: string(c)})
			i++
		}
	}
	return out
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// after returns the place behind the next what.
func after(s string, from int, what string) int {
	if n := strings.Index(s[min(from, len(s)):], what); n >= 0 {
		return from + n + len(what)
	}
	return len(s)
}

// afterString returns the place behind the string or quoted word that begins at from.
func afterString(s string, from int, escapes bool) int { //nolint:revive // an E before the quote says it
	for i := from + 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == s[from]:
			if i+1 >= len(s) || s[i+1] != s[from] {
				return i + 1
			}
			i++
		}
	}
	return len(s)
}

// afterComment returns the place behind a comment; they nest.
func afterComment(s string, from int) int {
	depth := 0
	for i := from; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "/*"):
			depth++
			i++
		case strings.HasPrefix(s[i:], "*/"):
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// dollarTag returns $tag$ at the beginning of s. A parameter such as $1 is none.
func dollarTag(s string) string {
	end := strings.IndexByte(s[1:], '$')
	if end < 0 || end > 0 && !isWord(s[1]) {
		return ""
	}
	for i := 1; i <= end; i++ {
		if !isWord(s[i]) && (s[i] < '0' || s[i] > '9') {
			return ""
		}
	}
	return s[:end+2]
}

func words(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

var (
	// beforeExpression are the words behind which an expression begins.
	beforeExpression = words(`select where and or not then else when return perform from join on in like ilike by having values limit offset
		call if elsif while set is between case distinct all any some using lateral loop execute default returning`)

	// timeWords are functions that are called without parentheses.
	timeWords = words("current_timestamp current_date current_time localtime localtimestamp current_user session_user current_role")

	// changingFunctions answer differently from call to call, or from session to session.
	changingFunctions = words(`now clock_timestamp statement_timestamp transaction_timestamp timeofday random nextval currval lastval setseed
		current_setting gen_random_uuid txid_current pg_backend_pid current_schema current_schemas`)
)
