package pgserver

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakePrograms makes a folder whose postgres only tells a version.
func fakePrograms(t *testing.T, folder, version string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindTakesTheNewestOfTheFirstPlace(t *testing.T) {
	explicit, variable := t.TempDir(), t.TempDir()
	fakePrograms(t, filepath.Join(explicit, "a", "bin"), "97.3 (Debian 97.3-1)")
	fakePrograms(t, filepath.Join(explicit, "b", "bin"), "97.12")
	fakePrograms(t, filepath.Join(explicit, "c", "bin"), "97beta2")
	fakePrograms(t, filepath.Join(variable, "d", "bin"), "97.99")
	fakePrograms(t, filepath.Join(variable, "e", "bin"), "98beta1")
	t.Setenv(FolderVariable, variable)

	found, err := Find(explicit)
	if err != nil {
		t.Fatal(err)
	}
	want := Programs{Major: 97, Version: "97.12", Bin: filepath.Join(explicit, "b", "bin")}
	if found[97] != want {
		t.Errorf("found %+v, want %+v", found[97], want)
	}
	if found[98].Version != "98beta1" {
		t.Errorf("found %+v in %s", found[98], FolderVariable)
	}
}

func TestFindTakesTheFolderOfTheProgramsItself(t *testing.T) {
	for _, below := range []string{"", "bin"} {
		folder := t.TempDir()
		fakePrograms(t, filepath.Join(folder, below), "97.1")
		programs, err := Lookup(folder, 97)
		if err != nil || programs.Bin != filepath.Join(folder, below) {
			t.Errorf("found %+v: %v", programs, err)
		}
	}
}

func TestFindRefusesANamedFolderWithoutPrograms(t *testing.T) {
	empty := t.TempDir()
	if _, err := Find(empty); err == nil || !strings.Contains(err.Error(), empty) {
		t.Errorf("explicit folder: %v", err)
	}
	t.Setenv(FolderVariable, empty)
	if _, err := Find(""); err == nil || !strings.Contains(err.Error(), empty) {
		t.Errorf("%s: %v", FolderVariable, err)
	}
}

func TestMissingMajorSaysHowToGetIt(t *testing.T) {
	_, err := Start(t.Context(), Options{Major: 9})
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Major != 9 || !slices.Contains(missing.Found, newest) {
		t.Fatalf("error %#v", err)
	}
	for _, part := range []string{"PostgreSQL 9", "make servers", FolderVariable} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not say %q: %v", part, err)
		}
	}
}

func TestClientFoldersHoldPgDump(t *testing.T) {
	found := ClientFolders()
	if len(found) == 0 {
		t.Fatal("no client programs: run `make servers`")
	}
	if _, err := os.Stat(filepath.Join(found[0], "pg_dump")); err != nil {
		t.Error(err)
	}
}
