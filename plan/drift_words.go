package plan

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// shown renders a value for a sentence: short, and never empty.
func shown(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return HumanDuration(v)
	case Name:
		return v.String()
	case *Name:
		if v == nil {
			return "nothing"
		}
		return v.String()
	case []string:
		return shownList(v)
	case []Name:
		return shownList(keys(v, Name.String))
	}
	s := OneLine(fmt.Sprint(v))
	if s == "" {
		return "nothing"
	}
	return s
}

func shownList(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return OneLine(strings.Join(list, ", "))
}

// words turns the name of a field into words: NotNull into "not null".
func words(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(field[i-1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
