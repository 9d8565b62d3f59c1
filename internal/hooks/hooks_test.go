package hooks_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgleap/internal/hooks"
)

func plain(text string) string { return text }

func set(h hooks.Hook, command string) hooks.Set {
	return hooks.Set{Commands: map[hooks.Hook]string{h: command}, Timeout: 20 * time.Second}
}

func TestRunTellsWhatIsToBeDone(t *testing.T) {
	t.Setenv("PGPASSWORD", "secret-1")
	t.Setenv("PGLEAP_SOURCE", "postgres://u:secret-2@h/d")
	t.Setenv("PGLEAP_TARGET", "host=h password=secret-3")
	t.Setenv("PGLEAP_PGBOUNCER_CONFIG", "/etc/pgbouncer.ini")
	file := filepath.Join(t.TempDir(), "env")
	s := set(hooks.Reroute, "env > "+file)
	if err := s.Run(t.Context(), hooks.Reroute, hooks.Call{"PGLEAP_NEW_PORT": "5433"}, plain); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PGLEAP_HOOK=reroute\n", "PGLEAP_NEW_PORT=5433\n", "PGLEAP_PGBOUNCER_CONFIG=/etc/pgbouncer.ini\n", "PATH="} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the hook's environment lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "secret-") {
		t.Errorf("the hook was given a password:\n%s", text)
	}
}

func TestRunWithoutACommand(t *testing.T) {
	if err := set(hooks.Reroute, "exit 1").Run(t.Context(), hooks.OnAbort, nil, plain); err != nil {
		t.Error(err)
	}
}

func TestRunFails(t *testing.T) {
	s := set(hooks.BeforeSwitch, "seq 1 5000; echo the password is hunter2 >&2; exit 3")
	err := s.Run(t.Context(), hooks.BeforeSwitch, nil, func(text string) string { return strings.ReplaceAll(text, "hunter2", "•••") })
	if err == nil || !strings.Contains(err.Error(), "hook before-switch: exit status 3; it said: ") || !strings.HasSuffix(err.Error(), "5000\nthe password is •••") {
		t.Errorf("got %v", err)
	}
	if n := len(err.Error()); n > 3000 {
		t.Errorf("the error has %d bytes", n)
	}
}

// TestDeadline: the command goes with everything that it started.
func TestDeadline(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	s := set(hooks.Reroute, "sleep 1000 & echo $! > "+file+"; wait")
	s.Timeout = 300 * time.Millisecond
	began := time.Now()
	err := s.Run(t.Context(), hooks.Reroute, nil, plain)
	if err == nil || !strings.Contains(err.Error(), "killed after 300 ms (--hook-timeout)") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("returned after %s", took)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d, which the hook started, still runs", pid)
		}
	}
}

// alive is false for a zombie, too: nobody may be there to reap it.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := set(hooks.Reroute, "sleep 1000").Run(ctx, hooks.Reroute, nil, plain); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v", err)
	}
}

// TestBackground: what a command leaves running does not hold the switch up.
func TestBackground(t *testing.T) {
	began := time.Now()
	if err := set(hooks.Reroute, "sleep 5 &").Run(t.Context(), hooks.Reroute, nil, plain); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("waited %s for what was left in the background", took)
	}
}

func TestStatusInOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "told")
	s := set(hooks.OnStatus, `echo "$PGLEAP_MESSAGE" >> `+file+`; [ "$PGLEAP_MESSAGE" != 2 ]`)
	var mu sync.Mutex
	var failures []error
	b := s.Status(t.Context(), plain, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, err)
	})
	for n := range 5 {
		b.Tell(hooks.Call{"PGLEAP_MESSAGE": strconv.Itoa(n)})
	}
	b.Close(t.Context())
	b.Tell(hooks.Call{"PGLEAP_MESSAGE": "late"})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != "0\n1\n2\n3\n4\n" {
		t.Errorf("told %q", text)
	}
	if len(failures) != 1 {
		t.Errorf("failures: %v", failures)
	}
}

// TestStatusNeverHoldsUp: a command that hangs costs nothing but itself.
func TestStatusNeverHoldsUp(t *testing.T) {
	b := set(hooks.OnStatus, "sleep 1000").Status(t.Context(), plain, func(error) {})
	began := time.Now()
	for range 1000 {
		b.Tell(hooks.Call{})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	b.Close(ctx)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("held up for %s", took)
	}
}
