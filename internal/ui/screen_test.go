package ui

import (
	"strings"
	"sync"
	"testing"
)

// screen is as much of a terminal as ui uses: it knows what a reader sees after all that was written.
type screen struct {
	mu   sync.Mutex
	raw  strings.Builder
	rows [][]rune
	col  int
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(b)
	text := []rune(string(b))
	for i := 0; i < len(text); i++ {
		if text[i] == '\x1b' {
			end := i + 2
			for text[end] >= '0' && text[end] <= '9' || text[end] == ';' {
				end++
			}
			s.escape(string(text[i+2 : end+1]))
			i = end
			continue
		}
		s.put(text[i])
	}
	return len(b), nil
}

func (s *screen) put(r rune) {
	if len(s.rows) == 0 {
		s.rows = [][]rune{nil}
	}
	row := &s.rows[len(s.rows)-1]
	switch r {
	case '\r':
		s.col = 0
	case '\n':
		s.rows, s.col = append(s.rows, nil), 0
	default:
		for len(*row) <= s.col {
			*row = append(*row, ' ')
		}
		(*row)[s.col] = r
		s.col++
	}
}

func (s *screen) escape(code string) {
	if len(s.rows) == 0 {
		return
	}
	row := &s.rows[len(s.rows)-1]
	switch code {
	case "2K":
		*row = nil
	case "0K":
		*row = (*row)[:min(s.col, len(*row))]
	}
}

// lines are what stands on the screen, without blanks at the ends.
func (s *screen) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, row := range s.rows {
		out = append(out, strings.TrimRight(string(row), " "))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

func (s *screen) written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

func TestScreen(t *testing.T) {
	var s screen
	for _, w := range []string{"abc", "\r\x1b[2K", "de\n", "\x1b[31mfghij\x1b[0m", "\rx\x1b[0K"} {
		if _, err := s.Write([]byte(w)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(s.lines(), "|"); got != "de|x" {
		t.Errorf("screen shows %q", got)
	}
}
