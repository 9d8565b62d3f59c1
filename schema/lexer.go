package schema

import (
	"strings"
	"unicode/utf8"
)

// tokenKind says what a piece of SQL text is.
type tokenKind int

const (
	tokenSpace   tokenKind = iota
	tokenComment           // -- to the end of the line, or /* … */
	tokenString            // '…', E'…', $tag$…$tag$
	tokenQuoted            // "…"
	tokenWord              // a keyword, a bare identifier, a number
	tokenSymbol            // one character of anything else
	tokenMeta              // a line that starts with a backslash: psql's, not SQL
)

// token is one piece: text[start:end] of the text it was cut from.
type token struct {
	kind       tokenKind
	start, end int
}

// tokens cuts SQL text, as PostgreSQL's scanner does with standard_conforming_strings on. Every byte belongs to
// exactly one token; what is not closed reaches to the end.
func tokens(text string) []token {
	var list []token
	for at := 0; at < len(text); {
		t := scan(text, at)
		list = append(list, t)
		at = t.end
	}
	return list
}

func scan(text string, at int) token {
	rest := text[at:]
	c := rest[0]
	piece := func(kind tokenKind, n int) token { return token{kind, at, at + n} }
	switch {
	case isSpace(c):
		return piece(tokenSpace, spanOf(rest, isSpace))
	case strings.HasPrefix(rest, "--"):
		return piece(tokenComment, lineLength(rest))
	case strings.HasPrefix(rest, "/*"):
		return piece(tokenComment, blockComment(rest))
	case c == '\'':
		return piece(tokenString, quotedLength(rest, '\'', false))
	case (c == 'e' || c == 'E') && len(rest) > 1 && rest[1] == '\'':
		return piece(tokenString, 1+quotedLength(rest[1:], '\'', true))
	case c == '"':
		return piece(tokenQuoted, quotedLength(rest, '"', false))
	case c == '$':
		if n := dollarLength(rest); n > 0 {
			return piece(tokenString, n)
		}
		return piece(tokenSymbol, 1)
	case isWordStart(c) || isDigit(c):
		return piece(tokenWord, spanOf(rest, isWordPart))
	case c == '\\' && (at == 0 || text[at-1] == '\n'):
		return piece(tokenMeta, lineLength(rest))
	}
	return piece(tokenSymbol, 1)
}

func isSpace(c byte) bool { return strings.IndexByte(" \t\n\r\f\v", c) >= 0 }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWordStart holds for every byte of a character that is not ASCII, as in PostgreSQL's scanner.
func isWordStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}
func isWordPart(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }
func isTagPart(c byte) bool  { return isWordStart(c) || isDigit(c) }

func spanOf(s string, in func(byte) bool) int {
	n := 1
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func lineLength(s string) int {
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// blockComment returns the length of a comment that may hold comments.
func blockComment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); {
		switch s[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return len(s)
}

// quotedLength returns the length of a text between quotes, in which a doubled quote stands for one.
func quotedLength(s string, quote byte, backslash bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}

// dollarLength returns the length of a dollar-quoted text, or 0 where the dollar starts none.
func dollarLength(s string) int {
	n := 1
	if n < len(s) && isWordStart(s[n]) {
		n += spanOf(s[n:], isTagPart)
	}
	if n >= len(s) || s[n] != '$' {
		return 0
	}
	tag := s[:n+1]
	end := strings.Index(s[len(tag):], tag)
	if end < 0 {
		return len(s)
	}
	return len(tag) + end + len(tag)
}

// words returns the tokens that carry meaning: no blanks, no comments.
func words(text string) []string {
	var list []string
	for _, t := range tokens(text) {
		if t.kind != tokenSpace && t.kind != tokenComment && t.kind != tokenMeta {
			list = append(list, text[t.start:t.end])
		}
	}
	return list
}

// hasWords tells whether the keywords, in upper case, stand one after the other outside of strings and quotes.
func hasWords(list []string, keywords ...string) bool { return indexWords(list, keywords...) >= 0 }

func indexWords(list []string, keywords ...string) int {
	for i := 0; i+len(keywords) <= len(list); i++ {
		n := 0
		for n < len(keywords) && strings.EqualFold(list[i+n], keywords[n]) {
			n++
		}
		if n == len(keywords) {
			return i
		}
	}
	return -1
}

// statements cuts text into single statements, without their semicolons. A semicolon within parentheses (the
// actions of a rule) or within BEGIN ATOMIC … END (the body of a function) ends nothing.
func statements(text string) []token {
	var list []token
	parens, atomic, from := 0, 0, -1
	last := "" // the word before this one
	var end int
	for _, t := range tokens(text) {
		if t.kind == tokenSpace || t.kind == tokenComment || t.kind == tokenMeta {
			continue
		}
		word := text[t.start:t.end]
		if word == ";" && parens == 0 && atomic == 0 {
			if from >= 0 {
				list = append(list, token{tokenSymbol, from, end})
			}
			from, last = -1, ""
			continue
		}
		if from < 0 {
			from = t.start
		}
		end = t.end
		parens, atomic = nesting(parens, atomic, last, word)
		last = word
	}
	if from >= 0 {
		list = append(list, token{tokenSymbol, from, end})
	}
	return list
}

// nesting follows parentheses, and the CASE … END within an atomic body.
func nesting(parens, atomic int, last, word string) (int, int) {
	switch {
	case word == "(":
		parens++
	case word == ")" && parens > 0:
		parens--
	case strings.EqualFold(word, "atomic") && strings.EqualFold(last, "begin"):
		atomic = 1
	case atomic > 0 && strings.EqualFold(word, "case"):
		atomic++
	case atomic > 0 && strings.EqualFold(word, "end"):
		atomic--
	}
	return parens, atomic
}
