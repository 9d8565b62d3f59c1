package pooler

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgleap/internal/pgserver"
)

var elsewhere = Values{Host: "10.0.0.9", Port: "6001", DBName: "shop new"}

// strange has every oddity that PgBouncer takes, with the entry shop in the middle of it.
const strange = "; first\r\n# shop = host=comment\r\n\r\n[databases]\r\n" +
	"shopping = host=a port=1 dbname=x\r\n" +
	"  shop\t=  user='it''s me' host = h.example  port='5433' password='p host=no ''q'  dbname=shop pool_size=7  \r\n" +
	"other=\r\n[users]\r\nshop = pool_mode=session\r\n[pgbouncer]\r\nlisten_port = 1\r\n"

func TestPointChangesNothingElse(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"everything strange": {
			strange,
			strings.NewReplacer("host = h.example", "host = 10.0.0.9", "port='5433'", "port='6001'", "dbname=shop pool", "dbname='shop new' pool").Replace(strange),
		},
		"defaults":        {"[databases]\nshop =\n[pgbouncer]\n", "[databases]\nshop = host=10.0.0.9 port=6001 dbname='shop new'\n[pgbouncer]\n"},
		"only a host":     {"[databases]\nshop=host=a", "[databases]\nshop=host=10.0.0.9 port=6001 dbname='shop new'"},
		"on the section":  {"[databases] shop = host=a port=1 dbname=b\n", "[databases] shop = host=10.0.0.9 port=6001 dbname='shop new'\n"},
		"quoted name":     {"[databases]\n\"shop\" = host=a port=1 dbname=b\n", "[databases]\n\"shop\" = host=10.0.0.9 port=6001 dbname='shop new'\n"},
		"several of it":   {"[databases]\na=host=x\n[users]\n[databases]\nshop=port=1 host=a dbname=c\n", "[databases]\na=host=x\n[users]\n[databases]\nshop=port=6001 host=10.0.0.9 dbname='shop new'\n"},
		"already so":      {"[databases]\nshop=  host=10.0.0.9 port='6001'   dbname='shop new' \n", "[databases]\nshop=  host=10.0.0.9 port='6001'   dbname='shop new' \n"},
		"other's include": {"%include none\n[databases]\nshop=host=a port=1 dbname=b", "%include none\n[databases]\nshop=host=10.0.0.9 port=6001 dbname='shop new'"},
	} {
		t.Run(name, func(t *testing.T) {
			f := configFile(t, c.before)
			before, err := f.Entry("shop")
			must(t, err)
			must(t, f.Point("shop", elsewhere))
			if got := text(t, f.path); got != c.after {
				t.Errorf("got\n%q\nwant\n%q", got, c.after)
			}
			if v, err := f.Entry("shop"); err != nil || v != elsewhere {
				t.Errorf("points at %v: %v", v, err)
			}
			if v, ok, err := f.Remembered("shop"); err != nil || !ok || v != before {
				t.Errorf("remembered %v %v %v, want %v", v, ok, err, before)
			}
		})
	}
}

func TestPutBackLeavesWhatOthersChanged(t *testing.T) {
	f := configFile(t, strange)
	must(t, f.Point("shop", elsewhere))
	must(t, f.Point("shop", Values{Host: "third", Port: "3", DBName: "third"})) // the first values stay remembered
	edited := strings.Replace(text(t, f.path), "other=", "other=host=new", 1)
	must(t, os.WriteFile(f.path, []byte(edited), 0o640))

	again, err := OpenFile(f.path, "r1") // another process, after a crash
	must(t, err)
	for range 2 {
		must(t, again.PutBack("shop"))
	}
	if got, want := text(t, f.path), strings.Replace(strange, "other=", "other=host=new", 1); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if left := folder(t, f); !slices.Equal(left, []string{"pgbouncer.ini"}) {
		t.Errorf("left: %v", left)
	}
}

