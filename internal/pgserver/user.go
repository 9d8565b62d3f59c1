package pgserver

import (
	"errors"
	"fmt"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// user is whom the servers run as when we are root: PostgreSQL refuses root.
// The nil user is our own.
type user struct {
	name     string
	uid, gid uint32
}

// serverUser is nil unless we are root; then it is postgres or else nobody.
func serverUser() (*user, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("ids of user %s: %w", name, err)
		}
		return &user{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody to run it as")
}

// detached are the attributes of a process of the user, in a session of its
// own: an interrupt from the terminal is for us to handle, not for the server.
func (u *user) detached() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setsid: true}
	if u != nil {
		attributes.Credential = &syscall.Credential{Uid: u.uid, Gid: u.gid}
	}
	return attributes
}

// own gives the file or folder to the user.
func (u *user) own(path string) error {
	if u == nil {
		return nil
	}
	return os.Chown(path, int(u.uid), int(u.gid))
}

// canReach names the first folder on the way to path that is closed to the
// user: the programs would only say "permission denied".
func (u *user) canReach(path string) error {
	if u == nil {
		return nil
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for folder := path; ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		if err != nil {
			return err
		}
		if !u.mayEnter(info) {
			return fmt.Errorf("root starts servers as user %s, who cannot enter %s (mode %04o): open that folder, or use one elsewhere",
				u.name, folder, info.Mode().Perm())
		}
		if folder == filepath.Dir(folder) {
			return nil
		}
	}
}

// mayEnter reads the permission bits as the kernel does: the first class that
// fits decides.
func (u *user) mayEnter(folder os.FileInfo) bool {
	mode := folder.Mode().Perm()
	if owner, ok := folder.Sys().(*syscall.Stat_t); ok {
		switch {
		case owner.Uid == u.uid:
			return mode&0o100 != 0
		case owner.Gid == u.gid:
			return mode&0o010 != 0
		}
	}
	return mode&0o001 != 0
}
