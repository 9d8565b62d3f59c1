// Package testdata carries the scenarios inside the program: an installed pgleap rehearses without a checkout.
package testdata

import (
	"embed"
	"io/fs"
)

//go:embed all:scenarios
var files embed.FS

// Scenarios returns the folder that holds one folder per scenario.
func Scenarios() fs.FS {
	sub, err := fs.Sub(files, "scenarios")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return sub
}