func TestStagedFileTakesInWhatOthersChanged(t *testing.T) {
	f := configFile(t, strange)
	staged, err := f.Stage("shop", elsewhere)
	must(t, err)
	if text(t, f.path) != strange {
		t.Error("changed before Install")
	}
	edited := strings.Replace(strange, "other=", "other=host=new", 1)
	must(t, os.WriteFile(f.path, []byte(edited), 0o640))
	must(t, staged.Install())
	if got := text(t, f.path); !strings.Contains(got, "other=host=new") || !strings.Contains(got, "10.0.0.9") {
		t.Errorf("got %q", got)
	}
	staged, err = f.Stage("shop", Values{Host: "third"})
	must(t, err)
	staged.Discard()
	must(t, f.PutBack("shop"))
	if got := text(t, f.path); got != edited || len(folder(t, f)) != 1 {
		t.Errorf("%v, got %q", folder(t, f), got)
	}
	staged, err = f.Stage("other", Values{Host: "new"}) // as it is
	must(t, err)
	must(t, staged.Install())
	must(t, f.Forget("other"))
	if got := text(t, f.path); got != edited || len(folder(t, f)) != 1 {
		t.Errorf("%v, got %q", folder(t, f), got)
	}
}

func TestPutBackTakesOutWhatWasAdded(t *testing.T) {
	before := "[databases]\nshop = host=a\nlast = port=1\n"
	f := configFile(t, before)
	must(t, f.Point("shop", elsewhere))
	must(t, f.PutBack("shop"))
	if got := text(t, f.path); got != before {
		t.Errorf("got %q", got)
	}
}

func TestMemoryHoldsNoPassword(t *testing.T) {
	f := configFile(t, "[databases]\nshop = host=a password=sesame\nb = host=b\n")
	must(t, f.Point("shop", elsewhere))
	must(t, f.Point("b", elsewhere))
	info, err := os.Stat(f.memory)
	must(t, err)
	if m := text(t, f.memory); strings.Contains(m, "sesame") || info.Mode().Perm() != 0o600 || filepath.Base(f.memory) != "pgbouncer.ini.pgleap_r1" {
		t.Errorf("%s, mode %v: %s", f.memory, info.Mode(), m)
	}
	must(t, f.Forget("shop"))
	if _, ok, _ := f.Remembered("shop"); ok {
		t.Error("not forgotten")
	}
	if _, ok, _ := f.Remembered("b"); !ok {
		t.Error("the other one is forgotten, too")
	}
}

func TestFileKeepsModeOwnerAndLink(t *testing.T) {
	f := configFile(t, strange)
	if os.Geteuid() == 0 {
		must(t, os.Chown(f.path, 12, 34))
	}
	must(t, os.Chmod(f.path, 0o640))
	before, err := os.Stat(f.path)
	must(t, err)
	link := filepath.Join(t.TempDir(), "link.ini")
	must(t, os.Symlink(f.path, link))
	linked, err := OpenFile(link, "r1")
	must(t, err)
	must(t, linked.Writable())
	must(t, linked.Point("shop", elsewhere))
	if target, err := os.Readlink(link); err != nil || target != f.path {
		t.Errorf("the link became %q: %v", target, err)
	}
	after, err := os.Stat(f.path)
	must(t, err)
	b, a := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if after.Mode() != before.Mode() || a.Uid != b.Uid || a.Gid != b.Gid || os.SameFile(before, after) {
		t.Errorf("mode %v owner %d:%d, want %v %d:%d in a new file", after.Mode(), a.Uid, a.Gid, before.Mode(), b.Uid, b.Gid)
	}
}

func TestFileSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"missing":          {"[databases]\nshopping=host=a\n", `has no entry "shop" in section [databases]`},
		"another section":  {"[users]\nshop=pool_mode=session\n", `has no entry "shop"`},
		"only a wildcard":  {"[databases]\n* = host=a\n", "its entry * serves all others"},
		"twice":            {"[databases]\nshop=host=a\nshop=host=b\n", "has the entry \"shop\" 2 times"},
		"a mistake":        {"[databases]\nother=host=a\nwhat is this\nshop=host=a\n", "line 3 is none that PgBouncer understands"},
		"an open section":  {"[databases\nshop=host=a\n", "line 1 is none"},
		"host twice":       {"[databases]\nshop=host=a host=b password=sesame\n", "it has host twice"},
		"no list":          {"[databases]\nshop=host=a password sesame\n", "not a list of key=value"},
		"an open quote":    {"[databases]\nshop=host='a password=sesame\n", "not a list of key=value"},
		"an empty value":   {"[databases]\nshop=password=sesame host=''\n", "not a list of key=value"},
		"in an include":    {"[databases]\n%include more.ini\n", "more.ini"},
		"include is later": {"[databases]\nshop=host=a\n%include more.ini\n", "is in the included"},
		"include is gone":  {"[databases]\n%include gone.ini\n", "not to be read from here: gone.ini"},
		"include is wrong": {"[databases]\nshop=host=a\n%include wrong.ini\n", "wrong.ini: line 1 is none"},
	} {
		t.Run(name, func(t *testing.T) {
			f := configFile(t, c.text)
			must(t, os.WriteFile(filepath.Join(filepath.Dir(f.path), "more.ini"), []byte("[databases]\nshop=host=a\n"), 0o600))
			must(t, os.WriteFile(filepath.Join(filepath.Dir(f.path), "wrong.ini"), []byte("what is this"), 0o600))
			err := f.Point("shop", elsewhere)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "\nfix: ") || strings.Contains(err.Error(), "sesame") {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if got := text(t, f.path); got != c.text {
				t.Errorf("the file became %q", got)
			}
			if len(folder(t, f)) != 3 {
				t.Errorf("left: %v", folder(t, f))
			}
		})
	}
	f := configFile(t, strange)
	if err := f.Point("shop", Values{Host: "a\nother = host=b"}); err == nil || text(t, f.path) != strange {
		t.Errorf("a line break got in: %v", err)
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	f := configFile(t, strange)
	for _, c := range []error{syscall.EACCES, syscall.EROFS} {
		if err := f.failed(&fs.PathError{Op: "open", Path: "x", Err: c}); !strings.Contains(err.Error(), f.path) || !strings.Contains(err.Error(), "--on-reroute") {
			t.Errorf("error %v", err)
		}
	}
	if os.Geteuid() != 0 { // root may write everywhere
		must(t, os.Chmod(filepath.Dir(f.path), 0o500))
		for _, err := range []error{f.Writable(), f.Point("shop", elsewhere)} {
			if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "let this user write") {
				t.Errorf("error %v", err)
			}
		}
		must(t, os.Chmod(filepath.Dir(f.path), 0o700))
	}
	must(t, os.Remove(f.path))
	_, entryErr := f.Entry("shop")
	for _, err := range []error{entryErr, f.Writable(), f.Point("shop", elsewhere)} {
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), f.path) || !strings.Contains(err.Error(), "see who removed it") {
			t.Errorf("error %v", err)
		}
	}
	if _, err := OpenFile(f.path, "r1"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--pgbouncer-config") {
		t.Errorf("error %v", err)
	}
}

// TestFileIsReadAsPgBouncerReadsIt compares our reading with PgBouncer's own, before and after a change.
func TestFileIsReadAsPgBouncerReadsIt(t *testing.T) {
	p := pgserver.StartPgBouncerT(t, pgserver.PgBouncerOptions{Databases: map[string]string{
		"plain":      "host=127.0.0.1 port=5433 dbname=a",
		"quoted":     "host='127.0.0.1' port = '5433'   dbname='it''s = host=b'",
		"defaults":   "",
		"odd.na-m_e": "user='host=c' dbname=x=y",
		"mixed":      "dbname=MixedCase host=127.0.0.2 pool_size=3",
		"tab":        "host=127.0.0.1 dbname=a\tb",
	}})
	must(t, appendText(p.ConfigFile(), "[databases]\r\n ; comment\r\nlate\t=\thost=127.0.0.3 \r\n[users]\n[databases] inline = host=127.0.0.4\n%include "+filepath.Join(filepath.Dir(p.ConfigFile()), "more.ini")+"\n"))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(p.ConfigFile()), "more.ini"), []byte("[databases]\nincluded = host=x\n"), 0o644))
	n := openNode(t, p)
	f, err := OpenFile(p.ConfigFile(), "r1")
	must(t, err)
	must(t, n.Reload(t.Context()))
	names := compare(t, n, f)
	if len(names) != 8 {
		t.Fatalf("entries %v", names)
	}
	for i, name := range names {
		must(t, f.Point(name, Values{Host: "127.0.0.9", Port: fmt.Sprint(7000 + i), DBName: "it's new"}))
	}
	must(t, n.ReloadTo(t.Context(), names[0], Values{Host: "127.0.0.9", Port: "7000", DBName: "it's new"}))
	compare(t, n, f)
}

