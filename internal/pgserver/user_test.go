package pgserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClosedFolderIsNamed(t *testing.T) {
	user, err := serverUser()
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(openFolder(t), "closed")
	below := filepath.Join(closed, "below")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	err = user.canReach(below)
	if user == nil { // our own user needs no way in
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), closed+" (mode 0700)") {
		t.Errorf("error does not name %s: %v", closed, err)
	}
	if _, err := Start(t.Context(), Options{Major: newest, DataParent: below}); err == nil || !strings.Contains(err.Error(), closed) {
		t.Errorf("start below a closed folder: %v", err)
	}
}
