package catalog

import (
	"io/fs"
	"testing"
)

// TestStatementsAreASCII: a comment goes to the server with its statement, and one in LATIN1 refuses what it has no
// place for.
func TestStatementsAreASCII(t *testing.T) {
	err := fs.WalkDir(files, "sql", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		for i, c := range text {
			if c > 127 {
				t.Errorf("%s: byte %d is %#x", path, i, c)
				break
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
