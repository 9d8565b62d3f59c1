package pg

import (
	"context"
	"net"
	"strings"
	"time"
)

// dial connects so that a server that has vanished without a word is noticed within half a minute, and not after
// the quarter of an hour in which TCP gives up by itself: writes may be standing still.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         control,
	}
	return d.DialContext(ctx, network, address)
}

// Dial tells whether something listens at a host, or in a socket's folder. Nothing is sent.
func Dial(ctx context.Context, host, port string) error {
	network, address := "tcp", net.JoinHostPort(host, port)
	if strings.HasPrefix(host, "/") {
		network, address = "unix", host+"/.s.PGSQL."+port
	}
	c, err := dial(ctx, network, address)
	if err != nil {
		return err
	}
	return c.Close()
}
