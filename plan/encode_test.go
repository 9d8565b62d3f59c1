package plan

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEncodeRoundTrip(t *testing.T) {
	want := samplePlan()
	got, err := Decode(strings.NewReader(encoded(want)))
	if err != nil {
		t.Fatal(err)
	}
	want.Source.Relations[0].OID = 0 // of one server's life, not of the plan's
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded plan differs (-want +got):\n%s", diff)
	}
	if encoded(got) != encoded(want) {
		t.Error("the second encoding differs from the first")
	}
}

func TestEncodeWritesNoNull(t *testing.T) {
	text := encoded(Plan{Format: Format})
	for _, want := range []string{`"findings": []`, `"stages": []`} {
		if !strings.Contains(text, want) {
			t.Errorf("want %s in\n%s", want, text)
		}
	}
}

func TestEncodeRefusesWhatIsNoUTF8(t *testing.T) {
	p := samplePlan()
	p.Stages[0].Steps[0].Do.SQL = "drop table gr\xfc\xdfe;"
	if err := p.Encode(io.Discard); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("error %v; want one about UTF-8", err)
	}
	if p.Fingerprint() == samplePlan().Fingerprint() {
		t.Error("the fingerprint misses the statement")
	}
	p.Stages[0].Steps[0].Do.SQL = `select '\ufffd', '\\ufffd', '�';`
	if err := p.Encode(io.Discard); err != nil {
		t.Error(err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := encoded(samplePlan())
	for name, c := range map[string]struct{ text, want string }{
		"nothing":         {"", "EOF"},
		"no JSON":         {"create table", "decode plan"},
		"another list":    {`[1]`, "decode plan"},
		"no plan":         {`{"a": 1}`, "no plan of pgleap"},
		"another format":  {strings.Replace(good, `"format": 1`, `"format": 7`, 1), "format 7 and was made by pgleap 0.1.0; this pgleap reads format 1"},
		"a second format": {strings.Replace(good, `"tool": "pgleap 0.1.0",`, `"tool": "9", "Format": 3,`, 1), "format 3 and was made by pgleap 9"},
		"unknown field":   {strings.Replace(good, `"run":`, `"later": true, "run":`, 1), `unknown field "later"`},
		"unknown in step": {strings.Replace(good, `"recorded":`, `"sure": true, "recorded":`, 1), `unknown field "sure"`},
		"garbage":         {good + "rm -rf", "goes on after the plan"},
		"a second plan":   {good + good, "goes on after the plan"},
		"cut off":         {good[:len(good)/2], "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want one with %q", err, c.want)
			}
		})
	}
}

func TestEncodeReportsTheWriter(t *testing.T) {
	full := errors.New("disk full")
	for name, write := range map[string]func(io.Writer) error{
		"json": samplePlan().Encode, "text": samplePlan().WriteText, "markdown": func(w io.Writer) error { return samplePlan().WriteMarkdown(w, sampleTime) },
	} {
		if err := write(failingWriter{full}); !errors.Is(err, full) {
			t.Errorf("%s: error %v; want %v", name, err, full)
		}
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func FuzzDecode(f *testing.F) {
	f.Add(encoded(samplePlan()))
	f.Add(encoded(Plan{Format: Format}))
	f.Add(`{"format":1,"source":{"relations":[{"name":{"schema":"\ud800","name":""}}],"schemas":[]}}`)
	f.Add(`{"format":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Decode(strings.NewReader(text))
		if err != nil {
			return
		}
		once := encoded(p)
		again, err := Decode(strings.NewReader(once))
		if err != nil {
			t.Fatalf("own encoding refused: %v\n%s", err, once)
		}
		if twice := encoded(again); twice != once {
			t.Errorf("encodings differ:\n%s", cmp.Diff(once, twice))
		}
		if p.Fingerprint() != again.Fingerprint() {
			t.Error("the fingerprint changed")
		}
		if d := p.Drift(again); len(d) > 0 {
			t.Errorf("drift from itself: %q", d)
		}
		if err := again.WriteText(io.Discard); err != nil {
			t.Error(err)
		}
		if err := again.WriteMarkdown(io.Discard, sampleTime); err != nil {
			t.Error(err)
		}
	})
}
