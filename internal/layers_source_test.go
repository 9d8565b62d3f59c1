package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sourceProblems reads the package's files, tests left out, for what only one package may do.
func sourceProblems(t *testing.T, p listed) []string {
	t.Helper()
	var problems []string
	for _, name := range slices.Concat(p.GoFiles, p.Ignored) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		problems = append(problems, fileProblems(t, p.name(), filepath.Join(p.Dir, name), nil)...)
	}
	return problems
}

// scan walks one file of a package.
type scan struct {
	pkg      string
	fset     *token.FileSet
	imports  map[string]string // the name in the file → the path
	problems []string
}

func fileProblems(t *testing.T, pkg, file string, text any) []string {
	t.Helper()
	s := &scan{pkg: pkg, fset: token.NewFileSet(), imports: map[string]string{}}
	f, err := parser.ParseFile(s.fset, file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		s.imports[importName(i, p)] = p
	}
	ast.Inspect(f, s.visit)
	return s.problems
}

var majorSuffix = regexp.MustCompile(`^v[0-9]+$`)

func importName(i *ast.ImportSpec, p string) string {
	switch {
	case i.Name != nil:
		return i.Name.Name
	case majorSuffix.MatchString(path.Base(p)):
		return path.Base(path.Dir(p))
	default:
		return path.Base(p)
	}
}

func (s *scan) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && s.imports[x.Name] != "" {
			s.use(n, s.imports[x.Name], n.Sel.Name)
		}
	case *ast.BinaryExpr:
		s.compare(n)
	case *ast.BasicLit:
		if n.Kind == token.STRING && versionInSQL.MatchString(n.Value) && s.pkg != "internal/pgver" {
			s.say(n, "compares server_version_num in SQL: make it a pgver.Feature")
		}
	}
	return true
}

var versionInSQL = regexp.MustCompile(`server_version_num'?\s*\)?(\s*::\s*\w+)?\s*[<>=]`)

var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// use judges the use of name out of the package at p.
func (s *scan) use(n ast.Node, p, name string) {
	switch {
	case within(p, "github.com/jackc/pgx/v5") && strings.HasPrefix(name, "Connect") && name != "ConnectError" && s.pkg != "internal/pg":
		s.say(n, "opens a connection: only internal/pg does")
	case p == "time" && slices.Contains(clock, name) && slices.Contains(pure, s.pkg):
		s.say(n, s.pkg+" is pure, but looks at the clock")
	case p == "fmt" && strings.HasPrefix(name, "Print") && !within(s.pkg, "cmd"):
		s.say(n, "prints to the terminal: only internal/ui does")
	case p == "os" && (name == "Stdout" || name == "Stderr") && !slices.Contains(terminalUsers, house(s.pkg)):
		s.say(n, "uses the terminal: only internal/ui does")
	}
}

// terminalUsers may name the process's stdout and stderr: cmd hands them to ui.
var terminalUsers = []string{"cmd", "internal/ui"}

// compare refuses "major >= n" outside pgver. Two versions may be compared with each other, with pgver's own
// names, and with 0, which is unknown.
func (s *scan) compare(n *ast.BinaryExpr) {
	switch n.Op {
	case token.LSS, token.LEQ, token.GTR, token.GEQ, token.EQL, token.NEQ:
	default:
		return
	}
	if s.pkg == "internal/pgver" {
		return
	}
	for _, pair := range [][2]ast.Expr{{n.X, n.Y}, {n.Y, n.X}} {
		major, call := mentionsMajor(pair[0])
		number, literal := intLiteral(pair[1])
		otherMajor, _ := mentionsMajor(pair[1])
		switch {
		case major && literal && number != 0, call && !literal && !otherMajor && !s.ofPgver(pair[1]):
			s.say(n, "compares a major version: make it a pgver.Feature")
			return
		case literal && number >= 90000 && number < 200000 && mentionsVersion(pair[0]):
			s.say(n, "compares a version number: make it a pgver.Feature")
			return
		}
	}
}

