package schema

import (
	"slices"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for text, want := range map[string][]string{
		`a'b''c'd`:                  {`a`, `'b''c'`, `d`},
		`E'\' ;' 'x\' y`:            {`E'\' ;'`, `'x\'`, `y`},
		`"a""b" . "c;d"`:            {`"a""b"`, `.`, `"c;d"`},
		"$$ ' $$ $a$ $$ $b$ $a$":    {`$$ ' $$`, `$a$ $$ $b$ $a$`},
		"a$b$ $1 $1$":               {`a$b$`, `$`, `1`, `$`, `1$`},
		"x -- ' \n y":               {`x`, `y`},
		"x /* ' /* */ ; */ y":       {`x`, `y`},
		"ä$ü$ ' $ü$ über$":          {`ä$ü$`, `' $ü$ über$`},
		"$ü$ ; $ü$":                 {`$ü$ ; $ü$`},
		"\\restrict it's\nselect 1": {`select`, `1`},
	} {
		if got := words(text); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", text, got, want)
		}
	}
}

func TestStatements(t *testing.T) {
	text := `-- TABLE a
create table a (); ;
create rule r as on insert to a do also (delete from b; delete from c);
create function f() returns text language sql begin atomic select case when true then case 1 when 1 then ';' end end; select 'end'; end;
create function g() as $$ begin; $$; begin; end; select 1`
	want := []string{
		"create table a ()", "create rule r as on insert to a do also (delete from b; delete from c)",
		"create function f() returns text language sql begin atomic select case when true then case 1 when 1 then ';' end end; select 'end'; end",
		"create function g() as $$ begin; $$", "begin", "end", "select 1",
	}
	var got []string
	for _, s := range statements(text) {
		got = append(got, text[s.start:s.end])
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// FuzzTokens: every byte belongs to exactly one token, whatever the text; nothing above the lexer breaks either.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{
		"", "'", `"`, "$", "$$", "$a$ $b$ $a", "/*/**/", "--", "E'\\", "\\x\n\\", "a.b;c", "begin atomic case end end;", "\xff$\xff$", "-- Name: a; Type: TABLE; Schema: b; Owner: c",
		"--\n-- Name: a; Type: TABLE; Schema: b; Owner: c\n--\n\ncreate table b.a ();\nSET default_tablespace = x;\n\n--\n-- Name: i; Type: INDEX; Schema: b; Owner: c\n--\n\ncreate index i on b.a ();",
		"--\n-- Name: 0; Type: A; Schema: 0; Owner: \n--\n-- Name: 0; Type: A; Schema: 0; Owner: 0\n--", // two headers share a line
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at := 0
		for _, tok := range tokens(text) {
			if tok.start != at || tok.end <= tok.start || tok.end > len(text) {
				t.Fatalf("token %v after %d of %q", tok, at, text)
			}
			at = tok.end
		}
		if at != len(text) {
			t.Fatalf("%d bytes of %q are in no token", len(text)-at, text)
		}
		entries, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, step := range append(append(DefinitionSteps(entries), FinishSteps(entries, nil, nil)...), DeferredSteps(entries)...) {
			Statements(step)
		}
	})
}
