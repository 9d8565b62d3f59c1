package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Encode writes the plan as indented JSON. The same plan gives the same bytes, and what Decode read is
// encoded as it was.
func (p Plan) Encode(w io.Writer) error {
	// Empty is written as [], not null: readers of the JSON need not tell the two apart.
	if p.Findings == nil {
		p.Findings = []Finding{}
	}
	if p.Stages == nil {
		p.Stages = []Stage{}
	}
	text, err := p.text()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

// text is the plan's JSON, proven to be read back as it is: JSON cannot hold a name that is not UTF-8, and a
// saved plan with another name in its statements would be another plan.
func (p Plan) text() ([]byte, error) {
	text, err := indented(p)
	if err != nil {
		return nil, err
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil {
		return nil, fmt.Errorf("encode plan: read it back: %w", err)
	}
	again, err := indented(back)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(text, again) {
		return nil, errors.New("encode plan: a name or a statement in it is not valid UTF-8: the plan would be read back as another one")
	}
	return text, nil
}

func indented(p Plan) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // SQL is full of < and >
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads a plan that Encode wrote. It takes nothing else: an unknown field could be a step that this
// version would leave out, and a file that goes on after the plan was put together by hand.
func Decode(r io.Reader) (Plan, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	if err := checkFormat(text); err != nil {
		return Plan{}, err
	}
	var p Plan
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Plan{}, fmt.Errorf("decode plan: %w", err)
	}
	if p.Format != Format { // a second "format" in the text wins over the first
		return Plan{}, formatError(p.Format, p.Tool)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Plan{}, fmt.Errorf("decode plan: the file goes on after the plan, at byte %d", dec.InputOffset())
	}
	return p, nil
}

// checkFormat looks at the format alone: a plan of another format would otherwise be refused with a word
// about some field, which helps nobody.
func checkFormat(text []byte) error {
	var head struct {
		Format *int   `json:"format"`
		Tool   string `json:"tool"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&head); err != nil {
		return fmt.Errorf("decode plan: %w", err)
	}
	if head.Format == nil {
		return errors.New("decode plan: this is no plan of pgleap: it has no format")
	}
	if *head.Format != Format {
		return formatError(*head.Format, head.Tool)
	}
	return nil
}

func formatError(format int, tool string) error {
	return fmt.Errorf("decode plan: it has format %d and was made by %s; this pgleap reads format %d: make the plan anew with pgleap plan --out",
		format, maker(tool), Format)
}

// maker names the program that made a plan.
func maker(tool string) string {
	if tool == "" {
		return "an unknown pgleap"
	}
	return "pgleap " + OneLine(strings.TrimPrefix(tool, "pgleap "))
}
