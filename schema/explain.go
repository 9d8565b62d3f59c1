package schema

import (
	"regexp"
	"slices"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

var roleMissing = regexp.MustCompile(`^role "(.*)" does not exist`)

// Role is the role that the server does not know, or that ours is no member of; "" where that is not the cause.
func (r Refusal) Role() string {
	if m := roleMissing.FindStringSubmatch(r.Message); m != nil && r.Code == pg.CodeUndefined {
		return m[1]
	}
	if m := roleNamed.FindStringSubmatch(r.Message); m != nil && r.Code == pg.CodePrivilege {
		return m[1]
	}
	return ""
}

// Unexplained leaves out the differences that follow from refusals, and from roles that the target does not have or
// that objects could not be given to: those are told by themselves.
func Unexplained(found []Difference, refused []Refusal, missing []string) []Difference {
	roles := slices.Clone(missing)
	var objects []objectName
	for _, r := range refused {
		role := r.Role()
		if role != "" && !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
		if role == "" || strings.HasPrefix(r.SQL, "CREATE ") {
			objects = append(objects, nameOf(r.Entry))
		}
	}
	return slices.DeleteFunc(found, func(d Difference) bool {
		return slices.ContainsFunc(objects, func(o objectName) bool { return o.isPartOf(d) }) || onlyOf(d, roles)
	})
}

// objectName is what an entry is about, in the ways in which differences name it.
type objectName struct {
	relation plan.Name
	text     string
}

func nameOf(e Entry) objectName {
	if pairs := qualified(e.SQL); len(pairs) > 0 {
		return objectName{pairs[0], bare(pairs[0].String())}
	}
	return objectName{text: bare(e.Name)}
}

func (o objectName) isPartOf(d Difference) bool {
	return o.relation.Name != "" && d.of == o.relation || strings.Contains(bare(d.Name), o.text)
}

var owner = regexp.MustCompile(`(?:^|; )owner ([^;]*)`)

// onlyOf tells whether nothing differs but what those roles own or may do.
func onlyOf(d Difference, roles []string) bool {
	if len(roles) == 0 {
		return false
	}
	named := func(text string) bool {
		return slices.ContainsFunc(roles, func(r string) bool { return strings.Contains(bare(text), r) })
	}
	switch d.Kind {
	case "privilege", "default privileges", "policy", "user mapping":
		return named(d.Name) || named(d.Source) || named(d.Target)
	}
	m := owner.FindStringSubmatch(d.Source)
	return m != nil && slices.Contains(roles, bare(m[1])) && owner.ReplaceAllString(d.Source, "") == owner.ReplaceAllString(d.Target, "")
}
