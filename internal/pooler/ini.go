package pooler

import (
	"errors"
	"fmt"
	"strings"
)

// The reading follows PgBouncer's own, byte by byte (libusual, usual/cfparser.c; src/loader.c): what it takes for an
// entry is what we change. A comment is a whole line; only spaces stand between the tokens of an entry's value; a
// quote within '…' is doubled; of two entries with one name the later one counts.

// span is a part of a text.
type span struct{ from, to int }

func (s span) of(text string) string { return text[s.from:s.to] }

// item is an entry of section [databases], or an %include, where name is "".
type item struct {
	name    string
	value   span // without the spaces around it
	include string
}

// items reads a configuration file.
func items(text string) ([]item, error) {
	var found []item
	section := ""
	for p := 0; ; {
		p += leading(text[p:], isSpace)
		if p == len(text) {
			return found, nil
		}
		end := p + leading(text[p:], func(c byte) bool { return c != '\n' })
		switch line := text[p:end]; {
		case line[0] == '#' || line[0] == ';':
			p = end
		case line[0] == '[':
			name, _, closed := strings.Cut(line[1:], "]")
			if !closed {
				return nil, lineError(text, p)
			}
			section = name
			p += len(name) + len("[]") // an entry may follow on the same line
		case strings.HasPrefix(line, "%include"):
			found = append(found, item{include: strings.TrimSpace(line[len("%include"):])})
			p = end
		default:
			name, value, ok := keyValue(line)
			if !ok {
				return nil, lineError(text, p)
			}
			if section == "databases" {
				found = append(found, item{name: name, value: span{p + value.from, p + value.to}})
			}
			p = end
		}
	}
}

// keyValue reads name = value; the span is one of line.
func keyValue(line string) (name string, value span, ok bool) {
	p := leading(line, isKey)
	name = line[:p]
	if strings.HasPrefix(line, `"`) { // some versions take quoted names
		if name, p, ok = quoted(line, '"'); !ok {
			return "", span{}, false
		}
	}
	p += leading(line[p:], isBlank)
	if p == len(line) || line[p] != '=' {
		return "", span{}, false
	}
	p++
	p += leading(line[p:], isBlank)
	end := len(line)
	for end > p && isSpace(line[end-1]) {
		end--
	}
	return name, span{p, end}, true
}

// quoted reads a quoted text off the front of s, and returns how long it is there.
func quoted(s string, quote byte) (text string, length int, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == quote {
			if i+1 == len(s) || s[i+1] != quote {
				return b.String(), i + 1, true
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return "", 0, false
}

// token is one key=value of an entry.
type token struct {
	key, value string
	all        span // of the value's text, from the first byte of the key on
	raw        span // the value as it is written, quotes included
}

var errTokens = errors.New("its value is not a list of key=value")

// tokens reads the value of an entry.
func tokens(text string) ([]token, error) {
	var found []token
	for p := 0; ; {
		p += leading(text[p:], isSpacer)
		if p == len(text) {
			return found, nil
		}
		t := token{all: span{from: p}}
		p += leading(text[p:], func(c byte) bool { return c != '=' && c != ' ' })
		t.key = text[t.all.from:p]
		p += leading(text[p:], isSpacer)
		if p == len(text) || text[p] != '=' || t.key == "" {
			return nil, errTokens
		}
		p++
		p += leading(text[p:], isSpacer)
		t.raw.from = p
		if p < len(text) && text[p] == '\'' {
			value, length, ok := quoted(text[p:], '\'')
			if !ok {
				return nil, errTokens
			}
			t.value = value
			p += length
			if p < len(text) && text[p] != ' ' { // PgBouncer drops that byte
				return nil, errTokens
			}
		} else {
			p += leading(text[p:], func(c byte) bool { return c != ' ' })
			t.value = text[t.raw.from:p]
		}
		if t.value == "" { // PgBouncer refuses it
			return nil, errTokens
		}
		t.raw.to, t.all.to = p, p
		found = append(found, t)
	}
}

// valuesOf reads where an entry's value points; what is not there is "".
func valuesOf(text string) (Values, error) {
	var v Values
	list, err := tokens(text)
	if err != nil {
		return v, err
	}
	for _, t := range list {
		if field := v.field(t.key); field != nil {
			if *field != "" {
				return v, fmt.Errorf("it has %s twice", t.key)
			}
			*field = t.value
		}
	}
	return v, nil
}

// keys are those of Values, in the order in which missing ones are added.
var keys = []string{"host", "port", "dbname"}

func (v *Values) field(key string) *string {
	switch key {
	case "host":
		return &v.Host
	case "port":
		return &v.Port
	case "dbname":
		return &v.DBName
	}
	return nil
}

// pointed returns an entry's value with other values in it; "" takes a token out. Every other byte stays.
func pointed(text string, want Values) (string, error) {
	list, err := tokens(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	kept, given := 0, map[string]bool{}
	for _, t := range list {
		field := want.field(t.key)
		if field == nil {
			continue
		}
		given[t.key] = true
		switch *field {
		case t.value:
		case "":
			b.WriteString(strings.TrimSuffix(text[kept:t.all.from], " "))
			kept = t.all.to
		default:
			b.WriteString(text[kept:t.raw.from] + written(*field, text[t.raw.from] == '\'' && !needsQuotes(t.value)))
			kept = t.raw.to
		}
	}
	b.WriteString(text[kept:])
	for _, key := range keys {
		if value := *want.field(key); value != "" && !given[key] {
			b.WriteString(" " + key + "=" + written(value, false))
		}
	}
	return b.String(), nil
}

// written is a value as it stands in an entry; styled is with quotes even if it needs none, as the one before it.
func written(value string, styled bool) string {
	if styled || needsQuotes(value) {
		return quoteValue(value)
	}
	return value
}

// needsQuotes: what is at the end of the line belongs to no value, unless there is a quote behind it.
func needsQuotes(value string) bool { return strings.ContainsAny(value, " '\t\v\f") }

// leading counts the bytes at the front of s for which is holds.
func leading(s string, is func(byte) bool) int {
	for i := range len(s) {
		if !is(s[i]) {
			return i
		}
	}
	return len(s)
}

func isSpacer(c byte) bool { return c == ' ' }
func isBlank(c byte) bool  { return c == ' ' || c == '\t' }
func isSpace(c byte) bool  { return isBlank(c) || c >= '\n' && c <= '\r' }
func isKey(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '.' || c == '-' || c == '*'
}

func lineError(text string, at int) error {
	return fmt.Errorf("line %d is none that PgBouncer understands", 1+strings.Count(text[:at], "\n"))
}
