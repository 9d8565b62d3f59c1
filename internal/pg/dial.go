package pg

import (
	"context"
	"net"
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
