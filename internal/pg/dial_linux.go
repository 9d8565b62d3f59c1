package pg

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged is how long, in milliseconds, what was sent may stay without an answer of the other machine:
// keepalives are not sent while something is under way.
const unacknowledged = 30_000

func control(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unacknowledged)
	})
	if err != nil {
		return err
	}
	return failed
}