// compare returns the names of the entries that are in the file itself.
func compare(t *testing.T, n *Node, f *File) []string {
	t.Helper()
	entries, err := n.Databases(t.Context())
	must(t, err)
	names := map[string]bool{}
	for _, e := range entries {
		v, err := f.Entry(e.Name)
		if e.Name == "included" {
			if err == nil || !strings.Contains(err.Error(), "more.ini") {
				t.Errorf("an included entry: %v", err)
			}
			continue
		}
		must(t, err)
		names[e.Name] = true
		if v.Port == "" {
			v.Port = "5432"
		}
		if v.DBName == "" {
			v.DBName = e.Name
		}
		if v != e.Values() {
			t.Errorf("%s: PgBouncer reads %q, we %q", e.Name, e.Values(), v)
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func appendText(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// FuzzPointed: whatever an entry looks like, a change is one of its three values only, and can be taken back.
func FuzzPointed(f *testing.F) {
	f.Add(strange, "10.0.0.9", "6001", "it's")
	f.Add("[databases]\nshop=host=a\n", "b", "", "")
	f.Add("[databases]shop = dbname='a' host=b", "", "1", " ")
	f.Fuzz(func(t *testing.T, text, host, port, dbname string) {
		want := Values{host, port, dbname}
		if strings.ContainsAny(host+port+dbname, "\r\n\x00") || strings.Contains(text, "\x00") {
			return
		}
		before, err := items(text)
		if err != nil {
			return
		}
		for i, e := range before {
			was, err := valuesOf(e.value.of(text))
			if e.name == "" || err != nil {
				continue
			}
			line, err := pointed(e.value.of(text), want)
			if err != nil {
				t.Fatalf("read, but not changed: %v", err)
			}
			changed := text[:e.value.from] + line + text[e.value.to:]
			after, err := items(changed)
			if err != nil || len(after) != len(before) {
				t.Fatalf("%q became %q, which is another file: %v", text, changed, err)
			}
			for j, a := range after {
				if j != i && (a.name != before[j].name || a.include != before[j].include || a.value.of(changed) != before[j].value.of(text)) {
					t.Fatalf("%q became %q: another entry changed", text, changed)
				}
			}
			if got, err := valuesOf(after[i].value.of(changed)); err != nil || got != want {
				t.Fatalf("%q became %q: it points at %q, want %q (%v)", text, changed, got, want, err)
			}
			if others(t, e.value.of(text)) != others(t, after[i].value.of(changed)) {
				t.Fatalf("%q became %q: another setting changed", text, changed)
			}
			back, err := pointed(after[i].value.of(changed), was)
			if got, readErr := valuesOf(back); err != nil || readErr != nil || got != was {
				t.Fatalf("%q put back is %q", line, back)
			}
		}
	})
}

// others are the tokens of an entry that are not ours.
func others(t *testing.T, line string) string {
	t.Helper()
	list, err := tokens(line)
	must(t, err)
	var b strings.Builder
	for _, k := range list {
		if new(Values).field(k.key) == nil {
			b.WriteString(line[k.all.from:k.all.to] + "\x00")
		}
	}
	return b.String()
}

func configFile(t *testing.T, content string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pgbouncer.ini")
	must(t, os.WriteFile(path, []byte(content), 0o640))
	f, err := OpenFile(path, "r1")
	must(t, err)
	return f
}

func text(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return string(content)
}

func folder(t *testing.T, f *File) []string {
	t.Helper()
	list, err := os.ReadDir(filepath.Dir(f.path))
	must(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
