package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"

	"github.com/imgspecd/imgspecd/api"
)

// The file's mode keeps other users out; this is the second lock, for a socket
// whose mode was changed, or that was handed over with another one. The daemon's
// own user may come in, and root, who could become that user anyway. A daemon of
// root's admits root alone. Groups do not count.

type peerKey struct{}

// peer is who is at the other end of a connection.
type peer struct {
	uid int
	err error
}

// withPeer asks the kernel who connected, once per connection.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	var p peer
	sc, ok := conn.(syscall.Conn)
	if !ok {
		p.err = fmt.Errorf("%T is no socket", conn)
	} else if raw, err := sc.SyscallConn(); err != nil {
		p.err = err
	} else if err := raw.Control(func(fd uintptr) { p.uid, p.err = peerUID(int(fd)) }); err != nil {
		p.err = err
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// admit turns away who may not ask, in the words of refuse.
func admit(next http.Handler, refuse func(http.ResponseWriter, *api.Error)) http.Handler {
	turnAway := func(w http.ResponseWriter, why string) {
		w.Header().Set("Connection", "close")
		refuse(w, &api.Error{Code: api.CodeForbidden, Message: why, Hint: "each user runs a daemon: imgspecd serve"})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := r.Context().Value(peerKey{}).(peer)
		switch {
		case !ok || p.err != nil:
			turnAway(w, "it cannot be told which user is asking")
		case p.uid != os.Geteuid() && p.uid != 0:
			turnAway(w, fmt.Sprintf("this daemon serves uid %d, and you are uid %d", os.Geteuid(), p.uid))
		default:
			next.ServeHTTP(w, r)
		}
	})
}
