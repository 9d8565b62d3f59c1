package pgserver

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const childVariable = "PGLEAP_TEST_CHILD"

// TestEndOfTheProcessIsTheEndOfTheServer starts this test binary again, as the
// process whose end is to be survived by nothing.
func TestEndOfTheProcessIsTheEndOfTheServer(t *testing.T) {
	if parent := os.Getenv(childVariable); parent != "" {
		beTheChild(t, parent)
		return
	}
	for name, end := range map[string]func(child *os.Process) error{
		"killed": func(child *os.Process) error { return child.Kill() },
		// What the terminal does: the signal goes to the whole process group.
		"interrupted": func(child *os.Process) error { return syscall.Kill(-child.Pid, syscall.SIGINT) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := openFolder(t)
			child := exec.Command(os.Args[0], "-test.run=^"+t.Name()[:strings.Index(t.Name(), "/")]+"$", "-test.v")
			child.Env = append(os.Environ(), childVariable+"="+parent)
			child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			port, pid := startChild(t, child)
			if !listens(port) || syscall.Kill(pid, 0) != nil {
				t.Fatalf("the child's server is not there: port %d, process %d", port, pid)
			}

			if err := end(child.Process); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait() // it was killed
			eventually(t, "the port to close", func() bool { return !listens(port) })
			eventually(t, "the postmaster to end", func() bool { return syscall.Kill(pid, 0) != nil })
			eventually(t, "the folder to go", func() bool {
				left, _ := filepath.Glob(filepath.Join(parent, "*"))
				return len(left) == 0
			})
		})
	}
}

// beTheChild starts a server, tells about it and waits for the end.
func beTheChild(t *testing.T, parent string) {
	s, err := Start(t.Context(), Options{Major: newest, DataParent: parent})
	if err != nil {
		fmt.Println("child failed:", err)
		return
	}
	fmt.Println("child", s.Port, s.postmaster.cmd.Process.Pid)
	select {}
}

func startChild(t *testing.T, child *exec.Cmd) (port, pid int) {
	t.Helper()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "child %d %d", &port, &pid); n == 2 {
			return port, pid
		}
		t.Log(lines.Text())
	}
	t.Fatal("the child told of no server")
	return 0, 0
}