// mentionsMajor tells whether e ends in .Major or .Major(), and which.
func mentionsMajor(e ast.Expr) (major, call bool) {
	e = ast.Unparen(e)
	if c, ok := e.(*ast.CallExpr); ok {
		e, call = c.Fun, true
	}
	sel, ok := e.(*ast.SelectorExpr)
	major = ok && sel.Sel.Name == "Major"
	return major, major && call
}

func mentionsVersion(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && strings.Contains(strings.ToLower(id.Name), "version") {
			found = true
		}
		return !found
	})
	return found
}

func intLiteral(e ast.Expr) (int64, bool) {
	lit, ok := ast.Unparen(e).(*ast.BasicLit)
	if !ok || lit.Kind != token.INT {
		return 0, false
	}
	n, err := strconv.ParseInt(lit.Value, 0, 64)
	return n, err == nil
}

func (s *scan) ofPgver(e ast.Expr) bool {
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && s.imports[x.Name] == module+"/internal/pgver"
}

func (s *scan) say(n ast.Node, what string) {
	s.problems = append(s.problems, fmt.Sprintf("%s: %s", s.fset.Position(n.Pos()), what))
}

func TestSourceScanCanFail(t *testing.T) {
	for name, c := range map[string]struct{ pkg, imports, code, want string }{
		"connects":            {"sync", `"github.com/jackc/pgx/v5"`, `pgx.Connect(nil, "")`, "opens a connection"},
		"connects by config":  {"internal/catalog", `"github.com/jackc/pgx/v5/pgconn"`, `pgconn.ConnectConfig(nil, nil)`, "opens a connection"},
		"connects by alias":   {"sync", `driver "github.com/jackc/pgx/v5"`, `f(driver.ConnectConfig)`, "opens a connection"},
		"connects in pg":      {"internal/pg", `"github.com/jackc/pgx/v5"`, `pgx.Connect(nil, "")`, ""},
		"collects rows":       {"sync", `"github.com/jackc/pgx/v5"`, `pgx.CollectRows[int](nil, nil)`, ""},
		"the clock in plan":   {"plan", `"time"`, `time.Now()`, "looks at the clock"},
		"the clock elsewhere": {"sync", `"time"`, `time.Now()`, ""},
		"a time in plan":      {"plan", `"time"`, `f(time.Second)`, ""},
		"major >= 14":         {"schema", "", `f(v.Major() >= 14)`, "compares a major"},
		"14 <= major":         {"schema", "", `f(14 <= facts.Version.Major())`, "compares a major"},
		"major and a name":    {"schema", "", `f(v.Major() >= oldest)`, "compares a major"},
		"a field major":       {"plan", "", `f(dump.Major < 17)`, "compares a major"},
		"two majors":          {"plan", "", `f(a.Version.Major() > (b.Version.Major()))`, ""},
		"a field and a call":  {"plan", "", `f(dump.Major < a.Major())`, ""},
		"no major known":      {"plan", "", `f(dump.Major == 0)`, ""},
		"pgver's own name":    {"plan", `"pgleap/internal/pgver"`, `f(a.Major() < pgver.Oldest)`, ""},
		"in pgver":            {"internal/pgver", "", `f(a.Major() < 14)`, ""},
		"a version number":    {"plan", "", `f(int(facts.Version) >= 130000)`, "compares a version number"},
		"another number":      {"plan", "", `f(rows > 130000)`, ""},
		"in SQL":              {"plan", "", "f(`select current_setting('server_version_num')::int >= 140000`)", "in SQL"},
		"read in SQL":         {"internal/pg", "", "f(`select current_setting('server_version_num')::int`)", ""},
		"prints":              {"schema", `"fmt"`, `fmt.Println("x")`, "prints to the terminal"},
		"formats":             {"schema", `"fmt"`, `fmt.Fprintln(w, "x")`, ""},
		"stderr":              {"schema", `"os"`, `f(os.Stderr)`, "uses the terminal"},
		"stderr in cmd":       {"cmd/pgleap", `"os"`, `f(os.Stderr)`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := "package p\n"
			if c.imports != "" {
				text += "import " + c.imports + "\n"
			}
			text += "func g() { " + c.code + " }\n"
			expectProblem(t, fileProblems(t, c.pkg, "p.go", text), c.want)
		})
	}
}
